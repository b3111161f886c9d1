"""What a monitor that stands by asks the one that leads: what it would know had it led itself (rule 14.2). No sockets.

    request   memory POSITION      behind which changes are wanted, as `follow` names it
    answer    a line of JSON: the epoch that it leads by, its status file, how often hosts went out of use, the
              lines of its history, and how far each section of <notify> has been told of that

The line goes to the control port, as those of mmm_control do. Who stands by answers ERROR.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from mmm.wire.follow import Position, position, positions
from mmm.wire.json_text import parsed

MEMORY = "memory"
STANDS_BY = "ERROR: this monitor does not lead"
LONGEST = 8 * 2**20
"""Bytes of an answer."""


class Flapped(NamedTuple):
    """How often a host went out of use."""

    seconds: float
    """Since the first time that counts."""
    times: int
    too_many: bool
    """It is flapping."""


class Memory(NamedTuple):
    """What a monitor that leads knows, and agents and voters do not."""

    epoch: str
    """By which it leads, as orders name it."""
    status: str
    """The text of its status file."""
    flaps: Mapping[str, Flapped]
    """By host; those that are not in it went out of use not once."""
    history: tuple[str, ...]
    """Lines of its history, the newest last."""
    told: Mapping[str, Position] = MappingProxyType({})
    """Behind what each section of `<notify>` has been told nothing; of an older monitor nothing is known."""


def words(behind: Position) -> tuple[str, ...]:
    """Return the command that asks for it."""
    return MEMORY, str(behind)


def asked(words: Sequence[str]) -> Position | None:
    """Return behind which position changes are wanted, None where these words do not ask for memory."""
    match list(words):
        case [command, place] if command == MEMORY:
            return position(place)
        case _:
            return None


def encoded(memory: Memory) -> str:
    """Return the answer, with its line end."""
    told = {name: str(place) for name, place in memory.told.items()}
    return json.dumps({**memory._asdict(), "told": told}) + "\n"


def decoded(line: str) -> Memory | None:
    """Return what an answer says, None where it says none."""
    try:
        raw: Any = parsed(line)
        flaps = {
            str(host): Flapped(float(each[0]), int(each[1]), bool(each[2]))
            for host, each in raw["flaps"].items()
        }
        told = positions(raw.get("told", {}))
        return Memory(str(raw["epoch"]), str(raw["status"]), flaps, tuple(map(str, raw["history"])), told)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        return None
