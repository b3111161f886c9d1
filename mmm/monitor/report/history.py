"""The last moves of roles and changes of states, which `mmm_control history` shows (rule 11.3).

An entry is a line of JSON in a file beside the status file, so that it survives the monitor. A move is written when
its new holder has confirmed it, or when it has become another one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmm.config.model import Vip
from mmm.monitor.decide.turn import Assigned
from mmm.monitor.states.table import Change
from mmm.monitor.world.world import World
from mmm.wire.control import moment

KEPT = 1000
"""Entries that the file keeps; it is cut to these when it has grown to twice as many."""
SHOWN = 20

Parts = tuple[tuple[str, float], ...]
"""The parts of what an agent was ordered, with the seconds that each took there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened; `at` is wall-clock seconds since 1970, durations are seconds."""

    at: float
    text: str
    cause: str = ""
    steps: tuple[str, ...] = ()
    took: float | None = None
    holder: tuple[str, str] | None = None
    """Of a move that is complete: the VIP, and who has it."""
    loss: Mapping[str, Any] | None = None
    """What a failover has lost, as values, see `mmm.monitor.assess.loss.encoded`."""

    def __str__(self) -> str:
        took = f", {1e3 * self.took:.0f} ms" if self.took is not None else ""
        steps = f" [{'; '.join(self.steps)}]" if self.steps else ""
        cause = f": {self.cause}" if self.cause else ""
        return f"{moment(self.at)}  {self.text}{took}{cause}{steps}"


@dataclass(frozen=True, slots=True)
class Moving:
    """An exclusive VIP on its way; `began` is monotonic."""

    vip: Vip
    source: str | None
    target: str
    began: float
    at: float
    cause: str
    steps: tuple[str, ...] = ()


def encode(entry: Entry) -> str:
    """Return the line of the file for an entry."""
    return json.dumps(asdict(entry)) + "\n"


def decode(text: str) -> tuple[Entry, ...]:
    """Return the entries in the text of the file; lines that are none are left out."""
    entries = []
    for line in text.splitlines():
        try:
            raw = json.loads(line)
            steps = tuple(str(step) for step in raw["steps"])
            took = None if raw["took"] is None else float(raw["took"])
            holder = _pair(raw.get("holder"))
            loss = raw.get("loss") if isinstance(raw.get("loss"), dict) else None
            entry = Entry(float(raw["at"]), str(raw["text"]), str(raw["cause"]), steps, took, holder, loss)
            moment(entry.at)
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
            continue
        entries.append(entry)
    return tuple(entries)


def _pair(raw: object) -> tuple[str, str] | None:
    return (str(raw[0]), str(raw[1])) if isinstance(raw, list) and len(raw) == 2 else None


def last_holder(entries: tuple[Entry, ...], vip: Vip) -> str | None:
    """Return the host that last took the VIP, None where no entry tells."""
    holders = (entry.holder[1] for entry in reversed(entries) if entry.holder and entry.holder[0] == str(vip))
    return next(holders, None)


def shown(entries: tuple[Entry, ...], count: int = SHOWN) -> str:
    """Return the answer to `history`: the last `count` entries, the newest last."""
    return "".join(f"{entry}\n" for entry in entries[-count:]) or "Nothing has happened yet.\n"


class Ledger:
    """Turns what the monitor does into entries. Holds the moves that are under way."""

    def __init__(self) -> None:
        self._moving: dict[Vip, Moving] = {}

    def changed(self, change: Change, at: float) -> Entry:
        """Return the entry for a change of state."""
        return Entry(
            at, f"{change.host}: {change.before} -> {change.after}", f"{change.rule}: {change.sentence}"
        )

    def assigned(self, world: World, assigned: Assigned, cause: str, now: float, at: float) -> Entry | None:
        """Note a VIP with a new owner; returns an entry where nothing is left to wait for."""
        vip = assigned.vip
        under_way = self._moving.pop(vip, None)
        if world.conf.roles[vip.role].mode != "exclusive":
            return None
        source = assigned.before if under_way is None else under_way.source
        cause = under_way.cause if under_way is not None and not cause else cause
        if assigned.after is None:
            return Entry(at, f"{vip}: {source or 'nobody'} -> nobody", cause)
        if assigned.after == source and under_way is not None:
            return Entry(at, f"{vip}: stays with {source}", cause, under_way.steps, now - under_way.began)
        self._moving[vip] = Moving(vip, source, assigned.after, now, at, cause)
        return None

    def told(
        self, world: World, host: str, what: str, took: float, now: float, parts: Parts = ()
    ) -> tuple[Entry, ...]:
        """Note that an order to a host has ended; returns the entries of the moves that are complete now."""
        finished = []
        step = f"{host} {what} after {1e3 * took:.0f} ms"
        if parts:
            step += f" ({', '.join(f'{name} {1e3 * part:.1f}' for name, part in parts)})"
        for vip, under_way in tuple(self._moving.items()):
            moving = replace(under_way, steps=(*under_way.steps, step))
            self._moving[vip] = moving
            told = world.hosts[moving.target].agent.told
            if told is not None and vip in told.vips:
                del self._moving[vip]
                text = f"{vip}: {moving.source or 'nobody'} -> {moving.target}"
                holder, whole = (str(vip), moving.target), now - moving.began
                finished.append(Entry(moving.at, text, moving.cause, moving.steps, whole, holder))
        return tuple(finished)


def cause_of(changes: Mapping[str, Change], assigned: Assigned) -> str:
    """Return why a VIP moves: the change of state in the same turn of its old or new holder, if there was one."""
    change = changes.get(assigned.before or "") or changes.get(assigned.after or "")
    return f"{change.host} {change.after} by {change.rule}: {change.sentence}" if change else ""
