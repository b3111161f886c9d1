"""A host's agent: the real plan, carried out step by step on the simulated machine (as mmm.agent.act.agent does)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mmm.agent.decide.failure import Failure, code_of, failures
from mmm.agent.decide.obedience import (
    Changed,
    Outcome,
    judged,
    ready_until,
    remembered,
    still_ready,
)
from mmm.agent.decide.plan import (
    UNKNOWN,
    AllowWrites,
    Chain,
    DenyWrites,
    Follow,
    Past,
    Plan,
    Seen,
    Server,
    Step,
    clear,
    facts,
    plan,
    put_right,
)
from mmm.config.model import Cluster
from mmm.lease.rules import NEVER, Grant, Refusal
from mmm.wire.agent import NO_LEASE, Reply, Status
from mmm.wire.why import LEASE_OVER, NOT_DONE, NOT_FOLLOWED, PROMISED, STALE, SUPERSEDED
from tests.simulation.clock import Clock
from tests.simulation.machine import Machine
from tests.simulation.tenancy import Tenancy
from tests.simulation.watch import Watch

Take = Callable[[Reply], None]
"""What the connection does with the answer."""

_CODES: Mapping[type, str] = {Follow: NOT_FOLLOWED}
_AGAIN = 1.0
"""Seconds after which what could not be confirmed is tried again, and that a look stays fresh."""


@dataclass(frozen=True, slots=True)
class Order:
    """A SET_STATUS that has arrived. `live` tells whether the monitor still waits for its answer."""

    status: Status
    reply: Take
    live: Callable[[], bool]
    sent: float = 0.0
    """When the monitor sent it."""
    grant: Grant | None = None
    """The lease that it grants."""


@dataclass(slots=True)
class _Work:
    """A plan that is being carried out."""

    planned: Plan
    seen: Seen
    begun: Status
    """What was assigned when it began."""
    order: Order | None
    done: Callable[["_Work"], None]
    chain: int = 0
    step: int = 0
    failures: tuple[Failure, ...] = ()
    steps: tuple[Step, ...] = ()
    """Those that were done."""
    unfinished: tuple[Chain, ...] = ()
    writes: bool | None = None
    """Writes were allowed, or denied; None: neither."""


class Agent:
    """A running agent; a restart makes a new one, which remembers nothing."""

    __slots__ = ("_facts", "_next", "_past", "_ready_until", "_work", "clock", "failed", "gone", "leaving", "looked",
                 "machine",
                 "notes", "peers", "status", "tenancy", "watch")  # fmt: skip

    def __init__(
        self, conf: Cluster, machine: Machine, clock: Clock, watch: Watch, peers: Mapping[str, "Agent"]
    ) -> None:
        self.machine = machine
        self.peers = peers
        """The agents that run now."""
        self.clock = clock
        self.watch = watch
        self.gone = self.leaving = False
        self.status = Status(UNKNOWN)
        self.looked = -_AGAIN
        self.failed = self.notes = False
        self._facts = facts(replace(conf, this=machine.name, program="AGENT"))
        self._past = Past()
        self._ready_until = 0.0
        self._next: Order | None = None
        self._work: _Work | None = None
        self.tenancy = Tenancy(conf, machine, clock, self) if conf.vip_lease else None

    @property
    def token(self) -> str:
        """Return what its answers carry."""
        return self.tenancy.tenure.token() if self.tenancy is not None else NO_LEASE

    def stop(self, end: Callable[[], None]) -> None:
        """Be stopped in order: `end` once the role is granted for good, or that takes too long.

        Who is frozen is killed instead.
        """
        frozen = max(self.machine.agent_frozen_until, self.machine.frozen_until) > self.clock.now
        self.leaving = True
        self._leave(self.clock.now + (self.tenancy.leaves if self.tenancy and not frozen else 0.0), end)

    def _leave(self, until: float, end: Callable[[], None]) -> None:
        waits = self.tenancy is not None and self.tenancy.leaves > 0 and self.clock.now < until
        if (waits or self._work is not None) and self.clock.now < until + 1.0 and not self.gone:
            self.clock.after(0.1, self._leave, until, end)
        elif not self.gone:
            end()

    def lost(self, status: Status) -> None:
        """Forget VIPs that were assigned here: their lease is over."""
        self._past = replace(self._past, held=self._past.held & frozenset(status.vips))
        self.status = status

    @property
    def stopped_replication(self) -> bool:
        """Tell whether replication is to be started when ADMIN_OFFLINE ends."""
        return self._past.offline

    def set_status(self, order: Order) -> None:
        """Take an order; of those that wait only the newest counts."""
        if refusal := self._refusal(order):
            order.reply(_refused(refusal))
            return
        if self._next is not None:
            self._next.reply(_failed(Failure("superseded by a newer order", SUPERSEDED)))
        self._next = order
        if self._work is None:
            self._begin(plan)

    def _refusal(self, order: Order) -> Refusal | None:
        if self.tenancy is None or order.grant is None:
            return None
        return self.tenancy.refusal(order.status, order.grant, self._next.grant if self._next else None)

    def reassert(self) -> None:
        """Put right what is assigned here, as after every connection."""
        fresh = self.clock.now - self.looked < _AGAIN
        if self.status.state != UNKNOWN and not (fresh or self._work or self.failed):
            self._begin(plan if self.notes else put_right)

    def clear_bad_roles(self, reply: Take) -> None:
        """Unbind what is not assigned."""
        if self.awake(self.clear_bad_roles, reply):
            return
        if self._work is not None:
            self.clock.after(0.1, self.clear_bad_roles, reply)
            return
        seen = self.machine.look()
        planned = clear(self.status.vips, seen, self._facts)
        self._work = _Work(planned, seen, self.status, None, lambda work: self._cleared(work, reply))
        self._go_on(self._work)

    def _cleared(self, work: _Work, reply: Take) -> None:
        self._work = None
        reply(_failed(*work.failures) if work.failures else Reply("OK"))
        if self._next is not None:
            self._begin(plan)

    def awake(self, call: Callable[..., None], *arguments: object) -> bool:
        """Tell whether there is nothing to do now: the agent is gone, or frozen and goes on when it thaws."""
        if self.gone:
            return True
        thaw = max(self.machine.agent_frozen_until, self.machine.frozen_until)
        if thaw > self.clock.now:
            self.clock.at(thaw, call, *arguments)
            return True
        return False

    def _begin(self, decide: Callable[..., Plan]) -> None:
        order, self._next = self._next, None
        if order is not None and (refusal := self._refusal(order)):
            order.reply(_refused(refusal))
            order, decide = None, put_right
        if order is not None:
            self.status = order.status
            if self.tenancy is not None and order.grant is not None:
                self.tenancy.begin(order.status, order.grant)
            if not self.watch.writer_ips & {vip.ip for vip in order.status.vips}:
                self.machine.caught_up = False
            if order.status.vips and not order.live():
                self.machine.excuse_until_told("an order arrived when the monitor no longer waited for it")
        seen = self.machine.look()
        now = self.machine.boottime
        self._past = still_ready(self._past, self.status, self._facts, self._ready_until, now)
        planned = decide(self.status, seen, self._facts, self._past)
        self._work = _Work(planned, seen, self.status, order, self._settle)
        if seen.server is Server.SILENT:
            self.clock.after(1.0, self._go_on, self._work)
        else:
            self._go_on(self._work)

    def _go_on(self, work: _Work) -> None:
        """Do steps until one takes time, then go on when it is over."""
        if self.awake(self._go_on, work):
            return
        while work.chain < len(work.planned.chains):
            chain = work.planned.chains[work.chain]
            takes = self.machine.duration(chain[work.step])
            if takes:
                self.clock.after(takes, self._finish_step, work)
                return
            self._do(work)
        work.done(work)

    def _finish_step(self, work: _Work) -> None:
        if not self.awake(self._finish_step, work):
            self._do(work)
            self._go_on(work)

    def _do(self, work: _Work) -> None:
        chain = work.planned.chains[work.chain]
        step = chain[work.step]
        over = self.tenancy.hinders(step) if self.tenancy is not None else ""
        failure = over or self.machine.do(step)
        if self.tenancy is not None and not failure:
            self.tenancy.bound(step)
        if self.clock.history is not None:
            self.clock.say(f"    {self.machine.name}: {step}{f': FAILED: {failure}' if failure else ''}")
        if not failure:
            work.steps += (step,)
        if not failure and isinstance(step, AllowWrites | DenyWrites):
            work.writes = isinstance(step, AllowWrites)
        if failure:
            work.failures += (
                Failure(failure, LEASE_OVER if over else _CODES.get(type(step), NOT_DONE), str(step)),
            )
            work.unfinished += (chain,)
            kept = bool(over) and self.tenancy is not None and self.tenancy.holds
            if (
                work.writes
                and not kept
                and any(isinstance(before, AllowWrites) for before in chain[: work.step])
            ):
                work.writes = bool(self.machine.do(DenyWrites()))
        self.watch.stepped(self.machine, step)
        work.step += 1
        if failure or work.step == len(chain):
            work.chain, work.step = work.chain + 1, 0

    def _settle(self, work: _Work) -> None:
        outcome = Outcome((*failures(*work.planned.refusals), *work.failures), work.planned.notes)
        changed = Changed(
            outcome, work.seen, work.steps, work.unfinished, frozenset(self.machine.bound), work.writes
        )
        self._past = remembered(changed, self.status, self._facts, self._past)
        if self._past.ready and work.order is not None:
            until = self.tenancy.tenure.lease.until if self.tenancy is not None else NEVER
            self._ready_until = ready_until(work.order.grant, until, self.machine.boottime)
        failed = judged(changed, work.begun, self.status, self._past).failures
        self._work, self.looked = None, self.clock.now
        self.failed, self.notes = bool(failed), bool(work.planned.notes)
        if self.notes:
            self.clock.after(_AGAIN, self._look_again)
        if self.tenancy is not None:
            self.tenancy.renew()
        if work.order is not None:
            if self.tenancy is not None and work.order.grant is not None:
                self.tenancy.done(work.order.status, work.order.grant, changed, failed=bool(failed))
            if not failed and work.order.live():
                self.machine.told(work.order.sent)
            work.order.reply(_failed(*failed) if failed else Reply("OK"))
        if self._next is not None:
            self._begin(plan)

    def _look_again(self) -> None:
        if not self.awake(self._look_again) and self._work is None and self.notes:
            self._begin(plan)


def _refused(refusal: Refusal) -> Reply:
    return _failed(Failure(str(refusal), STALE if refusal.stale else PROMISED))


def _failed(*failed: Failure) -> Reply:
    return Reply(f"ERROR: {'; '.join(map(str, failed))}", why=code_of(failed))
