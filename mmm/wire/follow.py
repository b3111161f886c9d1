"""The answer to `follow [POSITION]` on the control port: a line of JSON for every change, until one end has enough.

    begin    the first line: the version of the format, and the position that is gone on from
    gap      the position asked for cannot be gone on from: what was between is lost, the oldest that is kept follows
    change   what happened: an entry of the history, and the position to come back with
    alive    nothing has happened for ALIVE seconds
    cut_off  the last line: why the monitor says no more

A position is `EPOCH-NUMBER`. Numbers go up by one with every change. The epoch is another, higher one after every
start of a monitor: should one have said what it could not write down before it died, its numbers are given again, in
an epoch that comes later. So of two positions in one history the later one is the greater one.

Each of several monitors has a history of its own, of what happened while it led, and no epoch of it is one of another
monitor's. A monitor that has come to stand by ends its answers: what happens now is told by the one that leads.
"""

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

VERSION = 1
"""Of the lines, and of the document that `status` answers."""
ALIVE = 10.0
"""Seconds without a change after which that is said."""

_POSITION = re.compile(r"(\d{1,15})-(\d{1,15})")


class Kind(StrEnum):
    """What a line is."""

    BEGIN = "begin"
    GAP = "gap"
    CHANGE = "change"
    ALIVE = "alive"
    CUT_OFF = "cut_off"


class Position(NamedTuple):
    """A place in what has happened."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


BEGINNING = Position(0, 0)
"""Before everything; `0` says it too."""


def position(text: str) -> Position | None:
    """Return the position that the text says; None where it says none."""
    if text == "0":
        return BEGINNING
    match = _POSITION.fullmatch(text)
    return None if match is None else Position(int(match[1]), int(match[2]))


def positions(raw: Mapping[str, Any]) -> dict[str, Position]:
    """Return the positions that JSON has by names; what says none is left out."""
    found = ((name, position(str(text))) for name, text in raw.items())
    return {name: place for name, place in found if place is not None}


def gap(asked: Position, oldest: Position, newest: Position, epochs: Iterable[int]) -> str:
    """Return why nobody can go on from a position; `oldest` and `newest` are of the changes that are kept.

    `epochs` are those of all of them, in any order.
    `too_old`: what came next is not kept any more; `unknown`: it is not of this history; empty: nothing is missed.
    """
    if asked > newest:
        return "unknown"
    if asked == BEGINNING:
        return ""
    if oldest.number > asked.number + 1:
        return "too_old"
    return "" if asked.epoch in epochs else "unknown"


def new_epoch(least: int, place: int = 0, monitors: int = 1) -> int:
    """Return the epoch of a monitor that starts, `least` or a little more.

    `place` is its place among so many `monitors`: of no two of them it is the same.
    """
    return least + (place - least) % monitors


def line(kind: Kind, place: Position, **values: Any) -> bytes:
    """Return a line of the answer."""
    return json.dumps({"kind": kind, "position": str(place), **values}).encode() + b"\n"
