"""The answers that mmm_control shows as JSON or YAML: the values behind the texts (rule 5)."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mmm.monitor.command.leading import leads
from mmm.monitor.command.texts import Verdict, unknown_host
from mmm.monitor.report import concerns, health, leading, status
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.document import document
from mmm.monitor.report.explain import explained
from mmm.monitor.report.history import SHOWN, Entry, count_of
from mmm.monitor.world import said
from mmm.monitor.world.warnings import encoded
from mmm.monitor.world.world import Mode, World
from mmm.wire import values
from mmm.wire.values import Value


def structured(
    world: World, words: Sequence[str], now: float, clock: Clock, entries: tuple[Entry, ...]
) -> str | None:
    """Return the answer to a question as JSON, None where it has no values but its text."""
    value = _value(world, list(words), now, clock, entries)
    if isinstance(value, Verdict):
        return answered(value)
    return None if value is None else json.dumps(value)


def answered(verdict: Verdict) -> str:
    """Return the answer to a command as JSON."""
    return json.dumps(verdict.values)


def _value(
    world: World, words: list[str], now: float, clock: Clock, entries: tuple[Entry, ...]
) -> Value | Verdict | None:
    match words:
        case ["ping"]:
            return Verdict("pinged")
        case ["status"]:
            return document(world, now, clock, entries)
        case ["monitors"]:
            return leading.encoded(world, clock) or {"monitors": []}
        case ["leads"]:
            return leads(world, now)
        case ["show"]:
            return _show(world, now, clock)
        case ["checks", *which] if len(which) < 3:
            host, check = (*which, "all", "all")[:2]
            return _checks(world, host, check, clock)
        case ["mode"] | ["failover_method"]:
            return {"mode": str(world.mode)}
        case ["health"]:
            return health.encoded(health.health(world, now, clock))
        case ["explain", *which] if len(which) < 2:
            return _explained(world, which[0] if which else "all", now, clock)
        case ["history"]:
            return _history(entries, clock, str(SHOWN))
        case ["history", count]:
            return _history(entries, clock, count)
        case _:
            return None


def _show(world: World, now: float, clock: Clock) -> Value:
    warnings = [encoded(warned) for warned in concerns.found(world, now, clock)]
    cause = world.passive_cause if world.mode is Mode.PASSIVE else None
    why = None if cause is None else said.encoded(cause)
    return values.of_show(status.of_show(world, now, clock), warnings, why, leading.encoded(world, clock))


def _checks(world: World, host: str, check: str, clock: Clock) -> Value | Verdict:
    found = status.of_checks(world, host, check, clock)
    if isinstance(found, Verdict):
        return found
    lines = (
        values.of_check(line, finding.outcome, finding.detail, finding.code, said.plain(finding.fields))
        for line, finding in found
    )
    return {"checks": list(lines)}


def _explained(world: World, host: str, now: float, clock: Clock) -> Value | Verdict:
    if host != "all" and host not in world.hosts:
        return unknown_host(world, host)
    return explained(world, host, now, clock)


def _history(entries: tuple[Entry, ...], clock: Clock, count: str) -> Value | Verdict:
    number = count_of(count)
    if number is None:
        return Verdict("no_count", {"count": count})
    return {"history": [_entry(entry, clock) for entry in entries[-number:]]}


def _entry(entry: Entry, clock: Clock) -> dict[str, Any]:
    vip, host = entry.holder or (None, None)
    value = {**asdict(entry), "at": clock.local(entry.at), "holder": host, "vip": vip}
    del value["epoch"], value["number"]
    return {
        **value,
        "position": str(entry.position),
        "steps": list(entry.steps),
        "orders": list(entry.orders),
    }
