"""The monitor at work: turns what happens into events, lets the deciders decide, carries their orders out.

It decides nothing itself. Everything runs side by side in one event loop; each order ends in exactly one event,
and a decision follows an event at once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmm.clock import local_time
from mmm.config.model import Cluster, Host
from mmm.lease.record import Record
from mmm.monitor.act import warnings_watch
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.control_port import Lack
from mmm.monitor.act.ending import Ending
from mmm.monitor.act.find_out import Finder
from mmm.monitor.act.following import Followers
from mmm.monitor.act.informing import Informing
from mmm.monitor.act.inheritance import Inheritance
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.leading import Leading
from mmm.monitor.act.network_check import NetworkCheck
from mmm.monitor.act.orders import Means, Orders
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.monitor.act.periodic import Periodic, kept_up
from mmm.monitor.act.saving import Saving
from mmm.monitor.act.wall import Wall
from mmm.monitor.apply.apply import apply
from mmm.monitor.apply.quiet import is_quiet
from mmm.monitor.assess import cut_off
from mmm.monitor.command import dispatch, reload
from mmm.monitor.command.asking import Command
from mmm.monitor.command.command_result import Awaited, outcome
from mmm.monitor.command.leading import elsewhere, refused
from mmm.monitor.command.next_leader import NextLeader
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import leases
from mmm.monitor.decide.found import Stored
from mmm.monitor.decide.leading import record
from mmm.monitor.decide.turn import turn
from mmm.monitor.report import answers
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.structured import answered
from mmm.monitor.world.events import Event
from mmm.monitor.world.orders import Order
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from mmm.network.line_server import Stream
from mmm.process import log_queue
from mmm.wire import memory, refrain
from mmm.wire.command import FOLLOW, without_json

log = logging.getLogger(__name__)

TICK = 0.25  # with a short lease a part of that, so that it is renewed when it should be
"""Seconds between two turns when nothing happens: how late a rule that waits for time may be."""
_LONG_TURN = 0.005
"""Seconds that a turn takes where hosts are many; of few the next one waits for nothing."""
_AT_ONCE = 50
_SPREAD = 0.02
"""Orders are begun in batches of _AT_ONCE, _SPREAD seconds apart, so that the first are not held up by the rest."""
RECORD_LIMIT = 3.0
"""Seconds for which a command is not answered while too few voters have what the next leader has to know."""
COMMAND_LIMIT = 40.0
"""Seconds after which a command is answered though agents have not confirmed it yet."""


@dataclass
class _Waiting:
    awaited: Awaited | NextLeader
    answer: "asyncio.Future[Verdict]"


async def _nothing_renewed() -> str:
    return ""


class Shell:
    """A running monitor."""

    renew: Callable[[], Awaitable[str]] = staticmethod(_nothing_renewed)
    """Has TLS files read again, and says what came of it; empty: nothing."""

    def __init__(
        self,
        world: World,
        read_conf: Callable[[], Cluster],
        agents: Agents,
        checks: Checks,
        pinger: Pinger,
        stored: Mapping[str, Stored],
    ) -> None:
        self.world = world
        self._agents = agents
        self._checks = checks
        self._finder = Finder(agents, checks, pinger, lambda: self.world, self.post, read_conf)
        self._tick = _tick(world.conf.vip_lease)
        self._tasks: dict[asyncio.Task[None], str] = {}
        """What runs beside the loop, and the host that it is about; empty: about none."""
        self._watching: dict[str, list[asyncio.Task[None]]] = {}
        """What asks each host periodically."""
        self._reloading, self._reload_due = asyncio.Lock(), False
        self.taken: Callable[[Cluster], None] = lambda _: None
        """Is told of another conf that was taken."""
        self._waiting: list[_Waiting] = []
        self._turn_due: asyncio.TimerHandle | None = None
        self._lease_due: asyncio.TimerHandle | None = None
        self._rested = 0.0
        self._saving = Saving(Path(world.monitor.status_path), lambda: self.world, stored)
        self._network = NetworkCheck(pinger, lambda: self.world, lambda: self._periodic.heard, self.post)
        self._periodic = Periodic(agents, checks, lambda: self.world, self.post, self._network.see)
        self._clock = _clock(self._periodic)
        self._chronicle = _chronicle(world, self._clock)
        self.world = self._chronicle.recalled(world, time.monotonic())
        self._informing = Informing(lambda: self.world, self._chronicle, self._clock, self._start)
        self._followers = Followers(self._chronicle, elsewhere=lambda: elsewhere(self.world))
        others = OtherMonitors(world.conf, agents.tls)
        self._leading = self._one_of_several(others) if world.conf.monitors else None
        self._inheritance = self._inheriting(others)
        means = Means(agents, checks, pinger, self._saving, self._chronicle, self._leading)
        self._orders = Orders(means, lambda: self.world, self.post, self._take_turn)

    def _one_of_several(self, others: OtherMonitors) -> Leading:
        return Leading(self.world.conf, self._agents, lambda: self.world, self.post, self._begin, others)

    def _inheriting(self, others: OtherMonitors) -> Inheritance:
        lead = lambda: self._agents.lead  # noqa: E731
        told = self._informing.told
        return Inheritance(others, lambda: self.world, lead, self._saving, self._chronicle, told)

    async def run(self) -> None:
        """Watch the cluster until cancelled."""
        for host in self.world.conf.hosts.values():
            self._ask(host)
        self._start(kept_up(self._periodic.check_up))
        if cut_off.fell_silent_together(self.world):
            self.world = cut_off.unjudged(self.world)
            log.critical("network: no host answers: the monitor assumes that it is cut off itself")
        self._start(kept_up(self._network.watch))
        self._start(kept_up(self._saving.run))
        watch = partial(warnings_watch.watch, lambda: self.world, self._chronicle, self._clock)
        self._start(kept_up(watch))
        self._informing.begin()
        if self._leading is not None:
            self._start(kept_up(self._leading.run))
            self._start(kept_up(self._inheritance.run))
        ending = Ending(self._agents, self._saving, self._leading)
        try:
            await self._take_turns()
        except asyncio.CancelledError:
            self._start(self._take_turns())
            await ending.at_rest(self.world, self._finder.until)
            raise
        finally:
            for task in self._tasks:
                task.cancel()
            self._cancel_turns()
            await ending.leave(self.world, self._know)
            self._saving.record_now()

    async def _take_turns(self) -> None:
        while True:
            self._take_turn()
            await asyncio.sleep(self._tick)

    def _ask(self, host: Host) -> None:
        """Ask a host periodically, by the conf as it is now."""
        self._watching[host.name] = [self._start(work, host.name) for work in self._periodic.of_host(host)]

    def _take_conf(self, old: Cluster) -> None:
        """Go by the conf of the world from now on, in the place of the old one: whatever was handed that."""
        conf = self.world.conf
        for warning in conf.warnings:
            if warning not in old.warnings:
                log.warning("%s", warning)
        self._checks.take(conf)
        anew = conf.checks != old.checks
        for name, host in old.hosts.items():
            if name not in conf.hosts:
                self._forget(name)
            elif anew or conf.hosts[name] != host:
                for task in self._watching.pop(name):
                    task.cancel()
        for host in conf.hosts.values():
            if host.name not in self._watching:
                self._ask(host)
        self._informing.go_by_conf()
        self.taken(conf)

    def _forget(self, name: str) -> None:
        """End all that is about a host which the conf has not got any more."""
        self._watching.pop(name, None)
        for task in [task for task, about in self._tasks.items() if about == name]:
            task.cancel()

    def reload(self) -> None:
        """Have the conf read and taken, as by the command; the log says what comes of it."""
        if not self._reload_due:
            self._reload_due = True
            self._start(self._reload())

    async def _reload(self) -> None:
        async with self._reloading:  # one that is under way may have read the conf before it was changed
            self._reload_due = False
        await self._ordered((reload.NAME,), lambda: None)

    async def _begin(self, record: Record) -> None:
        """Make the world anew, for this monitor has come to lead."""
        self.world = await self._inheritance.begin(record, self._agents)

    def _know(self, world: World) -> None:
        self.world = world

    def post(self, event: Event) -> None:
        """Take an event in; the decision follows as soon as all that came with it is in.

        Of a thousand hosts a turn takes some milliseconds. For as long as such a one took the next one waits, so
        that no more than half of the time goes into turns while a thousand answers come in.
        """
        before, now = self.world, time.monotonic()
        self.world = apply(before, event, now)
        if is_quiet(before, self.world, event, now, awaited=bool(self._waiting)):
            return
        self._chronicle.between(before, self.world)
        if self._turn_due is None:
            self._turn_due = asyncio.get_running_loop().call_at(self._rested, self._take_turn)

    async def command(self, words: Sequence[str], lack: Lack = lambda: None) -> str | Stream | None:
        """Return the answer to an admin's command, None where there is no such command.

        `lack` says why the client may change nothing, None when it may.
        """
        text = answers.answer(self.world, words, time.monotonic(), self._clock, self._chronicle.entries)
        if text is not None:
            return text
        if self._leading is not None and (asked := refrain.asked(words)) is not None:
            return f"{lack() or self._leading.word(asked)}\n"
        if self._leading is not None and (behind := memory.asked(words)) is not None:
            return self._inheritance.answer(behind, time.monotonic())
        ordered = without_json(words)
        answer = self._followers.follow(ordered) if ordered[0] == FOLLOW else None
        if isinstance(answer, Stream):
            return answer
        verdict = answer or await self._ordered(ordered, lack)
        if verdict is None:
            return None
        return str(verdict) if ordered is words else answered(verdict)

    async def _ordered(self, words: Sequence[str], lack: Lack) -> Verdict | None:
        command = dispatch.ordered(words)
        if command is None:
            return None
        if refusal := refused(self.world, words):
            return refusal
        if dispatch.changes(words) and (refusal := lack()) is not None:
            return refusal
        if words[0] != reload.NAME:
            return await self._carry_out(words, command)
        if self._reloading.locked():
            return Verdict("reload_under_way")
        async with self._reloading:
            renewed = await self.renew() if tuple(words) == (reload.NAME,) else ""
            verdict = await self._carry_out(words, command)
            return reload.with_renewed(verdict, renewed)

    async def _carry_out(self, words: Sequence[str], command: Command) -> Verdict:
        result = await self._finder.carried(command)
        log.info("command '%s': %s", " ".join(words), result.text.partition("\n")[0])
        before, self.world = self.world, result.world
        if self.world.conf is before.conf:
            self._chronicle.between(before, self.world)
        else:
            log.info("%s", result.entry)
        if result.entry is not None and (self.world.conf is before.conf or self.world.leadership.may_order):
            self._chronicle.noted(result.entry)  # the leader's history tells of the leader's conf alone
        self._chronicle.commanded(before, self.world)
        if self.world.conf is not before.conf:
            self._take_conf(before.conf)
        self._take_turn()
        if self._leading is not None:
            self._leading.obey()
        await self._see_recorded(before)
        return result.answer if result.awaits is None else await self._await(result.awaits)

    async def _see_recorded(self, before: World) -> None:
        """Wait until the monitor that leads next would know what an admin has ordered (rule 14.2)."""
        if self._leading is None or record(before) == record(self.world):
            return
        if not await self._leading.recorded(RECORD_LIMIT):
            log.warning(
                "too few voters have answered in %g s: a monitor that leads next may not know", RECORD_LIMIT
            )

    async def _await(self, awaited: Awaited | NextLeader) -> Verdict:
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
            if not waiting.answer.done() and (answer := outcome(self.world, waiting.awaited)) is not None:
                waiting.answer.set_result(answer)

    def _take_turn(self) -> None:
        self._cancel_turns()
        began = time.monotonic()
        result = turn(self.world, began)
        self.world = result.world
        self._chronicle.turn(self.world, result.changes)
        for order, after in self._spread(result.orders):
            self._start(self._orders.carry_out(order, after=after), order.host)
        self._saving.want()  # what events and commands have changed is to be saved too
        self._answer_waiting()
        self._finder.turned()
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

    def _start(self, work: Coroutine[Any, Any, None], host: str = "") -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = host
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a task of the monitor ended by an internal error", exc_info=error)


def _tick(lease: float) -> float:
    return min(TICK, lease / 10) if lease > 0 else TICK


def _clock(periodic: Periodic) -> Clock:
    return Clock(Wall().of, local_time, periodic.took)


def _chronicle(world: World, clock: Clock) -> Chronicle:
    """Return the history beside the status file."""
    path, monitors = Path(f"{world.monitor.status_path}.history"), world.conf.monitors
    place = monitors.index(world.monitor.ip) if world.monitor.ip in monitors else 0
    return Chronicle(path, clock, place, max(1, len(monitors)))
