"""A host's agent: the real core, whose actions are carried out on the simulated machine in virtual time."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from mmm.agent.decide import core as decide
from mmm.agent.decide import lease_watch, staying
from mmm.agent.decide.actions import (
    Action,
    Answer,
    AnswerClear,
    AskPromises,
    Change,
    Deny,
    GetReady,
    GiveBack,
    How,
    LeaseOver,
    LookAgain,
    Reach,
    Renew,
    Unbind,
)
from mmm.agent.decide.actions import Order as Ordered
from mmm.agent.decide.core import Core, Step
from mmm.agent.decide.failure import code_of
from mmm.agent.decide.held_lease import begun
from mmm.agent.decide.obedience import Changed, Outcome
from mmm.agent.decide.plan import clear, facts, plan, put_right
from mmm.agent.decide.seen import Server
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import FOREVER, Grant
from mmm.wire.agent import NO_LEASE, Reply
from mmm.wire.held import Stay, held_fields
from mmm.wire.promises import AskedPromise
from mmm.wire.status import LEAVING, Status
from tests.simulation.books import ViolationError
from tests.simulation.clock import Clock
from tests.simulation.machine import Machine
from tests.simulation.steps import Hands, Work
from tests.simulation.watch import Watch

Take = Callable[[Reply], None]
"""What the connection does with the answer."""


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
    void: frozenset[Stay] | None = None
    """The stays that are void by it; None: it grants no lease, and says nothing of that."""


class Agent:
    """A running agent; a restart makes a new one, which remembers nothing but its promises."""

    __slots__ = (
        "_again", "_asks_to_stay", "_conf", "_facts", "_hands", "_heard", "_missing", "_numbers", "_orders", "_replies",
        "_tick_due", "_todo", "clock", "core", "gone", "leaving", "machine", "peers", "watch",
    )  # fmt: skip

    def __init__(
        self, conf: Cluster, machine: Machine, clock: Clock, watch: Watch, peers: Mapping[str, "Agent"]
    ) -> None:
        self.machine = machine
        self.peers = peers
        """The agents that run now."""
        self.clock = clock
        self.watch = watch
        self.gone = self.leaving = False
        self._conf = conf
        self._facts = facts(replace(conf, this=machine.name, program="AGENT"))
        self._numbers = 0
        self._orders: dict[int, Order] = {}
        self._replies: dict[int, Take] = {}
        self._missing: set[str] = set()
        self._asks_to_stay: tuple[float, set[str], Callable[[], None]] | None = None
        """When it asked to stay for good, who has not agreed, and what is done then."""
        self._again = self._tick_due = -1.0
        self._todo: deque[Action] = deque()
        now = machine.boottime
        held = begun(conf.vip_lease, machine.boot_name, now, machine.promise).with_stays(machine.stays)
        self.core: Core = decide.begun(decide.site(conf, self._facts), held)
        self._heard = now
        self._hands = Hands(machine, clock, watch, self.awake, self._lifetime, self._holds)
        for vip in self.core.site.writer_vips:
            if conf.vip_lease and vip.ip in machine.bound:
                self.core = lease_watch.found(self.core, vip, machine.left(vip.ip), now)
        self._arm()

    @property
    def now(self) -> float:
        """Return the moment on the clock of leases."""
        return self.machine.boottime

    @property
    def status(self) -> Status:
        """Return what is assigned."""
        return self.core.status

    @property
    def leases(self) -> bool:
        """Tell whether there are leases."""
        return self.core.site.leases

    @property
    def token(self) -> str:
        """Return what its answers carry."""
        return self.core.held.token(self.now) if self.leases else NO_LEASE

    @property
    def stopped_replication(self) -> bool:
        """Tell whether replication is to be started when ADMIN_OFFLINE ends."""
        return self.core.past.offline

    def stop(self, end: Callable[[], None]) -> None:
        """Be stopped in order: `end` once the role is granted for good, or that takes too long.

        Who is frozen is killed instead.
        """
        frozen = max(self.machine.agent_frozen_until, self.machine.frozen_until) > self.clock.now
        self.leaving = True
        self._leave(self.clock.now + (0.0 if frozen else lease_watch.patience(self.core, self.now)), end)

    def _leave(self, until: float, end: Callable[[], None]) -> None:
        if lease_watch.patience(self.core, self.now) > 0 and self.clock.now < until and not self.gone:
            self.clock.after(0.1, self._leave, until, end)
        elif not self.awake(self._leave, until, end):
            self._ask_to_stay(partial(self._rest, self.clock.now + 1.0, end))

    def _rest(self, until: float, end: Callable[[], None]) -> None:
        """End once the change that is being made is over, or that takes too long."""
        if self.core.work is not None and self.clock.now < until and not self.gone:
            self.clock.after(0.1, self._rest, until, end)
        elif not self.gone:
            self._renew(tuple(vip for vip in self.core.status.vips if self._lifetime(vip) == 0))
            end()

    # That its VIP stays for good though no monitor is heard

    def _ask_to_stay(self, done: Callable[[], None]) -> None:
        core, asked = staying.asks(self.core, self.now, agreed=True)
        if asked is None:
            done()
            return
        self._take((core, ()))
        self._asks_to_stay = asked, set(core.site.rivals), done
        stay = Stay(self.machine.name, core.held.token(asked))
        for name in core.site.rivals:
            self.clock.after(0.001 + 0.01 * self.clock.random(), self.peers[name].lets, self, stay, asked)
        limit = max(0.5, min(1.0, core.held.length / 4))
        self.clock.after(limit, self._has_asked_to_stay, asked)

    def lets(self, holder: "Agent", stay: Stay, asked: float) -> None:
        """Be asked to refuse the role for good."""
        if not self.machine.speaks_with(holder.machine) or self.awake(self.lets, holder, stay, asked):
            return
        core, refused = staying.lets(self.core, stay, self.now)
        if refused is None:
            self._take((core, ()))
            self.machine.stays = core.held.stays_kept()
            self.clock.after(0.001 + 0.01 * self.clock.random(), holder.let, asked, self)

    def let(self, asked: float, other: "Agent") -> None:
        """Hear that another host refuses the role for good."""
        if not self.machine.speaks_with(other.machine) or self.awake(self.let, asked, other):
            return
        if self._asks_to_stay is not None and self._asks_to_stay[0] == asked:
            self._asks_to_stay[1].discard(other.machine.name)
            if not self._asks_to_stay[1]:
                self._has_asked_to_stay(asked)

    def _has_asked_to_stay(self, asked: float) -> None:
        if self._asks_to_stay is None or self.awake(self._has_asked_to_stay, asked):
            return
        (_, missing, done), self._asks_to_stay = self._asks_to_stay, None
        core = self.core if missing else staying.stayed(self.core, asked, self.now)
        if core is not self.core:
            self.watch.limits["a VIP was left for good where no monitor was heard"] += 1
        what = "not let stay" if core is self.core else "its VIP stays for good"
        self.clock.say(f"    {self.machine.name}: {what}{f', by {sorted(missing)}' if missing else ''}")
        if core is self.core:
            stay = Stay(self.machine.name, core.held.token(asked))
            for name in core.site.rivals:
                if self.machine.speaks_with(self.peers[name].machine):
                    self.clock.after(0.005, self.peers[name].void, frozenset({stay}))
        else:
            self._take((core, ()))
        done()

    def void(self, stays: frozenset[Stay]) -> None:
        """Refuse the role no more for these."""
        if not self.awake(self.void, stays):
            self._take((staying.void(self.core, stays), ()))
            self.machine.stays = self.core.held.stays_kept()

    @property
    def fields(self) -> tuple[str, ...]:
        """Return what each of its answers says besides."""
        return (*held_fields(self.core.held.stays), *((LEAVING,) if self.leaving else ()))

    # What is asked of it

    def set_status(self, order: Order) -> None:
        """Take an order."""
        self._numbers += 1
        self._orders[self._numbers] = order
        self._heard = self.now
        self._take((staying.ordered(self.core, voids=order.void is not None), ()))
        if order.void:
            self.void(order.void)
        self._take(decide.ordered(self.core, Ordered(self._numbers, order.status, order.grant), self.now))

    def reassert(self) -> None:
        """Put right what is assigned here, as after every connection."""
        self._heard = self.now
        self._take(decide.reassert(self.core, self.now))

    def clear_bad_roles(self, reply: Take) -> None:
        """Unbind what is not assigned."""
        if self.awake(self.clear_bad_roles, reply):
            return
        self._numbers += 1
        self._replies[self._numbers] = reply
        self._take(decide.clear(self.core, self._numbers, self.now))

    def awake(self, call: Callable[..., None], *arguments: object) -> bool:
        """Tell whether there is nothing to do now: the agent is gone, or frozen and goes on when it thaws."""
        if self.gone:
            return True
        thaw = max(self.machine.agent_frozen_until, self.machine.frozen_until)
        if thaw > self.clock.now:
            self.clock.at(thaw, call, *arguments)
            return True
        return False

    # What follows

    def _take(self, step: Step) -> None:
        """Know what is known from now on, and do what follows, in its order."""
        self.core, actions = step
        idle = not self._todo
        self._todo.extend(actions)
        while idle and self._todo:
            self._do(self._todo[0])
            self._todo.popleft()
        self._arm()

    def _do(self, action: Action) -> None:
        match action:
            case Answer(order, outcome):
                self._answer(order.number, outcome)
            case AnswerClear(number, outcome):
                self._replies.pop(number)(_reply(outcome))
            case LookAgain(seconds):
                self._again = self.clock.now + seconds
                self.clock.at(self._again, self._look_again, self._again)
            case LeaseOver():
                self.clock.say(f"    {self.machine.name}: its lease is over: read_only, and no VIP")
            case Change():
                self._change(action)
            case _:
                self._do_for_the_lease(action)

    def _do_for_the_lease(self, action: Action) -> None:
        match action:
            case GetReady():
                self._take(decide.ready(self.core, None, self.now))
            case GiveBack(token):
                self._give_back(token)
            case Deny():
                self._take(lease_watch.denied(self.core, self._hands.fence(), self.now))
            case Unbind(vips):
                self._hands.drop(vips)
                self._take(lease_watch.unbound(self.core, self.now))
            case AskPromises():
                self._ask_promises(action)
            case Reach():
                self._reach()
            case Renew(vips):
                self._renew(vips)

    def _answer(self, number: int, outcome: Outcome) -> None:
        order = self._orders.pop(number)
        if not outcome.failures and order.live():
            self.machine.told(order.sent)
        order.reply(_reply(outcome))

    def _look_again(self, due: float) -> None:
        if due == self._again and not self.awake(self._look_again, due):
            self._take(decide.look_after(self.core, self.now))

    def _change(self, wanted: Change) -> None:
        """Begin a change; a server that says nothing is waited for first."""
        writes = self.watch.writer_ips & {vip.ip for vip in wanted.status.vips}
        order = self._order_under_way()
        if order is not None and not writes:
            self.machine.caught_up = False
        if order is not None and order.status.vips and not order.live():
            self.machine.excuse_until_told("an order arrived when the monitor no longer waited for it")
        seen = self.machine.look()
        match wanted.how:
            case How.APPLY:
                planned = plan(wanted.status, seen, self._facts, wanted.past)
            case How.PUT_RIGHT:
                planned = put_right(wanted.status, seen, self._facts, wanted.past)
            case How.CLEAR:
                planned = clear(wanted.status.vips, seen, self._facts)
        work = Work(planned, seen, self._changed)
        if seen.server is Server.SILENT:
            self.clock.after(1.0, self._hands.go_on, work)
        else:
            self._hands.go_on(work)

    def _order_under_way(self) -> Order | None:
        work = self.core.work
        number = work.order.number if isinstance(work, decide.Changing) and work.order else 0
        return self._orders.get(number)

    def _changed(self, came: Changed) -> None:
        self._renew(tuple(vip for vip in self.core.status.vips if vip.ip in self.machine.bound))
        self._take(lease_watch.changed(self.core, came, self.now))

    # The lease

    def _lifetime(self, vip: Vip) -> int:
        """Return for how long the kernel may keep a VIP; readers' have no end here, for a reader harms nobody."""
        if vip not in self.core.site.writer_vips or not self.leases:
            return 0
        return lease_watch.lifetime(self.core, vip, self.now)

    def _holds(self) -> bool:
        return self.leases and lease_watch.holds(self.core, self.now)

    def _renew(self, vips: tuple[Vip, ...]) -> None:
        for vip in vips:
            writer = self.leases and vip in self.core.site.writer_vips and vip.ip in self.machine.bound
            if writer and self._lifetime(vip) >= 0:
                self.machine.expire(vip.ip, self._lifetime(vip))

    def _arm(self) -> None:
        """Have the lease looked at when something is next to be done about it."""
        if not self.leases:
            return
        moment = self.clock.now + next_look(self.core, self.now)
        if moment < FOREVER and (self._tick_due <= self.clock.now or moment < self._tick_due):
            self._tick_due = moment + lease_watch.LOOK * self.clock.random()
            self.clock.at(self._tick_due, self._tick, self._tick_due)

    def _tick(self, due: float) -> None:
        if due != self._tick_due or self.awake(self._tick, due):
            return
        self._tick_due = -1.0
        if lease_watch.is_due(self.core, self.now):
            self._take(lease_watch.look(self.core, self.now, agreed=True, heard=self._heard))
        else:
            self._arm()

    def _give_back(self, token: str) -> None:
        """Have others hear that their promises are given back, later where one is frozen."""
        for name in self.core.site.rivals:
            other = self.peers[name]
            if not other.gone and self.machine.speaks_with(other.machine):
                other.take_back(self.machine.name, token)
        self._take(decide.given_back(self.core, self.now))

    def take_back(self, holder: str, token: str) -> None:
        """Be bound no more by what another host was promised."""
        if self.awake(self.take_back, holder, token):
            return
        self.core = lease_watch.promise_returned(self.core, holder, token)
        self.machine.promise = self.core.held.kept(self.now)

    def _ask_promises(self, wanted: AskPromises) -> None:
        self._missing = set(wanted.rivals)
        for name in wanted.rivals:
            self.clock.after(
                0.001 + 0.01 * self.clock.random(), self.peers[name].asked, self, wanted.asked, wanted.token
            )
        limit = max(0.5, min(1.0, self.core.held.length / 4))
        self.clock.after(limit, self._unanswered, wanted.asked)

    def asked(self, holder: "Agent", asked: float, token: str) -> None:
        """Be asked for a promise by another host."""
        if not self.machine.speaks_with(holder.machine) or self.awake(self.asked, holder, asked, token):
            return
        length = holder.core.held.length
        core, why = lease_watch.promise(self.core, AskedPromise(holder.machine.name, length, token), self.now)
        if not why:
            self.core = core
            self.machine.promise = core.held.kept(self.now)
            moment = 0.001 + 0.01 * self.clock.random()
            self.clock.after(moment, holder.promised, asked, self)

    def promised(self, asked: float, other: "Agent") -> None:
        """Hear that another host has promised what it was asked for at `asked`."""
        if not self.machine.speaks_with(other.machine) or self.awake(self.promised, asked, other):
            return
        if self.core.watch.asking == asked:
            self._missing.discard(other.machine.name)
            if not self._missing:
                self._take(lease_watch.promised(self.core, asked, self.now))
                self._keeps_its_vip()

    def _keeps_its_vip(self) -> None:
        """Check that the kernel keeps the VIP for as long as promises have the role stay; raises ViolationError."""
        left, name = self.core.held.left(self.now), self.machine.name
        for vip in self.core.site.writer_vips if left > 1 and not self.core.held.leaving else ():
            stays = self.machine.left(vip.ip)
            if vip.ip in self.machine.bound and stays < left - 1:
                raise ViolationError(
                    f"{name} holds the role by promises for {left:.1f} s, and {vip} for {stays:.1f}"
                )

    def _unanswered(self, asked: float) -> None:
        if not self.awake(self._unanswered, asked):
            self._take(lease_watch.not_promised(self.core, asked, self.now))

    def _reach(self) -> None:
        others = (agent for name, agent in self.peers.items() if name != self.machine.name)
        if any(not other.gone and self.machine.speaks_with(other.machine) for other in others):
            self._heard = self.now
        self.core = lease_watch.reached(self.core)


def _reply(outcome: Outcome) -> Reply:
    if not outcome.failures:
        return Reply("OK")
    return Reply(f"ERROR: {'; '.join(map(str, outcome.failures))}", why=code_of(outcome.failures))


def next_look(core: Core, now: float) -> float:
    """Return in how many seconds a look at the lease is due by itself, FOREVER where nothing is to come.

    The agent looks whether one `is_due` every `pause`; here nobody is woken for nothing. Readers are not renewed.
    """
    held, watch = core.held, core.watch
    if watch.taking_away is not None or watch.writable:
        return lease_watch.pause(core, now)
    if not held.leased or not 0 < held.left(now) < FOREVER:
        return FOREVER
    left = held.left(now)
    if left > lease_watch.asks_at(held.length):
        return left - lease_watch.asks_at(held.length)
    return lease_watch.pause(core, now) if left > lease_watch.lead_of(held.length) else 0.0
