"""The answer to `follow [POSITION]` on the control port: a line of JSON for every change, until one end has enough.

    begin    the first line: the version of the format, and the position that is gone on from
    gap      the position asked for cannot be gone on from: what was between is lost, the oldest that is kept follows
    change   what happened: an entry of the history, and the position to come back with
    alive    nothing has happened for ALIVE seconds
    cut_off  the last line: why the monitor says no more

A position is `EPOCH-NUMBER`. Numbers go up by one with every change. The epoch is another, higher one after every
start of a monitor: should one have said what it could not write down before it died, its numbers are given again, in
an epoch that comes later. So of two positions the later one is the greater one, whichever monitor it is from.
"""

import json
import re
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


def gap(asked: Position, oldest: Position, newest: Position) -> str:
    """Return why nobody can go on from a position; `oldest` and `newest` are of the changes that are kept.

    `too_old`: what came next is not kept any more; `unknown`: it is not of this history; empty: nothing is missed.
    """
    if asked > newest:
        return "unknown"
    if asked == BEGINNING:
        return ""
    if oldest.epoch > asked.epoch and oldest.number <= asked.number:
        return "unknown"
    return "too_old" if oldest.number > asked.number + 1 else ""


def line(kind: Kind, place: Position, **values: Any) -> bytes:
    """Return a line of the answer."""
    return json.dumps({"kind": kind, "position": str(place), **values}).encode() + b"\n"
