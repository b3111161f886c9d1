"""What a monitor that stands by learns from the one that leads, to go on where that one ends (rule 14.2).

The voters keep what must be right. The rest is copied for as long as the leader answers: its status file, which tells
what a host has whose agent is silent, how often hosts went out of use, and its history.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from mmm.lease.lead import Lead, is_at
from mmm.lease.record import Record
from mmm.lease.rules import margin
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.begin import begun
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.saving import Saving
from mmm.monitor.command.leading import elsewhere
from mmm.monitor.decide.found import Stored
from mmm.monitor.report import changes, history
from mmm.monitor.report.history import Entry
from mmm.monitor.world.host import Flaps
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.world import World
from mmm.wire.follow import BEGINNING, Position
from mmm.wire.memory import STANDS_BY, Flapped, Memory, encoded
from mmm.wire.voting import epoch_of, epoch_text

PERIOD = 2.0
"""Seconds between two questions."""
AGAIN = 0.5
"""Seconds until the next one where nothing is known yet."""
_FRESH = 10.0
"""Seconds, beside `lead_lease` and its margin, for which the leader may not have answered when this monitor leads.

One that was cut off for longer knows only what once was: hosts may have failed since, and come back with other data.
"""


class Inheritance:
    """What is known of the monitor that leads; `lead` tells by which epoch this one does, None where it does not.

    `told` returns how far each section of `<notify>` has been told by this one.
    """

    def __init__(
        self,
        others: OtherMonitors,
        world: Callable[[], World],
        lead: Callable[[], Lead | None],
        saving: Saving,
        chronicle: Chronicle,
        told: Callable[[], Mapping[str, Position]] = dict,
    ) -> None:
        self._others, self._world, self._lead = others, world, lead
        self._saving, self._chronicle, self._told = saving, chronicle, told
        self._memory: Memory | None = None
        self._learned = 0.0
        self._led = ""
        """The epoch by which this monitor led last."""
        self._entries: tuple[Entry, ...] = ()

    async def run(self) -> None:
        """Learn for ever, while this monitor stands by."""
        while True:
            await self.learn()
            await asyncio.sleep(AGAIN if self._memory is None else PERIOD)

    async def learn(self) -> None:
        """Ask the monitor that leads once."""
        if not self._leader():
            return
        memory = await self._ask(changes.newest(self._entries))
        if memory is not None and self._memory is not None and memory.epoch != self._memory.epoch:
            self._memory, self._entries = None, ()  # what it has may not begin with what the one before had
            memory = await self._ask(BEGINNING)
        if memory is None or not self._leader():
            return
        self._memory, self._learned = memory, time.monotonic()
        self._entries = (*self._entries, *history.decode("\n".join(memory.history)))[-history.KEPT :]
        if memory.status:  # in passive mode since its start it has written none
            self._saving.copy(memory.status)

    def _leader(self) -> str:
        """Return the address of another monitor that leads while this one stands by; empty where none is known to."""
        leader = elsewhere(self._world())
        return leader if self._lead() is None and leader in self._others.listed else ""

    async def _ask(self, behind: Position) -> Memory | None:
        leader = self._leader()
        return await self._others.memory(leader, behind) if leader else None

    async def begin(self, record: Record, agents: Agents) -> World:
        """Return the world to go on with, for this monitor has come to lead."""
        stored, flaps = self.known(record, time.monotonic())
        world = await begun(self._world, record, stored, agents, flaps)
        if (lead := self._lead()) is not None:
            self.taken(epoch_text(lead))
        return self._chronicle.recalled(world, time.monotonic())

    def known(self, record: Record, now: float) -> tuple[Mapping[str, Stored], Mapping[str, Flaps]]:
        """Return what the status file says, and how often hosts went out of use, for a monitor that comes to lead."""
        return self.stored(now), self.flaps(record, now)

    def flaps(self, record: Record, now: float) -> Mapping[str, Flaps]:
        """Return how often hosts went out of use, as the monitor has seen it that wrote the record."""
        memory, epoch = self._memory, "" if record.epoch is None else epoch_text(record.epoch)
        if epoch and epoch == self._led:  # nobody has led since
            hosts = self._world().hosts.items()
            return {name: host.flaps for name, host in hosts if host.flaps is not None}
        if memory is None or memory.epoch != epoch:
            return {}
        ago = now - self._learned
        return {
            host: Flaps(now - ago - each.seconds, each.times, too_many=each.too_many)
            for host, each in memory.flaps.items()
        }

    def stored(self, now: float) -> Mapping[str, Stored]:
        """Return what the status file says; it is of nobody where the leader has gone on without this monitor.

        Where this one has learned nothing since its start, what it copied from another may be of any age.
        """
        stored, lease = self._saving.stored, self._world().conf.lead_lease
        fresh = self._memory is not None and now - self._learned <= lease + margin(lease) + _FRESH
        return {
            name: line if fresh or self._is_own(line) else replace(line, epoch="")
            for name, line in stored.items()
        }

    def _is_own(self, line: Stored) -> bool:
        """Tell whether this monitor wrote the line while it led, and has heard of no other one since."""
        epoch = epoch_of(line.epoch)
        theirs = epoch is None or any(is_at(epoch.address, ip) for ip in self._others.listed)
        return self._memory is None and not theirs

    def taken(self, epoch: str) -> None:
        """Go on with it: this monitor has come to lead by the epoch."""
        self._led = epoch
        self._saving.leads(epoch)
        self._chronicle.go_on(self._entries, self._memory.told if self._memory is not None else {})
        self._memory, self._entries = None, ()

    def answer(self, behind: Position, now: float) -> str:
        """Return the answer to another monitor that stands by."""
        world, lead = self._world(), self._lead()
        if lead is None or world.leadership.place is not Place.LEADS:
            return f"{STANDS_BY}\n"
        flaps = {
            name: Flapped(now - host.flaps.since, host.flaps.count, host.flaps.too_many)
            for name, host in world.hosts.items()
            if host.flaps is not None
        }
        lines = (history.encode(each).rstrip("\n") for each in changes.since(self._chronicle.entries, behind))
        return encoded(Memory(epoch_text(lead), self._saving.text, flaps, tuple(lines), self._told()))
