"""The last moves of roles and changes of states, which `mmm_control history` shows (rule 11.3).

An entry is a line of JSON in a file beside the status file, so that it survives the monitor. A move is written when
its new holder has confirmed it, or when it has become another one.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmm.config.model import Vip
from mmm.monitor.decide.turn import Assigned
from mmm.monitor.report.clock import Clock
from mmm.monitor.states.table import Change
from mmm.monitor.world.happened import Happened, Why
from mmm.monitor.world.host import State
from mmm.monitor.world.said import Said, encoded
from mmm.monitor.world.world import World
from mmm.wire.follow import Position
from mmm.wire.json_text import parsed

KEPT = 1000
"""Entries that the file keeps; it is cut to these when it has grown to twice as many."""
SHOWN = 20
_LATEST = 1e11
"""Seconds since 1970 that no entry is written at: some three thousand years."""

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
    event: Mapping[str, Any] | None = None
    """The value that `text` was made of, see `mmm.monitor.world.said.encoded`."""
    why: Mapping[str, Any] | None = None
    """The value that `cause` was made of."""
    orders: tuple[Mapping[str, Any], ...] = ()
    """The values that `steps` were made of."""
    epoch: int = 0
    number: int = 0
    """Its place in all that has happened, see `mmm.wire.follow`; 0: not in the file yet."""

    @property
    def position(self) -> Position:
        """Return its place in all that has happened."""
        return Position(self.epoch, self.number)

    def said(self, clock: Clock) -> str:
        """Return the line of `mmm_control history`."""
        took = f", {1e3 * self.took:.0f} ms" if self.took is not None else ""
        steps = f" [{'; '.join(self.steps)}]" if self.steps else ""
        cause = f": {self.cause}" if self.cause else ""
        return f"{clock.local(self.at)}  {self.text}{took}{cause}{steps}"


def entry(at: float, happened: Happened, cause: Said | None = None) -> Entry:
    """Return the entry for what happened at wall-clock time `at`."""
    event, why = encoded(happened), None if cause is None else encoded(cause)
    return Entry(at, event.pop("text"), why.pop("text") if why else "", event=event, why=why)


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was part of a move: how it ended and when, in seconds from its begin, and what the agent did."""

    host: str
    answer: str
    seconds: float
    parts: Parts = ()

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {1e3 * part:.1f}" for name, part in self.parts)
        return f"{self.host} {self.answer} after {1e3 * self.seconds:.0f} ms{parts and f' ({parts})'}"

    @property
    def encoded(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "host": self.host,
            "answer": self.answer,
            "seconds": self.seconds,
            "parts": dict(self.parts),
        }


@dataclass(frozen=True, slots=True)
class Moving:
    """An exclusive VIP on its way; `began` is monotonic."""

    vip: Vip
    source: str | None
    target: str
    began: float
    at: float
    cause: Said | None
    orders: tuple[Order, ...] = ()

    def ended(self, happened: Happened, now: float) -> Entry:
        """Return the entry of the move that has ended."""
        said = entry(self.at, happened, self.cause)
        steps, orders = tuple(map(str, self.orders)), tuple(order.encoded for order in self.orders)
        return replace(said, steps=steps, orders=orders, took=now - self.began)


def encode(entry: Entry) -> str:
    """Return the line of the file for an entry."""
    return json.dumps(asdict(entry)) + "\n"


def decode(text: str) -> tuple[Entry, ...]:
    """Return the entries in the text of the file; invalid lines are left out."""
    entries = []
    for line in text.splitlines():
        try:
            raw = parsed(line, finite=False)
            steps = tuple(str(step) for step in raw["steps"])
            took = None if raw["took"] is None else float(raw["took"])
            holder = _pair(raw.get("holder"))
            loss, event, why = (_value(raw.get(name)) for name in ("loss", "event", "why"))
            orders = tuple(each for each in raw.get("orders") or () if isinstance(each, dict))
            at, text, cause = float(raw["at"]), str(raw["text"]), str(raw["cause"])
            place = max(0, int(raw.get("epoch", 0))), max(0, int(raw.get("number", 0)))
            found = Entry(at, text, cause, steps, took, holder, loss, event, why, orders, *place)
            if not 0 <= found.at < _LATEST:
                continue
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
        entries.append(found)
    return tuple(entries)


def joined(own: tuple[Entry, ...], copied: tuple[Entry, ...], epoch: int) -> tuple[Entry, ...]:
    """Return the history of a monitor that comes to lead, and goes on in an epoch that is later than all of it.

    `copied` is that of the monitor before, which is not empty; its positions go up, and stay, for others follow by
    them. Of its `own` what came later comes behind: so whoever follows misses nothing. What is older goes to its place
    among that.
    """
    last, known = copied[-1], {each.position for each in copied}
    older: dict[int, list[Entry]] = {}
    behind: list[Entry] = []
    for each in (each for each in own if each.position not in known):
        place = _place(each, copied)
        if place is not None:
            older.setdefault(place, []).append(each)
        elif each.at > last.at:
            behind.append(each)
    later = tuple(
        replace(each, epoch=epoch, number=last.number + place) for place, each in enumerate(behind, 1)
    )
    among = (one for place, each in enumerate(copied) for one in (*older.get(place, ()), each))
    return (*among, *later)[-KEPT:]


def _place(entry: Entry, copied: tuple[Entry, ...]) -> int | None:
    """Return before which of the entries that were copied it comes; None: it is later than all, or fits nowhere.

    Its position decides: what one has noted that led, and died before it was copied, comes right behind what was,
    whatever the clocks of two machines say. Where nothing is of the same epoch its time has to fit, too: monitors that
    did not reach each other may have led in turn, and an epoch may be of several times.
    """
    place = bisect_left(copied, entry.position, key=lambda each: each.position)
    if place == len(copied):
        return None
    before = copied[place - 1] if place else None
    same = before is not None and before.epoch == entry.epoch
    fits = (before is None or before.at <= entry.at) and entry.at <= copied[place].at
    return place if same or fits else None


def _value(raw: object) -> Mapping[str, Any] | None:
    return raw if isinstance(raw, dict) else None


def _pair(raw: object) -> tuple[str, str] | None:
    return (str(raw[0]), str(raw[1])) if isinstance(raw, list) and len(raw) == 2 else None


def last_holder(entries: tuple[Entry, ...], vip: Vip) -> str | None:
    """Return the host that last took the VIP, None where no entry tells."""
    holders = (entry.holder[1] for entry in reversed(entries) if entry.holder and entry.holder[0] == str(vip))
    return next(holders, None)


def tells_of_job(entries: tuple[Entry, ...], job: str) -> bool:
    """Tell whether one of the entries is of the end of that job."""
    events = (entry.event for entry in entries if entry.event)
    return any(event.get("fields", {}).get("job") == job for event in events)


def last_loss(entries: tuple[Entry, ...]) -> Entry | None:
    """Return the entry that tells what the last failover has lost; None: there is none, or its host came back since."""
    back: set[object] = set()
    for each in reversed(entries):
        fields = each.event.get("fields") if each.event is not None else None
        if each.loss is not None:
            return None if each.loss.get("host") in back else each
        if isinstance(fields, dict) and fields.get("after") == State.ONLINE:
            back.add(fields.get("host"))
    return None


def count_of(text: str) -> int | None:
    """Return how many entries are asked for, None where the text is no such number."""
    return (int(text) or None) if text.isdecimal() and len(text) < 10 else None


def shown(entries: tuple[Entry, ...], clock: Clock, count: int = SHOWN) -> str:
    """Return the answer to `history`: the last `count` entries, the newest last."""
    return "".join(f"{entry.said(clock)}\n" for entry in entries[-count:]) or "Nothing has happened yet.\n"


class Ledger:
    """Turns what the monitor does into entries. Holds the moves that are under way."""

    def __init__(self) -> None:
        self._moving: dict[Vip, Moving] = {}

    def changed(self, change: Change, at: float) -> Entry:
        """Return the entry for a change of state."""
        states = {"host": change.host, "before": change.before, "after": change.after}
        why = Why("rule", {"rule": change.rule, "why": change.why})
        return entry(at, Happened("state", states), why)

    def assigned(
        self, world: World, assigned: Assigned, cause: Said | None, now: float, at: float
    ) -> Entry | None:
        """Note a VIP with a new owner; returns an entry where nothing is left to wait for."""
        vip = assigned.vip
        under_way = self._moving.pop(vip, None)
        if world.conf.roles[vip.role].mode != "exclusive":
            return None
        source = assigned.before if under_way is None else under_way.source
        cause = under_way.cause if under_way is not None and cause is None else cause
        if assigned.after is None:
            return entry(at, Happened("moved", {"vip": vip, "source": source, "target": None}), cause)
        if assigned.after == source and under_way is not None:
            stays = replace(under_way, at=at, cause=cause)
            return stays.ended(Happened("stays", {"vip": vip, "source": source}), now)
        self._moving[vip] = Moving(vip, source, assigned.after, now, at, cause)
        return None

    def told(
        self, world: World, host: str, what: str, took: float, now: float, parts: Parts = ()
    ) -> tuple[Entry, ...]:
        """Note that an order to a host has ended; returns the entries of the moves that are complete now.

        A move is forgotten that is none any more in `world`: a conf has not got its VIP or its new owner, or the VIP
        went to another one.
        """
        finished = []
        order = Order(host, what, took, parts)
        for vip, under_way in tuple(self._moving.items()):
            target = world.hosts.get(under_way.target)
            if target is None or world.owner.get(vip) != under_way.target:
                del self._moving[vip]
                continue
            moving = replace(under_way, orders=(*under_way.orders, order))
            self._moving[vip] = moving
            told = target.agent.told
            if told is not None and vip in told.vips:
                del self._moving[vip]
                moved = Happened("moved", {"vip": vip, "source": moving.source, "target": moving.target})
                finished.append(replace(moving.ended(moved, now), holder=(str(vip), moving.target)))
        return tuple(finished)


def cause_of(changes: Mapping[str, Change], assigned: Assigned) -> Why | None:
    """Return why a VIP moves: the change of state in the same turn of its old or new holder, if there was one."""
    change = changes.get(assigned.before or "") or changes.get(assigned.after or "")
    if change is None:
        return None
    about = {"host": change.host, "state": change.after, "rule": change.rule, "why": change.why}
    return Why("state", about)
