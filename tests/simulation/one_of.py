"""One of two monitors: what it decides, and its place among them, in a loop whose clock is that of the run."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, cast

from mmm.config.model import Host
from mmm.lease.lead import Lead
from mmm.lease.record import Record
from mmm.monitor.act.agents import CONNECT_TIMEOUT, ORDER_TIMEOUT, QUESTION_TIMEOUT, Told
from mmm.monitor.act.leading import Leading
from mmm.monitor.act.other_monitors import LIMIT, PERIOD
from mmm.monitor.act.spoken import Spoken, of_reply
from mmm.monitor.command.leading import refused
from mmm.monitor.decide.startup import Started
from mmm.monitor.decide.turn import Turn
from mmm.monitor.states.table import Change
from mmm.monitor.world.events import Answer, Answered, Event
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire import refrain, voting
from mmm.wire.agent import SET_STATUS, Reply, Request
from mmm.wire.follow import Position
from mmm.wire.memory import Memory, decoded
from mmm.wire.status import SystemStatus
from tests.simulation.books import ViolationError
from tests.simulation.inherits import Inherits
from tests.simulation.leads import Loop
from tests.simulation.monitor import Monitor

if TYPE_CHECKING:
    from tests.simulation.several import Seat, Several


class OneOf(Monitor):
    """One life of a monitor; it is `Agents` and `OtherMonitors` to what is real in it."""

    def __init__(self, cluster: "Several", started: Started, seat: "Seat", nonce: str) -> None:
        self.several, self.seat = cluster, seat
        self.heard_token: Callable[[str, str], None] = lambda _host, _token: None
        self.binds: Callable[[Host, str], Awaitable[bool]]
        self.listed = tuple(ip for ip in cluster.seats if ip != seat.ip)
        self.answering: tuple[str, ...] = ()
        self.loop, self._armed = Loop(), inf
        self._errors: list[BaseException] = []
        self.loop.set_exception_handler(lambda _, about: self._errors.append(about["exception"]))
        self.loop.now = cluster.clock.now
        self._left: list[Tell] = []
        """Orders of when it led before that have not ended."""
        place = cluster.scenario.conf.monitors.index(seat.ip)
        self.world = started.world
        self.inherits = Inherits(self, seat.status, seat.history, place, self._write_soon)
        super().__init__(cluster, started, seat.ip, seat)
        self.world = self.inherits.chronicle.recalled(self.world, self.clock.now)
        self.lead = Lead(0, f"{seat.ip}:9988", nonce)
        self.in_loop(self._begin)

    # The loop

    def in_loop(self, call: Callable[[], Any]) -> Any:
        """Return what a call comes to in the loop, which does then all that is due."""
        said: list[Any] = []
        self.loop.now = max(self.loop.now, self.clock.now)
        self.loop.call_soon(lambda: said.append(call()))
        self._move()
        return said[0]

    def _move(self) -> None:
        self.loop.move(self.clock.now)
        if self._errors:
            raise self._errors[0]
        for task in (self._running, self._learning):
            if task.done() and not task.cancelled():
                task.result()
        if (due := self.loop.due) < inf and (due < self._armed or self._armed <= self.clock.now):
            self._armed = due
            self.clock.at(due, self._wake)

    def _wake(self) -> None:
        if not self._sleeps(self._wake):
            self._move()

    def hear(self, told: "asyncio.Future[object]", said: object, name: str, token: str) -> None:
        """Take in an answer to what was asked in the loop, with the token of the agent."""
        if self._sleeps(self.hear, told, said, name, token):
            return

        def take() -> None:
            if not told.done():
                if name:
                    self.heard_token(name, token)
                told.set_result(said)

        self.in_loop(take)

    def _begin(self) -> None:
        own = cast("Any", self)
        self.leading = Leading(self.world.conf, own, lambda: self.world, self.post, self._take_over, own)
        self._running = self.loop.create_task(self.leading.run())
        self._learning = self.loop.create_task(self.inherits.real.run())

    async def _take_over(self, record: Record) -> None:
        """Begin to lead. A monitor gives the lead up where that fails, and goes on: here it is what is looked for."""
        try:
            await self._begin_with(record)
        except Exception as error:
            self._errors.append(error)
            raise

    async def _begin_with(self, record: Record) -> None:
        self.world = await self.inherits.real.begin(record, cast("Any", self))
        self.inherits.begins(record, self.clock.now)
        self._left += self.orders.values()
        self.orders.clear()
        self._kills.clear()
        self.several.begins(self)

    def end(self) -> None:
        """Let it die."""
        self.gone = True
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.move(self.loop.now)
        self.loop.close()

    def stop(self, ended: Callable[[], None]) -> None:
        """Be stopped in order: say that it leads no more, then end."""

        def leave() -> None:
            self._running.cancel()
            task = self.loop.create_task(self.leading.leave())
            task.add_done_callback(lambda _: self.clock.after(0.0, ended))

        self.in_loop(leave)

    # What it keeps

    def _said(self, before: World) -> None:
        self.inherits.chronicle.between(before, self.world)

    def _turned(self, result: Turn) -> None:
        self.inherits.chronicle.turn(self.world, result.changes)
        in_use = {
            each.host for each in result.changes if isinstance(each, Change) and each.after is State.ONLINE
        }
        self.inherits.let_go -= in_use

    def _write_soon(self) -> None:
        if not self._writing:
            self._writing = True
            self.clock.after(0.02 * self.clock.random(), self._write)

    def _write(self) -> None:
        if not self._sleeps(self._write):
            self._writing = False
            self.inherits.saving.now()
            if self.several.monitor is self and self.world.mode is not Mode.PASSIVE:
                self.watch.reloaded(self.world, self.disk.file)

    def _recorded(self, order: Tell) -> Tell:
        if self.inherits.saving.is_due_before(order):
            self.inherits.saving.now()
        return self.inherits.saving.as_recorded(order)

    async def memory(self, ip: str, behind: Position) -> Memory | None:
        """Return what the monitor knows that leads there."""
        told: asyncio.Future[object] = self.loop.create_future()
        self.several.ask_monitor(self, ip, lambda other: other.inherits.answer(behind), told)
        said = await _heard(told, LIMIT)
        known = decoded(said) if isinstance(said, str) else None
        if known is not None:
            self.inherits.heard(behind, known, self.clock.now)
        return known

    # What it does as a monitor

    def _kill(self, order: KillHost) -> None:
        if order.host in self.inherits.let_go:
            raise ViolationError(f"{order.host} is killed again, and had no VIP any more")
        super()._kill(order)

    def post(self, event: Event) -> None:
        """Take an event in; the decision follows."""
        before = self.world.leadership.place
        super().post(event)
        if self.world.leadership.place is not before:
            self.several.placed(self, self.world.leadership.place)

    def command(self, words: str) -> None:
        """Carry out a command, where it leads, or the command is for who stands by."""
        if self.gone or refused(self.world, words.split()) is not None:
            return
        super().command(words)

    def _every_order_ends(self) -> None:
        """Do not look: what was ordered before it came to lead is not in its world."""

    def _waits_for(self, order: Tell) -> bool:
        return super()._waits_for(order) or any(order is each for each in self._left)

    def _done_with(self, order: Tell) -> None:
        if super()._waits_for(order):
            super()._done_with(order)
        else:
            self._left = [each for each in self._left if each is not order]

    def _counts(self, order: Tell) -> bool:
        return self.several.monitor is self and not any(order is each for each in self._left)

    def _took(self, order: Tell, event: Answered) -> None:
        if event.token:
            self.in_loop(partial(self.heard_token, order.host, event.token))
        if order.greet:
            self.in_loop(lambda: self.loop.create_task(self._greeted(event)))
        else:
            before = self.world
            self.post(event)
            self.inherits.chronicle.told(before, self.world, order, 0.0, str(event.answer))
        if event.uptime is not None:
            self.inherits.let_go.discard(order.host)

    def once_bound(self, host: str, send: Callable[[], None]) -> None:
        """Send an order once the agent may be sent it."""

        async def bind() -> None:
            if await self.binds(self.world.conf.hosts[host], SET_STATUS):
                send()

        if self.loop.is_running():
            self.loop.create_task(bind())
        else:
            self.in_loop(lambda: self.loop.create_task(bind()))

    async def _greeted(self, event: Answered) -> None:
        await self.leading.refresh()
        self.post(event)

    # What it asks of agents, and of the other monitor

    async def _question(self, name: str, limit: float, answer: Callable[[], object]) -> Any:
        """Return what an agent answers; None where it does not."""
        machine = self.several.machine(name)
        if not machine.link_to_monitor(self.ip):
            await asyncio.sleep(CONNECT_TIMEOUT)
            return None
        if not machine.agent_up:
            return None
        told: asyncio.Future[object] = self.loop.create_future()
        self.several.carry(self, name, answer, told)
        return await _heard(told, limit)

    async def ask(self, host: Host, request: Request, limit: float) -> Spoken:
        """Return what an agent answers to the question for the lead."""
        asked = voting.asked(request)
        if asked.epoch is not None and asked.length == 0:
            self.several.released.setdefault(asked.epoch, self.clock.now)
        reply: Reply | None = await self._question(
            host.name, limit, partial(self.several.vote, host.name, request)
        )
        return Spoken(Answer.SILENT, "no answer") if reply is None else of_reply(reply)

    async def status(self, host: Host) -> Told:
        """Return what an agent was told."""
        agent, machine = self.several.agents[host.name], self.several.machines[host.name]
        look = lambda: Told(agent.status, machine.uptime, stays=agent.core.held.stays)  # noqa: E731
        told: Told | None = await self._question(host.name, QUESTION_TIMEOUT, look)
        return told or Told()

    async def system(self, host: Host) -> SystemStatus | None:
        """Return what an agent sees."""

        def look() -> SystemStatus:
            seen = self.several.machines[host.name].look()
            vips = tuple(vip for vip in self.world.conf.vips if vip.ip in seen.bound)
            return SystemStatus(seen.writable is True, vips, seen.source.ip if seen.source else "")

        system: SystemStatus | None = await self._question(host.name, ORDER_TIMEOUT / 3, look)
        return system

    async def run(self) -> None:
        """See again and again whether the other monitor answers."""
        while True:
            self.answering = tuple(ip for ip in self.listed if self.several.meet(self.ip, ip))
            await asyncio.sleep(PERIOD)

    async def words(self, epoch: Lead, length: float, but: str = "") -> bool:
        """Tell whether the others give their word."""
        return await self._all(refrain.Asked(epoch, length, hand_over=bool(but)), but)

    async def stand_by(self) -> bool:
        """Tell whether the others neither lead nor ask for the lead."""
        return await self._all(refrain.Asked(None, 0))

    async def _all(self, asked: refrain.Asked, but: str = "") -> bool:
        said = [await self._word(ip, asked) for ip in self.listed if ip != but]
        return all(each == refrain.GIVEN for each in said)

    async def _word(self, ip: str, asked: refrain.Asked) -> object:
        told: asyncio.Future[object] = self.loop.create_future()
        self.several.ask_monitor(self, ip, lambda other: other.leading.word(asked), told)
        return await _heard(told, LIMIT)


async def _heard(told: "asyncio.Future[object]", limit: float) -> Any:
    """Return what is told within `limit` seconds; None where nothing is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit):
            return await told
    return None
