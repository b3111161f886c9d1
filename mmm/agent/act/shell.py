"""Carries out what the agent's core decides: sockets, threads, timers. The loop alone assigns what is known.

Jobs in threads return values. Each action that ends in an event ends in exactly one, whatever goes wrong.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from mmm.agent.act.change import Changes
from mmm.agent.act.ending import Ending
from mmm.agent.act.lease_jobs import INTERNAL, LeaseJobs
from mmm.agent.act.memory import Memory
from mmm.agent.act.rivals import Rivals
from mmm.agent.act.sayings import say
from mmm.agent.act.staying import Staying, remembered
from mmm.agent.act.steps import Steps
from mmm.agent.decide import actions, lease_watch
from mmm.agent.decide import core as decide
from mmm.agent.decide.actions import Action, AskPromises, Change, Order, Prepared
from mmm.agent.decide.core import Core, Site, Step
from mmm.agent.decide.failure import Failure, failures
from mmm.agent.decide.held_lease import HeldLease
from mmm.agent.decide.new_conf import inherited
from mmm.agent.decide.obedience import Changed, Outcome
from mmm.agent.decide.plan import Facts
from mmm.clock import clock, wall_ahead
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import Grant
from mmm.network.arp import Announcer
from mmm.network.vips import Interface
from mmm.process import log_queue
from mmm.wire.promises import AskedPromise
from mmm.wire.status import Status
from mmm.wire.why import NO_PROMISE

log = logging.getLogger(__name__)


class Shell:
    """The hands of one agent; lives in an asyncio loop. `close` it.

    `tell` is told what is known, whenever that changes. `is_agreed` tells whether the monitor knows of the same hosts
    of the active master role. `before` is what the agent knew whose place this one takes.
    """

    def __init__(
        self,
        conf: Cluster,
        known: Facts,
        interface: Interface,
        announcer: Announcer,
        tell: Callable[[Core], None],
        is_agreed: Callable[[], bool],
        before: Core | None = None,
    ) -> None:
        self._conf = conf
        self._here = here = conf.hosts[conf.this]
        self._interface = interface
        self._announcer = announcer
        self._tell = tell
        self._is_agreed = is_agreed
        self._memory, now, where = Memory(here.pid_path), clock(), decide.site(conf, known)
        held = self._memory.lease(conf.vip_lease, now, where.rivals)
        core = inherited(before, where) if before else self._begun(where, held)
        self._core = remembered(core)
        self._ahead = wall_ahead() or 0.0
        self._heard = now
        """When another host, or the monitor, was heard last."""
        tell(self._core)
        self.steps = Steps(conf, interface, announcer, self._lifetime, self._holds)
        self._changes = Changes(conf, interface, self.steps, lambda: self._core.held, known)
        self._rivals = Rivals(conf, self.heard)
        self.staying = Staying(self._memory, self._rivals, lambda: self._core, self._take, self._run)
        self.ending = Ending(here.name, lambda: self._core, self._ask_to_stay)
        self._numbers = 0
        self._answers: dict[int, asyncio.Future[Outcome]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False
        self._closed = False
        self._changer = ThreadPoolExecutor(1, thread_name_prefix="change")
        self.jobs = LeaseJobs(conf, interface, self._lifetime)

    @property
    def core(self) -> Core:
        """What is known now."""
        return self._core

    # What is asked of the agent

    async def order(self, status: Status, grant: Grant | None) -> Outcome:
        """Have an order carried out; returns what it came to."""
        number, answer = self._number()
        self._take(decide.ordered(self._core, Order(number, status, grant), clock()))
        return await answer

    async def clear(self) -> Outcome:
        """Have unbound what is not assigned; returns what that came to."""
        number, answer = self._number()
        self._take(decide.clear(self._core, number, clock()))
        return await answer

    async def prepare(self) -> str:
        """Be prepared for the next order; returns what is wrong with a server."""
        prepared, problem = await self._get_ready(self._changes.get_ready)
        self._take(decide.ready(self._core, prepared, clock()))
        return problem

    def promise(self, asked: AskedPromise) -> Failure | None:
        """Promise to another host that this one refuses the writer role, once that is written; returns why not."""
        now = clock()
        core, refused = lease_watch.promise(self._core, asked, now)
        if refused is not None:
            self._take((lease_watch.asked_by_rival(self._core, now), ()))
            return refused
        if unwritten := self._memory.keep_promises(core.held, now):
            return Failure(unwritten, NO_PROMISE)
        self._take((core, ()))
        return None

    def claimed(self, ip: str) -> bool:
        """Take it that another MAC claims a VIP; tells whether others are asked first, before it is announced again."""
        core, asks = lease_watch.claimed(self._core, ip, clock())
        if core is not self._core:
            self._look(core)
        return asks

    def give_back(self, holder: str, token: str) -> bool:
        """Be bound no more by what was promised to `holder` up to the token; tells whether anything was."""
        core = lease_watch.promise_returned(self._core, holder, token)
        if core is self._core:
            return False
        self._memory.keep_promises(core.held, clock())  # else a later start keeps to it for longer
        self._take((core, ()))
        return True

    def found(self, vip: Vip, left: float) -> None:
        """Keep to what an earlier agent was given: the kernel keeps this VIP for `left` seconds more."""
        self._take((lease_watch.found(self._core, vip, left, clock()), ()))

    def heard(self) -> None:
        """Note that somebody was heard: the host is not alone."""
        self._heard = clock()

    def reassert(self) -> None:
        """Put right what is assigned and has changed since."""
        self._take(decide.reassert(self._core, clock()))

    async def close(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Let the change that is being made come to its end, have `before` done, and end; nothing is unbound.

        One that takes longer goes on in its thread, but allows and binds no more: another agent may have given the
        role away by then.
        """
        self._core = decide.close(self._core)
        if not await self.ending.at_rest():
            log.error(
                "%s: a change has not come to its end: it allows and binds nothing more", self._here.name
            )
        self._closed = True
        if before is not None:
            await before()
        for timer in (self._again, self._timer):
            if timer is not None:
                timer.cancel()
        self._watching = False
        for task in self._tasks:
            task.cancel()
        self._changer.submit(self._changes.close)
        self._changer.shutdown(wait=False)
        self.jobs.close()
        self._memory.fence.settle()

    def watch(self, tls: ssl.SSLContext | None) -> None:
        """Watch over the leases from now on; `tls` is for questions to other agents."""
        self._rivals.tls = tls
        self._watching = True
        self._tick()

    # What is known

    def _lifetime(self, vip: Vip) -> int:
        return -1 if self._closed else lease_watch.lifetime(self._core, vip, clock())

    def _holds(self) -> bool:
        return not self._closed and lease_watch.holds(self._core, clock())

    def _begun(self, where: Site, held: HeldLease) -> Core:
        memory = self._memory
        fenced = not memory.fence.is_there() or not where.leases
        return decide.begun(where, held, offline=memory.is_offline(), fenced=fenced)

    async def _ask_to_stay(self) -> None:
        await self.staying.ask(agreed=self._is_agreed())

    def _number(self) -> "tuple[int, asyncio.Future[Outcome]]":
        self._numbers += 1
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._answers[self._numbers] = answer
        return self._numbers, answer

    def _take(self, step: Step) -> None:
        """Know what is known from now on, and do what follows."""
        before, (self._core, follows) = self._core, step
        if self._core.offline != before.offline:
            self._memory.keep_offline(offline=self._core.offline)
        self._tell(self._core)
        self.ending.look()
        for action in follows:
            self._do(action)
        if self._core.watch.is_fenced != before.watch.is_fenced or decide.begins_role(before, self._core):
            self._memory.fence.keep(fenced=self._core.watch.is_fenced)
        if self._watching:
            self._arm()

    def _tick(self) -> None:
        """Look at the lease if there is something to see: to be woken for nothing would cost twice as much."""
        self._timer = None
        before, now = self._ahead, clock()
        self._ahead = wall_ahead() or before
        if contested := lease_watch.stood(self._core, self._ahead - before, now):
            text = "the wall clock went %+.2f s against that of leases: this machine was paused, or its time was set"
            log.warning(text, self._ahead - before)
            self._look(contested)
        elif lease_watch.is_due(self._core, now):
            self._look(self._core)
        self._arm()

    def _look(self, core: Core) -> None:
        self._take(lease_watch.look(core, clock(), agreed=self._is_agreed(), heard=self._heard))

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + lease_watch.pause(self._core, clock())
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._tick)

    # What is done

    def _do(self, action: Action) -> None:
        match action:
            case actions.Answer(order, outcome):
                self._answer(order.number, outcome)
                self.ending.ordered()
            case actions.AnswerClear(number, outcome):
                self._answer(number, outcome)
            case actions.Confirm():
                self._announcer.confirm()
            case actions.Announce(vips):
                self._announcer.hold(vip.ip for vip in vips if vip in self._conf.bound_vips)
                self._look_again(None)
            case actions.EndAnnouncing(vips) | actions.SayAgain(vips):
                ends = isinstance(action, actions.EndAnnouncing)
                for vip in vips:
                    (self._announcer.end if ends else self._announcer.again)(vip.ip)
            case actions.LookAgain(seconds):
                self._look_again(seconds)
            case actions.Assigned(before, after):
                if self._core.site.is_writer(before) != self._core.site.is_writer(after):
                    log_queue.hold(asyncio.get_running_loop().call_later)  # clients wait for the change
                say(self._here.name, action)
            case actions.LeaseOver() | actions.Outdone() | actions.RenewedByPromises():
                say(self._here.name, action)
            case _:
                self._start(action)

    def _start(self, action: Action) -> None:
        """Begin what takes time."""
        match action:
            case Change():
                self._run(self._change(action))
            case actions.GetReady():
                self._run(self._be_ready())
            case actions.Deny():
                self._run(self._deny())
            case actions.Unbind(vips):
                self._run(self._unbind(vips))
            case actions.Renew(vips):
                self._run(self.jobs.renew(vips))
            case actions.Reach():
                self._run(self._reach())
            case AskPromises():
                self._asking = self._run(self._ask_promises(action))
            case actions.GiveBack(token):
                if self._asking is not None:
                    self._asking.cancel()
                self._run(self._give_back(token))

    def _run(self, work: "Awaitable[None]") -> "asyncio.Task[None]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _answer(self, number: int, outcome: Outcome) -> None:
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    def _look_again(self, seconds: float | None) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = None
        if seconds is not None:
            self._again = asyncio.get_running_loop().call_later(seconds, self._look_after)

    def _look_after(self) -> None:
        self._take(decide.look_after(self._core, clock()))

    async def _change(self, wanted: Change) -> None:
        try:
            job = asyncio.get_running_loop().run_in_executor(self._changer, self._changes.carry_out, wanted)
            came = await job
        except Exception as error:
            log.exception("a change ended by an internal error")
            came = Changed(Outcome(failures(f"{INTERNAL}: {type(error).__name__}")))
        self._take(lease_watch.changed(self._core, came, clock()))

    async def _get_ready(self, job: Callable[[], tuple[Prepared | None, str]]) -> tuple[Prepared | None, str]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._changer, job)
        except Exception as error:
            log.exception("getting ready ended by an internal error")
            return None, f"{INTERNAL}: {type(error).__name__}"

    async def _be_ready(self) -> None:
        prepared, _ = await self._get_ready(self._changes.look_ahead)
        self._take(decide.ready(self._core, prepared, clock()))

    async def _deny(self) -> None:
        failure = await self.jobs.deny()
        self._take(lease_watch.denied(self._core, failure, clock()))

    async def _unbind(self, vips: tuple[Vip, ...]) -> None:
        await self.jobs.unbind(vips)
        self._take(lease_watch.unbound(self._core, clock()))

    async def leave_for_good(self) -> None:
        """Have the VIPs stay after the agent, as far as the lease allows."""
        await self.jobs.leave_for_good(self._core, clock())

    async def _ask_promises(self, wanted: AskPromises) -> None:
        answers = await self._rivals.ask_promises(wanted.rivals, self._core.held.length, wanted.token)
        if answers.taken:
            self._take(lease_watch.outdone(self._core, wanted.asked, answers.taken, clock()))
        elif answers.missing:
            log.warning("asked whether the role may stay here: no promise of %s", "; ".join(answers.missing))
            self._take(lease_watch.not_promised(self._core, wanted.asked, clock()))
        else:
            self._take(lease_watch.promised(self._core, wanted.asked, clock()))

    async def _give_back(self, token: str) -> None:
        await self._rivals.give_back(self._core.site.rivals, token)
        self._take(decide.given_back(self._core, clock()))

    async def _reach(self) -> None:
        await self._rivals.reach(self._core.held.length)
        self._take((lease_watch.reached(self._core), ()))
