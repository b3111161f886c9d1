"""The answers that mmm_control shows as JSON or YAML: the values behind the texts (rule 5)."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mmm.monitor.report import concerns
from mmm.monitor.report.concerns import Clock
from mmm.monitor.report.explain import explained
from mmm.monitor.report.health import health
from mmm.monitor.report.history import SHOWN, Entry
from mmm.monitor.world.warnings import encoded
from mmm.monitor.world.world import World
from mmm.wire.control import moment


def structured(
    world: World, words: Sequence[str], now: float, clock: Clock, entries: tuple[Entry, ...]
) -> str | None:
    """Return the answer to a question as JSON, None where it has no values but its text."""
    value = _value(world, list(words), now, clock, entries)
    return None if value is None else json.dumps(value)


def _value(
    world: World, words: list[str], now: float, clock: Clock, entries: tuple[Entry, ...]
) -> dict[str, Any] | None:
    match words:
        case ["warnings"]:
            return {"warnings": [encoded(warned) for warned in concerns.found(world, now, clock)]}
        case ["health"]:
            return _health(world, now, clock)
        case ["explain"]:
            return explained(world, "all", now, clock)
        case ["explain", host] if host == "all" or host in world.hosts:
            return explained(world, host, now, clock)
        case ["history"]:
            return {"history": [_entry(entry) for entry in entries[-SHOWN:]]}
        case ["history", count] if count.isdecimal() and len(count) < 10 and int(count):
            return {"history": [_entry(entry) for entry in entries[-int(count) :]]}
        case _:
            return None


def _health(world: World, now: float, clock: Clock) -> dict[str, Any]:
    found = health(world, now, clock)
    return {
        "status": found.status,
        "writer": found.writer,
        "figures": dict(found.figures),
        "reasons": [encoded(reason) for reason in found.reasons],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    vip, host = entry.holder or (None, None)
    value = {**asdict(entry), "at": moment(entry.at), "holder": host, "vip": vip}
    return {**value, "steps": list(entry.steps), "orders": list(entry.orders)}
