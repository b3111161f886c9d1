"""Carries out what a turn orders: agents are told, hosts killed, VIPs, others and logs looked at.

Each order ends in exactly one event, whatever goes wrong.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mmm.gtid.place import Hidden, Tail, Unread
from mmm.lease.lead import Lead
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.kill_host import kill_host
from mmm.monitor.act.leading import Leading
from mmm.monitor.act.saving import Saving
from mmm.monitor.act.spoken import Spoken, answered
from mmm.monitor.assess.out_of_date import is_out_of_date
from mmm.monitor.decide import leases
from mmm.monitor.decide.move import phases
from mmm.monitor.world.events import (
    Answer,
    Answered,
    Doubted,
    Event,
    GotAhead,
    Killed,
    LogRead,
    Opinions,
    RejoinAnswered,
    VipLooked,
)
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.move import Phase
from mmm.monitor.world.orders import AskOthers, GetAhead, KillHost, LookForVip, Order, ReadLog, Rejoin, Tell
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from mmm.network.neighbours import is_absent
from mmm.process import log_queue
from mmm.wire.doubts import doubts_in
from mmm.wire.job import ended_in
from mmm.wire.status import took_in

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Means:
    """What orders are carried out with."""

    agents: Agents
    checks: Checks
    pinger: Pinger
    saving: Saving
    chronicle: Chronicle
    leading: Leading | None = None
    """Where the conf has several monitors."""


class Orders:
    """Carries out the orders of a monitor whose world `world` returns; `post` takes events, `turn` decides at once."""

    def __init__(
        self,
        means: Means,
        world: Callable[[], World],
        post: Callable[[Event], None],
        turn: Callable[[], None],
    ) -> None:
        self._agents = means.agents
        self._checks = means.checks
        self._pinger = means.pinger
        self._saving = means.saving
        self._chronicle = means.chronicle
        self._leading = means.leading
        self._world = world
        self._post = post
        self._take_turn = turn

    async def carry_out(self, order: Order, *, after: float = 0.0) -> None:
        """Carry an order out in `after` seconds; it ends in exactly one event.

        None comes of what has been found out once this monitor leads by another epoch: hosts may have been told
        something since, and kill_host may have been over long before it ended.
        """
        by = self._agents.lead
        if after:
            await asyncio.sleep(after)
        match order:
            case Tell():
                await self._tell(order)
            case KillHost():
                self._found(await self._kill(order), by)
            case LookForVip():
                self._look_ended(await _whatever(order, self._looked_for(order)), order, by)
            case AskOthers():
                self._found(await _whatever(order, self._opinions(order)), by)
            case ReadLog():
                self._found(await _whatever(order, self._log_read(order)), by)
            case Rejoin():
                await self._rejoin(order)
            case GetAhead():
                self._found(await _whatever(order, self._got_ahead(order)), by)

    def _found(self, event: Event, by: Lead | None) -> None:
        if by == self._agents.lead:
            self._post(event)

    async def _opinions(self, order: AskOthers) -> Event:
        conf = self._world().conf.hosts
        others = [conf[name] for name in order.others if name in conf]
        return await self._agents.opinions(conf[order.host], others)

    async def _log_read(self, order: ReadLog) -> Event:
        host = self._world().conf.hosts[order.host]
        return LogRead(order.host, await self._checks.read_log(host, order.since))

    async def _got_ahead(self, order: GetAhead) -> Event:
        await self._agents.get_ahead(self._world().conf.hosts[order.host], order.of)
        return GotAhead(order.host)

    async def _looked_for(self, order: LookForVip) -> Event:
        host = self._world().conf.hosts[order.host]
        looks = [is_absent(self._pinger, order.vip.ip)]
        if order.witnesses:
            others = [
                self._world().conf.hosts[name] for name in order.witnesses if name in self._world().conf.hosts
            ]
            looks += [is_absent(self._pinger, host.ip), self._agents.absent(host, order.vip.ip, others)]
        return VipLooked(order.host, order.vip, all(await asyncio.gather(*looks)))

    def _look_ended(self, event: Event, order: LookForVip, by: Lead | None) -> None:
        before = self._world()
        self._found(event, by)
        held = before.hosts[order.host].agent.may_hold - self._world().hosts[order.host].agent.may_hold
        if held:
            about = {"host": order.host, "vip": order.vip, "host_too": bool(order.witnesses)}
            absent_now = Happened("absent", about)
            log.warning("%s", absent_now)
            self._chronicle.noted(absent_now)

    async def _rejoin(self, order: Rejoin) -> None:
        before = self._world().hosts[order.host].attempt
        event = await _whatever(order, self._rejoined(order))
        self._post(event)
        if isinstance(event, RejoinAnswered):
            self._chronicle.rebuilt_by_itself(order, event, before)

    async def _rejoined(self, order: Rejoin) -> Event:
        answer = await self._agents.rejoin(self._world().conf.hosts[order.host], order.wanted)
        if answer is None:
            return RejoinAnswered(order.host, False, ("its agent has not answered",), ("no_agent",))
        came = answer.came
        return RejoinAnswered(order.host, came.begun, came.lines, came.codes, answer.why)

    async def _kill(self, order: KillHost) -> Event:
        """Run kill_host; returns how that ended, and says it."""
        log.critical("%s: cannot be told that it lost its roles: running kill_host", order.host)
        event = await _whatever(order, self._killed(order))
        if isinstance(event, Killed) and event.failure:
            log.critical(
                "%s: could not be killed: %s. %s", order.host, event.failure, self._unkilled(order.host)
            )
        else:
            log.warning("%s: killed by kill_host", order.host)
        return event

    async def _killed(self, order: KillHost) -> Event:
        return Killed(order.host, await kill_host(self._world().monitor, order.host, pings=order.pings))

    async def _tell(self, order: Tell) -> None:
        started, host = time.monotonic(), self._world().conf.hosts[order.host]
        try:
            spoken = await self._spoken(order)
        except Exception as error:
            log.exception("%s: telling its agent ended by an internal error", order.host)
            spoken = Spoken(Answer.SILENT, f"error of the monitor: {error}")
        took, before, reply = time.monotonic() - started, self._world(), spoken.reply
        await self._go_on(answered(order, spoken))
        if reply is not None and (doubts := doubts_in(reply)) is not None:
            self._post(Doubted(order.host, doubts))
        if reply is not None and (ended := ended_in(reply)) is not None:
            self._chronicle.job_ended(order.host, ended)
        if order.greet and reply is not None:
            return
        parts = took_in(reply) if reply is not None else ()
        self._chronicle.told(before, self._world(), order, took, str(spoken.answer), parts)
        if is_out_of_date(self._world(), order):
            for result in await self._checks.look_anew(host):
                self._post(result)

    async def _spoken(self, order: Tell) -> Spoken:
        """Return what the host's agent says to an order, once the status file is written where that comes first."""
        host = self._world().conf.hosts[order.host]
        if self._saving.is_due_before(order) and not await self._recorded(order):
            return Spoken(Answer.UNSENT, f"the status file {self._saving.path}")
        sent = self._saving.as_recorded(order)
        about = self._world().hosts[order.host].agent.about
        spoken = await self._agents.tell(host, sent, busy=about.heard and not about.mmm2)
        if order.greet and self._leading is not None:
            await self._leading.refresh()
        return spoken

    async def _recorded(self, order: Tell) -> bool:
        """Have the status file written before an order; False where the order is not to be sent.

        A failover cannot wait for a disk that hangs. A planned move is given up, while its old holder has enough of
        its lease left to go on: that is not renewed meanwhile.
        """
        world = self._world()
        if not phases.lets_go(world.move, order.host, order.status):
            await self._saving.record_in_time()
            return True
        return await self._saving.record_in_time(leases.spare(world, order.host, time.monotonic()))

    async def _go_on(self, answered: Answered) -> None:
        """Take an answer in. Where a move waited for it, the next order goes out before anything is said or written."""
        if self._world().move is not None:
            log_queue.hold(asyncio.get_running_loop().call_later)
        self._post(answered)
        move = self._world().move
        if move is not None and move.phase is Phase.PROMOTING:
            self._take_turn()
            for _ in range(2):  # the order is a task, and so is the wait for its answer
                await asyncio.sleep(0)

    def _unkilled(self, name: str) -> str:
        """Return what follows when a host could not be killed."""
        if self._world().guarded:
            return f"What it may hold stays until its lease has run out; to be sure, switch {name} off."
        return f"Two hosts may now hold the same IP: switch {name} off."


_Asked = KillHost | LookForVip | AskOthers | ReadLog | Rejoin | GetAhead


async def _whatever(order: _Asked, coming: Awaitable[Event]) -> Event:
    """Return the event that an order comes to; an internal error is logged, and comes to one as if nothing was found.

    Without an event the order would be under way for ever, and nobody would look, ask or kill again.
    """
    try:
        return await coming
    except Exception as error:
        log.exception("%s: %s ended by an internal error", order.host, type(order).__name__)
        return _without_result(order, f"error of the monitor: {error}")


def _without_result(order: _Asked, why: str) -> Event:
    match order:
        case KillHost(host):
            return Killed(host, why)
        case LookForVip(host, vip):
            return VipLooked(host, vip, absent=False)
        case AskOthers(host):
            return Opinions(host)
        case ReadLog(host, since):
            unread = Unread(Hidden.NO_ANSWER, error=why)
            return LogRead(host, Tail(since, time.monotonic(), unread=unread))
        case Rejoin(host):
            return RejoinAnswered(host, begun=False, lines=(why,))
        case GetAhead(host):
            return GotAhead(host)
