"""When a warning has come and when it has gone, as what happens: for the history, `follow` and who is to be told. Pure.

A warning is told of once it has been there for `STEADY` seconds, and so is its end: one that comes and goes with every
check would fill the history. What the history tells otherwise, such as a change of state, is no news here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmm.monitor.report.history import Entry
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.said import plain
from mmm.monitor.world.warnings import Warned
from mmm.monitor.world.world import World

STEADY = 10.0
"""Seconds that a warning, or its end, has to last."""
RAISED, OVER = "warned", "warning_over"
_TOLD_OTHERWISE = frozenset(
    {
        "out_of_use",
        "transactions_lost",
        "network_down",
        "being_rebuilt",
        "not_rebuilt",
        "stands_by",
        "takes_lead",
    }
)
"""Warnings whose begin is in the history already, of a state, a loss, the network, or a job; and what is no trouble."""

Key = tuple[str, tuple[str, ...], str]
"""Which warning it is: its code, its hosts, its level. Its figures may change."""


@dataclass(frozen=True, slots=True)
class Raised:
    """What is known of warnings; moments are monotonic."""

    told: Mapping[Key, str] = field(default_factory=dict)
    """Those that were told of and are not over, with what was said."""
    turned: Mapping[Key, float] = field(default_factory=dict)
    """Since when one is there that was not told of, or one is gone that was."""


def recalled(entries: Iterable[Entry]) -> Raised:
    """Return what an earlier monitor has told of, so that a new one does not tell it again."""
    told: dict[Key, str] = {}
    for entry in entries:
        event = entry.event or {}
        code, fields = event.get("code"), event.get("fields")
        if code not in (RAISED, OVER) or not isinstance(fields, Mapping):
            continue
        key = _key_in(fields)
        if code == RAISED:
            told[key] = str(fields.get("said", ""))
        else:
            told.pop(key, None)
    return Raised(told)


def looked(
    known: Raised, world: World, found: Iterable[Warned], now: float
) -> tuple[Raised, tuple[Happened, ...]]:
    """Return what is known after a look at the warnings, and what is to be told of."""
    there = {_key(each): each for each in found if _is_news(world, each)}
    gone = {key for key in known.told.keys() - there.keys() if _is_seen(world, key)}
    turned = {key: known.turned.get(key, now) for key in (there.keys() - known.told.keys()) | gone}
    steady = [key for key, since in turned.items() if now - since >= STEADY]
    told, happened = dict(known.told), []
    for key in steady:
        del turned[key]
        if key in there:
            told[key] = str(there[key])
            happened.append(
                Happened(RAISED, {**_named(key), "said": told[key], "fields": plain(there[key].fields)})
            )
        else:
            happened.append(Happened(OVER, {**_named(key), "said": told.pop(key)}))
    return replace(known, told=told, turned=turned), tuple(happened)


def _is_seen(world: World, key: Key) -> bool:
    """Tell whether a warning would be found here: a monitor that stands by knows of the lead alone."""
    return world.leadership.may_order or key[0] == "no_leader"


def _is_news(world: World, warned: Warned) -> bool:
    """Tell whether nothing else says so: a diagnosis of a dead host follows its change of state."""
    if warned.code == "diagnosis":
        return all(world.hosts[name].state is not State.HARD_OFFLINE for name in warned.hosts)
    return warned.code not in _TOLD_OTHERWISE


def _key(warned: Warned) -> Key:
    return warned.code, warned.hosts, str(warned.level)


def _named(key: Key) -> dict[str, Any]:
    code, hosts, level = key
    return {"warning": code, "host": ", ".join(hosts), "level": level}


def _key_in(fields: Mapping[str, Any]) -> Key:
    """Return the key of a warning as the history has it, which may be any file."""
    hosts = tuple(filter(None, str(fields.get("host", "")).split(", ")))
    return str(fields.get("warning", "")), hosts, str(fields.get("level", ""))
