"""What has happened since a position, for those who follow the monitor. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mmm.monitor.report.history import Entry
from mmm.wire.follow import BEGINNING, Position


def newest(entries: tuple[Entry, ...]) -> Position:
    """Return the position behind all that has happened."""
    return entries[-1].position if entries else BEGINNING


def since(entries: tuple[Entry, ...], known: Position) -> tuple[Entry, ...]:
    """Return what has happened after the position, in order."""
    first = len(entries)
    while first and entries[first - 1].position > known:
        first -= 1
    return entries[first:]


def encoded(entry: Entry) -> dict[str, Any]:
    """Return a change as JSON has it; `at` is seconds since 1970, durations are seconds."""
    vip, host = entry.holder or (None, None)
    return {
        "position": str(entry.position),
        "at": entry.at,
        "event": entry.event,
        "why": entry.why,
        "took": entry.took,
        "orders": list(entry.orders),
        "vip": vip,
        "holder": host,
        "loss": entry.loss,
        "text": entry.text,
        "cause": entry.cause,
    }


def numbered(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    """Yield the entries with the numbers that those lack which a monitor without positions has written."""
    last = BEGINNING
    for entry in entries:
        later = entry.position > last
        known = entry if later else replace(entry, epoch=last.epoch, number=last.number + 1)
        last = known.position
        yield known
