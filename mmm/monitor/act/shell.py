"""The monitor at work: turns what happens into events, lets the deciders decide, carries their orders out.

It decides nothing itself. Everything runs side by side in one event loop; each order ends in exactly one event,
and a decision follows an event at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from mmm.config.model import Host, Monitor
from mmm.config.names import CHECK_NAMES
from mmm.doctor.look_monitor import from_within
from mmm.doctor.rules import examine
from mmm.monitor.act import status_file
from mmm.monitor.act.agents import Agents, Spoken
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.find_out import Finder
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.kill_host import kill_host
from mmm.monitor.act.network_check import watch
from mmm.monitor.apply.apply import apply
from mmm.monitor.apply.quiet import only_heartbeat, only_transactions
from mmm.monitor.assess import checkup, cut_off, other_monitor, trap
from mmm.monitor.command import dispatch
from mmm.monitor.command.command_result import Awaited, outcome
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import leases
from mmm.monitor.decide.move import phases
from mmm.monitor.decide.turn import turn
from mmm.monitor.report import answers
from mmm.monitor.world.events import (
    Answer,
    Answered,
    Doubted,
    Event,
    Examined,
    Killed,
    LogRead,
    Noted,
    VipLooked,
)
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.move import Phase
from mmm.monitor.world.orders import (
    AskOthers,
    KillHost,
    LookForVip,
    Order,
    ReadLog,
    Tell,
)
from mmm.monitor.world.world import Mode, World
from mmm.network.icmp import Pinger
from mmm.network.neighbours import is_absent
from mmm.process import log_queue
from mmm.wire import lead, questions
from mmm.wire.doubts import doubts_in
from mmm.wire.status import is_leaving, took_in
from mmm.wire.why import refusal_to_follow, why

log = logging.getLogger(__name__)

TICK = 0.25  # with a short lease a part of that, so that it is renewed when it should be
"""Seconds between two turns when nothing happens: how late a rule that waits for time may be."""
FAREWELL = 2.0
"""Seconds that a monitor which is stopped takes to tell the active master that nobody renews its lease now."""
_LONG_TURN = 0.005
"""Seconds that a turn takes where hosts are many; of few the next one waits for nothing."""
_AT_ONCE = 50
_SPREAD = 0.02
"""So many orders of a turn are begun at once, the next ones so many seconds later: the first do not wait for all."""
NOTES_PERIOD = 15.0
"""Seconds between two questions to the agent of a possible master what it sees of its server."""
NOTES_AGAIN = 3.0
"""The same while its server waits for space on its disk."""
COMMAND_LIMIT = 40.0
"""Seconds after which a command is answered though agents have not confirmed it yet."""


@dataclass
class _Waiting:
    awaited: Awaited
    answer: "asyncio.Future[Verdict]"


class Shell:
    """A running monitor."""

    def __init__(
        self, world: World, monitor: Monitor, agents: Agents, checks: Checks, pinger: Pinger
    ) -> None:
        self.world = world
        self._monitor = monitor
        self._agents = agents
        self._checks = checks
        self._pinger = pinger
        self._finder = Finder(agents, checks, pinger, lambda: self.world, self.post)
        lease = world.conf.vip_lease
        self._tick = min(TICK, lease / 10) if lease > 0 else TICK
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[_Waiting] = []
        self._turn_due: asyncio.TimerHandle | None = None
        self._lease_due: asyncio.TimerHandle | None = None
        self._rested = 0.0
        self._heard = -inf
        """When the newest check began that a host answered."""
        self._saved = ""
        self._save_wanted = asyncio.Event()
        self._saving = asyncio.Lock()
        offset = time.time() - time.monotonic()
        self._wall = lambda moment: moment + offset
        self._chronicle = Chronicle(Path(f"{monitor.status_path}.history"), self._wall)
        self.world = self._chronicle.with_last_writer(world)

    async def run(self) -> None:
        """Watch the cluster until cancelled."""
        for position, (host, check) in enumerate(self._all_checks()):
            self._start(self._repeat(host, check, position / len(CHECK_NAMES) / len(self.world.hosts)))
        for host in self.world.conf.masters:
            self._start(self._ask_for_notes(host))
        self._start(self._check_up())
        if cut_off.fell_silent_together(self.world):
            self.world = cut_off.unjudged(self.world)
            log.critical("network: no host answers: the monitor takes itself to be cut off")
        looks = watch(self._monitor, self._pinger, lambda: self.world, lambda: self._heard, self.post)
        self._start(looks)
        self._start(self._save_changes())
        try:
            while True:
                self._take_turn()
                await asyncio.sleep(self._tick)
        finally:
            for task in self._tasks:
                task.cancel()
            self._cancel_turns()
            await self._leave()
            self._save(self._to_save())

    async def _leave(self) -> None:
        """Grant the holder of the active master role a lease without an end, for nobody renews it now.

        Then agents are free to follow another monitor.
        """
        if not self.world.network_up:
            return
        if (last := leases.farewell(self.world)) is not None:
            await self._tell_farewell(last)
        await self._agents.free([self.world.conf.hosts[name] for name in other_monitor.followers(self.world)])

    async def _tell_farewell(self, last: Tell) -> None:
        link = replace(self.world.hosts[last.host].agent, given=leases.sent(self.world, last))
        self.world = self.world.with_agent(last.host, link)
        self._save(self._to_save())
        last = status_file.as_recorded(self._saved, last, self.world.conf.vip_lease)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._agents.tell(self.world.conf.hosts[last.host], last)

    def post(self, event: Event) -> None:
        """Take an event in; the decision follows as soon as all that came with it is in.

        Of a thousand hosts a turn takes some milliseconds. For as long as such a one took the next one waits, so
        that no more than half of the time goes into turns while a thousand answers come in.
        """
        before, now = self.world, time.monotonic()
        self.world = apply(before, event, now)
        if self.world is before:
            return
        if only_transactions(before, self.world, event):
            return
        if not self._waiting and only_heartbeat(before, self.world, event, now):
            return
        self._chronicle.between(before, self.world)
        if self._turn_due is None:
            self._turn_due = asyncio.get_running_loop().call_at(self._rested, self._take_turn)

    async def command(self, words: Sequence[str], lack: Callable[[], str] = str) -> str | None:
        """Return the answer to an admin's command, None where there is no such command.

        `lack` says why the client may change nothing, empty when it may.
        """
        text = answers.answer(self.world, words, time.monotonic(), self._wall, self._chronicle.entries)
        if text is not None:
            return text
        command = dispatch.ordered(words)
        if command is None:
            return None
        if dispatch.changes(words) and (lacks := lack()):
            return str(Verdict("not_allowed", {"why": lacks}))
        result = await self._finder.carried(command)
        log.info("command '%s': %s", " ".join(words), result.text.partition("\n")[0])
        before, self.world = self.world, result.world
        self._chronicle.between(before, self.world)
        if result.entry is not None:
            self._chronicle.noted(result.entry)
        self._chronicle.commanded(before, self.world)
        self._take_turn()
        return result.text if result.awaits is None else str(await self._await(result.awaits))

    async def _await(self, awaited: Awaited) -> Verdict:
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(awaited, answer)
        self._waiting.append(waiting)
        self._answer_waiting()
        try:
            async with asyncio.timeout(COMMAND_LIMIT):
                return await answer
        except TimeoutError:
            return Verdict("not_in_time", {"limit": COMMAND_LIMIT})
        finally:
            self._waiting.remove(waiting)
            log_queue.release()

    def _answer_waiting(self) -> None:
        for waiting in self._waiting:
            answer = outcome(self.world, waiting.awaited)
            if answer is not None and not waiting.answer.done():
                waiting.answer.set_result(answer)

    def _take_turn(self) -> None:
        self._cancel_turns()
        began = time.monotonic()
        result = turn(self.world, began)
        self.world = result.world
        self._chronicle.turn(self.world, result.changes)
        for order, after in self._spread(result.orders):
            self._start(self._carry_out(order, after=after))
        self._save_wanted.set()  # what events and commands have changed is to be saved too
        self._answer_waiting()
        ended = time.monotonic()
        self._wait_for_lease(began)
        took = ended - began
        self._rested = ended + took if took > _LONG_TURN else 0.0

    def _wait_for_lease(self, now: float) -> None:
        """Have a turn at the very moment when a lease runs out that the active master role waits for."""
        moment = leases.next_run_out(self.world, now)
        if moment < now + self._tick:
            self._lease_due = asyncio.get_running_loop().call_at(moment, self._take_turn)

    def _cancel_turns(self) -> None:
        for due in (self._turn_due, self._lease_due):
            if due is not None:
                due.cancel()
        self._turn_due = self._lease_due = None

    def _spread(self, orders: Sequence[Order]) -> Iterator[tuple[Order, float]]:
        """Yield a turn's orders, each with the seconds that it waits: not many at once, and slaves after masters."""
        masters = sum(not self._is_minor(order) for order in orders)
        for place, order in enumerate(sorted(orders, key=self._is_minor)):
            behind = place // _AT_ONCE + (0 < masters <= place)
            yield order, behind * _SPREAD

    def _is_minor(self, order: Order) -> bool:
        """Tell whether an order is for a slave: of a thousand those for possible masters come first."""
        return not self.world.can_be_active_master(order.host)

    async def _carry_out(self, order: Order, *, after: float = 0.0) -> None:
        if after:
            await asyncio.sleep(after)
        match order:
            case Tell():
                await self._tell(order)
            case KillHost():
                await self._kill(order)
            case LookForVip():
                await self._look_for(order)
            case AskOthers():
                conf = self.world.conf.hosts
                others = [conf[name] for name in order.others]
                self.post(await self._agents.opinions(conf[order.host], others))
            case ReadLog():
                host = self.world.conf.hosts[order.host]
                self.post(LogRead(order.host, await self._checks.read_log(host, order.since)))

    async def _look_for(self, order: LookForVip) -> None:
        host = self.world.conf.hosts[order.host]
        looks = [is_absent(self._pinger, order.vip.ip)]
        if order.witnesses:
            others = [self.world.conf.hosts[name] for name in order.witnesses]
            looks += [is_absent(self._pinger, host.ip), self._agents.absent(host, order.vip.ip, others)]
        absent = all(await asyncio.gather(*looks))
        before = self.world
        self.post(VipLooked(order.host, order.vip, absent))
        held = before.hosts[order.host].agent.may_hold - self.world.hosts[order.host].agent.may_hold
        if held:
            about = {"host": host.name, "vip": order.vip, "host_too": bool(order.witnesses)}
            absent_now = Happened("absent", about)
            log.warning("%s", absent_now)
            self._chronicle.noted(absent_now)

    async def _kill(self, order: KillHost) -> None:
        log.critical("%s: cannot be told that it lost its roles: running kill_host", order.host)
        failure = await kill_host(self._monitor, order.host, pings=order.pings)
        if failure:
            log.critical("%s: could not be killed: %s. %s", order.host, failure, self._unkilled(order.host))
        else:
            log.warning("%s: killed by kill_host", order.host)
        self.post(Killed(order.host, failure))

    async def _tell(self, order: Tell) -> None:
        started, host = time.monotonic(), self.world.conf.hosts[order.host]
        try:
            if self._is_to_be_recorded(order):
                await self._record()
            sent = status_file.as_recorded(self._saved, order, self.world.conf.vip_lease)
            spoken = await self._agents.tell(host, sent)
        except Exception as error:
            log.exception("%s: telling its agent ended by an error of its own", order.host)
            spoken = Spoken(Answer.SILENT, f"error of the monitor: {error}")
        took, before, reply = time.monotonic() - started, self.world, spoken.reply
        await self._go_on(_answered(order, spoken))
        if reply is not None and (doubts := doubts_in(reply)) is not None:
            self.post(Doubted(order.host, doubts))
        if order.greet and reply is not None:
            return
        parts = took_in(reply) if reply is not None else ()
        self._chronicle.told(before, self.world, order, took, str(spoken.answer), parts)
        lost = self.world.loss
        if (
            lost is not None and not lost.known and lost.taker == order.host
        ):  # what it has got says what was lost
            for result in await self._checks.look_anew(host):
                self.post(result)

    def _is_to_be_recorded(self, order: Tell) -> bool:
        """Tell whether the status file has to be written before an order: for what it grants, or for what follows it.

        Once a host has let go of the role that moves, nobody can write until the next one is told.
        """
        if phases.lets_go(self.world.move, order.host, order.status):
            return True
        return order.lease is not None and not status_file.covers(self._saved, order)

    async def _go_on(self, answered: Answered) -> None:
        """Take an answer in. Where a move waited for it, the next order goes out before anything is said or written."""
        if self.world.move is not None:
            log_queue.hold(asyncio.get_running_loop().call_later)
        self.post(answered)
        if self.world.move is not None and self.world.move.phase is Phase.PROMOTING:
            self._take_turn()
            for _ in range(2):  # the order is a task, and so is the wait for its answer
                await asyncio.sleep(0)

    def _unkilled(self, name: str) -> str:
        """Return what follows when a host could not be killed."""
        if self.world.guarded:
            return f"What it may hold stays until its lease has run out; to be sure, switch {name} off."
        return f"Two hosts may now hold the same IP: switch {name} off."

    def _all_checks(self) -> list[tuple[Host, str]]:
        return [(host, check) for host in self.world.conf.hosts.values() for check in CHECK_NAMES]

    async def _repeat(self, host: Host, name: str, phase: float) -> None:
        """Run one check for ever; `phase`, a part of its period, keeps the checks from starting all at once."""
        conf = self.world.conf.checks[name]
        await asyncio.sleep(conf.check_period * phase)
        early = False
        due = time.monotonic()
        while True:
            started = time.monotonic()
            if started - due > conf.check_period or due > started:  # late by more than a run, or woken early
                due = started
            result = await self._checks.run(host, name)
            if result.answered:
                self._heard = started
            if self.world.network_up:
                self.post(result)
            status = self.world.hosts[host.name].checks[name]
            ended = time.monotonic()
            due = trap.due(status, due, conf.check_period, conf.trap_period, ended - started)
            left = max(0.0, due - ended)
            if early:  # once between two regular runs: a server may end every connection at once
                await asyncio.sleep(left)
                early = False
            else:
                early = await self._checks.wait(host, name, left)

    async def _ask_for_notes(self, host: Host) -> None:
        """Ask for ever what the host's agent sees of its server; one of MMM 2.x is not asked."""
        while True:
            link = self.world.hosts[host.name].agent
            if link.told is not None and not (link.about.classic or link.unreachable):
                notes, doubts = await self._agents.notes(host)
                if notes is not None:
                    self.post(Noted(host.name, notes))
                if doubts is not None:
                    self.post(Doubted(host.name, doubts))
            full = self.world.hosts[host.name].noted(questions.DISK_FULL)
            await asyncio.sleep(NOTES_AGAIN if full else NOTES_PERIOD)

    async def _check_up(self) -> None:
        """Have the doctor ask the agents for ever whether the next failover would go well."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="doctor")
        try:
            while True:
                await asyncio.sleep(checkup.next_look(self.world))
                if self.world.network_up and self.world.move is None:
                    look = partial(from_within, self.world.conf, self._monitor)
                    found = examine(await loop.run_in_executor(thread, look))
                    self.post(Examined(checkup.errors(self.world, found)))
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    async def _save_changes(self) -> None:
        while True:
            await self._save_wanted.wait()
            self._save_wanted.clear()
            await asyncio.sleep(0)  # the orders of the turn go out first
            await self._record()

    async def _record(self) -> None:
        """Have the status file say what the world is, before a lease is granted by it."""
        async with self._saving:
            text = self._to_save()
            await asyncio.get_running_loop().run_in_executor(None, self._save, text)

    def _to_save(self) -> str:
        """Return what the status file is to say; in passive mode it stays, but for leases (rule 6.7)."""
        if self.world.mode is Mode.PASSIVE:
            return status_file.with_leases(self._saved, self.world)
        return status_file.encode(self.world)

    def _save(self, text: str) -> None:
        """Write the status file where it has changed."""
        if text == self._saved:
            return
        path = Path(self._monitor.status_path)
        try:
            status_file.write(path, text)
            self._saved = text
        except OSError as error:
            log.error("status file %s cannot be written: %s", path, error.strerror or error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a task of the monitor ended by an error of its own", exc_info=error)


def _answered(order: Tell, spoken: Spoken) -> Answered:
    """Return the event that an order has come to."""
    reply, event = (
        spoken.reply,
        Answered(order.host, order.number, spoken.answer, spoken.text, closed=spoken.closed),
    )
    if reply is None:
        return event
    follows = lead.followed(reply) if reply.why == lead.OTHER_MONITOR else ""
    return replace(
        event,
        uptime=reply.uptime,
        token=reply.token,
        why=why(reply),
        refuses_to_follow=refusal_to_follow(reply),
        leaving=is_leaving(reply),
        follows=follows,
        stranger=lead.stranger(reply),
        differs=lead.differs(reply),
    )
