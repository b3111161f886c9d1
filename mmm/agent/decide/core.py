"""What the agent obeys, remembers, renews and announces: a state, an event and a moment give a state and actions. Pure.

    order     only the newest of those that wait is carried out, one at a time, and each is judged by what is assigned
              when it ends; see `obedience`
    lease     looked at by `watch`; when it is over the role is taken from this host, whatever else goes on
    answer    an order is answered once the role that it took away is gone, and promises are given back

The shell carries actions out, each ends in at most one event, and it alone knows sockets, threads and files.
`now` is always a moment on the clock of leases.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf

from mmm.agent.decide.actions import (
    Action,
    Announce,
    Answer,
    AnswerClear,
    Assigned,
    Change,
    Confirm,
    EndAnnouncing,
    GetReady,
    GiveBack,
    How,
    LookAgain,
    Order,
    Prepared,
)
from mmm.agent.decide.failure import Failure, code_of
from mmm.agent.decide.held_lease import HeldLease
from mmm.agent.decide.obedience import (
    Changed,
    Outcome,
    is_without,
    judged,
    ready_until,
    remembered,
    still_ready,
)
from mmm.agent.decide.plan import ADMIN_OFFLINE, UNKNOWN, Facts, Past
from mmm.agent.decide.watched import Watch
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import INSIST, Reason, Refusal
from mmm.wire.status import Status
from mmm.wire.why import LEASE_OVER, PROMISED, STALE, SUPERSEDED

LOOK_AGAIN = 1.0
"""Seconds after which what could not be confirmed is tried again, and that a look stays fresh."""
_SUPERSEDED = Outcome((Failure("superseded by a newer order", SUPERSEDED),))


@dataclass(frozen=True, slots=True)
class Site:
    """What the conf says of this host, as far as leases and orders are concerned."""

    facts: Facts
    rivals: tuple[str, ...]
    """The hosts of the active master role, but for this one."""
    candidate: bool
    """This host is one of that role."""
    leases: bool

    @property
    def writer_vips(self) -> tuple[Vip, ...]:
        """Return the VIPs of the active master role."""
        return tuple(vip for vip in self.facts.vips if vip.role == self.facts.writer)

    def is_writer(self, status: Status) -> bool:
        """Tell whether a status gives this host the active master role."""
        return any(vip.role == self.facts.writer for vip in status.vips)


def site(conf: Cluster, known: Facts) -> Site:
    """Return what the conf says of the host that `known` is about."""
    hosts = conf.roles[conf.active_master_role].hosts
    rivals = tuple(name for name in hosts if name != known.this)
    return Site(known, rivals, known.this in hosts, leases=conf.vip_lease > 0)


@dataclass(frozen=True, slots=True)
class Changing:
    """A change is being made for what was assigned when it began, for an order or to look after it."""

    begun: Status
    past: Past
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Clearing:
    """What is not assigned is being unbound, for the request with this number."""

    number: int


class Stage(Enum):
    """What comes between a change and the answer to its order, one after the other."""

    TAKING_AWAY = "taking away"
    """The lease ended meanwhile: what was bound or allowed in just that moment is taken back."""
    SETTLING = "settling"
    GIVING_BACK = "giving back"
    """Others are told that their promises are given back, for one of them may be next."""
    GETTING_READY = "getting ready"
    """The same order comes at once with a younger token: all is to be at hand for it."""


@dataclass(frozen=True, slots=True)
class Concluding:
    """A change was made, and is not yet answered."""

    order: Order | None
    changed: Changed
    outcome: Outcome
    stage: Stage = Stage.SETTLING


Work = Changing | Clearing | Concluding


@dataclass(frozen=True, slots=True)
class Core:
    """All that an agent knows between two events."""

    site: Site
    held: HeldLease
    watch: Watch = field(default_factory=Watch)
    status: Status = field(default_factory=lambda: Status(UNKNOWN))
    """What is assigned."""
    past: Past = field(default_factory=Past)
    outcome: Outcome = field(default_factory=Outcome)
    """What the last change came to."""
    waits: Order | None = None
    """The newest order, when another is being carried out."""
    clears: tuple[int, ...] = ()
    """Requests that wait for what is not assigned to be unbound."""
    due: bool = False
    """What is assigned is to be looked after once there is time."""
    work: Work | None = None
    looked: float = -inf
    """When a change ended last."""
    prepared: Prepared | None = None
    ready_until: float = -inf
    """Until when what was done for the writer role counts for the next order."""
    fenced: float = -inf
    """When writes were last denied because the lease was over; infinite while that is under way."""
    closing: bool = False

    @property
    def offline(self) -> bool:
        """Tell whether replication stands still by order, or is about to: it is started when that ends."""
        return self.past.offline or self.status.state == ADMIN_OFFLINE


Step = tuple[Core, tuple[Action, ...]]


def begun(where: Site, held: HeldLease, *, offline: bool = False, fenced: bool = True) -> Core:
    """Return the state of an agent that starts; `offline`: an earlier one has stopped replication by order.

    Not `fenced`: one was to deny writes as its lease was over, and could not.
    """
    return Core(where, held, Watch(writable=not fenced), past=Past(fresh=True, offline=offline))


def refusal(core: Core, order: Order, now: float) -> Refusal | None:
    """Return why the order is not obeyed, by the rules of the lease; None when it is."""
    role = core.site.is_writer(order.status)
    if order.grant is None:
        promised = core.site.leases and role and (core.held.bound(now) or core.held.stays)
        return Refusal(Reason.PROMISED) if promised else None
    waits = core.waits.grant if core.waits is not None and core.waits is not order else None
    if waits is not None and waits.token > order.grant.token:
        return Refusal(Reason.OVERTAKEN)
    return core.held.lease.refusal(order.grant, now, role=role)


def _refused(found: Refusal) -> Outcome:
    return Outcome((Failure(str(found), STALE if found.stale else PROMISED, left=found.seconds),))


def ordered(core: Core, order: Order, now: float) -> Step:
    """Take a SET_STATUS order."""
    if found := refusal(core, order, now):
        return core, (Answer(order, _refused(found)),)
    actions: tuple[Action, ...] = (Confirm(),)
    if core.waits is not None:
        actions += (Answer(core.waits, _SUPERSEDED),)
    return _then(replace(core, waits=order), actions, now)


def clear(core: Core, number: int, now: float) -> Step:
    """Take a request to unbind what is not assigned."""
    return _then(replace(core, clears=(*core.clears, number)), (), now)


def reassert(core: Core, now: float) -> Step:
    """Put right what is assigned and has changed since, unless it was looked at just now (rule 7).

    What an order could not reach is not tried again here: the monitor decides about that.
    """
    fresh = now - core.looked < LOOK_AGAIN
    if core.status.state == UNKNOWN or fresh or core.work is not None or core.outcome.failures:
        return core, ()
    return look_after(replace(core, looked=now), now)


def look_after(core: Core, now: float) -> Step:
    """Look after what is assigned; while something is being done already there is no need."""
    if core.work is not None:
        return core, ()
    return _then(replace(core, due=True), (), now)


def close(core: Core) -> Core:
    """Begin nothing more; what is being done comes to its end."""
    return replace(core, closing=True, waits=None, due=False)


def proceed(core: Core, now: float) -> Step:
    """Begin what waits, if nothing is being done, and nothing is being taken away: what an order allows then stays."""
    if core.work is not None or core.watch.taking_away is not None or core.closing:
        return core, ()
    if core.waits is None and not core.due and core.clears:
        number, *rest = core.clears
        core = replace(core, clears=tuple(rest), prepared=None, work=Clearing(number))
        return core, (Change(How.CLEAR, core.status, core.past),)
    if core.waits is None and not core.due:
        return core, ()
    actions: tuple[Action, ...] = ()
    serves = _serves(core, now)
    order, core = core.waits, replace(core, waits=None, due=False)
    if order is not None and (found := refusal(core, order, now)):
        actions, order = (Answer(order, _refused(found)),), None
    if order is not None:
        core, actions = _begun(core, order, now)
    past = still_ready(core.past, core.status, core.site.facts, core.ready_until, now)
    seen, how = None, How.PUT_RIGHT
    if order is not None or core.outcome.notes:
        how, prepared, core = How.APPLY, core.prepared, replace(core, prepared=None)
        seen = prepared.seen if prepared is not None and prepared.counts(now, core.fenced) else None
    renews = serves and core.site.is_writer(core.status)
    core = replace(core, work=Changing(core.status, past, order))
    return core, (*actions, Change(how, core.status, past, seen, renews))


def begins_role(before: Core, core: Core) -> bool:
    """Tell whether an order with the writer role was begun by this step: what was to be denied until then is void."""
    work = core.work
    begun = isinstance(work, Changing) and work is not before.work and work.order is not None
    return begun and core.site.is_writer(core.status)


def _serves(core: Core, now: float) -> bool:
    """Tell whether this host holds the writer role, and has its VIP bound by what the last change has found.

    Where a server is silent that change has failed, and the VIP stands nevertheless.
    """
    bound = core.outcome.bound or frozenset()
    stands = any(vip in core.past.held or vip.ip in bound for vip in core.site.writer_vips)
    return stands and core.held.left(now) > 0


def _begun(core: Core, order: Order, now: float) -> Step:
    """Take the order as what is wanted; a lease begins before it is used, and ends after it was."""
    actions: tuple[Action, ...] = (
        (Assigned(core.status, order.status),) if core.status != order.status else ()
    )
    core = replace(core, status=order.status)
    if core.site.is_writer(order.status):
        held = core.held.obeyed(order.grant, now, role=True)
        sure = now + INSIST if order.status.probe else core.watch.sure_until
        return replace(core, held=held, watch=replace(core.watch, writable=False, sure_until=sure)), actions
    if order.grant is not None:
        core = replace(core, held=core.held.noted(order.grant))
    return core, actions


def conclude(core: Core, came: Changed, now: float) -> Step:
    """Conclude a change from what it came to. By now the lease may have ended, and what was assigned was lost.

    Then `mmm.agent.decide.lease_watch.changed` takes away first what the change has bound or allowed meanwhile.
    """
    work = core.work
    if isinstance(work, Clearing):
        return _then(replace(core, work=None), (AnswerClear(work.number, came.outcome),), now)
    if not isinstance(work, Changing):
        return core, ()
    past = remembered(came, core.status, core.site.facts, work.past)
    outcome = judged(came, work.begun, core.status, past)
    lost = core.site.is_writer(work.begun) and not core.site.is_writer(core.status)
    stage = Stage.TAKING_AWAY if lost else Stage.SETTLING
    return settle(replace(core, past=past, work=Concluding(work.order, came, outcome, stage)), now)


def settle(core: Core, now: float) -> Step:
    """Keep what a change came to, and announce what is held, unless something has to be taken away first."""
    work = core.work
    if not isinstance(work, Concluding) or work.stage is not Stage.SETTLING:
        return core, ()
    actions: tuple[Action, ...] = (Announce(work.outcome.held),)
    if work.outcome.notes:
        actions += (LookAgain(LOOK_AGAIN),)
    core = replace(core, outcome=work.outcome, looked=now)
    if work.order is None:
        return _then(replace(core, work=None), actions, now)
    until = ready_until(work.order.grant, core.held.lease.until, now)
    held, token = _concluded(core, work.order, work, now).gives_back(now)
    core = replace(core, held=held, ready_until=until, work=replace(work, stage=Stage.GIVING_BACK))
    if not token:
        return _and(actions, given_back(core, now))
    core, actions = replace(core, watch=replace(core.watch, asking=None)), (*actions, GiveBack(token))
    # The same order comes at once: nobody can write, and who is to hear of the promises may be dead.
    again = core.past.ready and code_of(work.outcome.failures) == LEASE_OVER
    return _and(actions, given_back(core, now)) if again else (core, actions)


def _concluded(core: Core, order: Order, work: Concluding, now: float) -> HeldLease:
    """Return the lease: none for a role that was given up, nor for one that this host could not take."""
    without = is_without(work.changed, {vip.ip for vip in core.site.writer_vips})
    if not core.site.is_writer(order.status):
        gone = without or not work.outcome.failures
        return core.held.obeyed(order.grant, now, role=False) if gone else core.held
    return core.held.ended() if without and work.outcome.failures else core.held


def given_back(core: Core, now: float) -> Step:
    """Go on once others were told that their promises are given back."""
    work = core.work
    if not isinstance(work, Concluding) or work.order is None or work.stage is not Stage.GIVING_BACK:
        return core, ()
    if not core.past.ready or work.changed.writes:  # its lease runs on, and is not to run out meanwhile
        return _answered(core, work.order, work.outcome, now)
    return replace(core, work=replace(work, stage=Stage.GETTING_READY)), (GetReady(),)


def ready(core: Core, prepared: Prepared | None, now: float) -> Step:
    """Keep what was seen to be prepared for the next order; an order that waited for that is answered."""
    core, work = replace(core, prepared=prepared), core.work
    waits = isinstance(work, Concluding) and work.stage is Stage.GETTING_READY
    if isinstance(work, Concluding) and work.order is not None and waits:
        return _answered(core, work.order, work.outcome, now)
    return core, ()


def _answered(core: Core, order: Order, outcome: Outcome, now: float) -> Step:
    return _then(replace(core, work=None), (Answer(order, outcome),), now)


def lost(core: Core) -> Step:
    """Return the state of a host that is not the writer any more: its lease is over."""
    gone = core.site.writer_vips
    status = replace(core.status, vips=tuple(vip for vip in core.status.vips if vip not in gone))
    past = replace(core.past, held=core.past.held - frozenset(gone))
    return replace(core, held=core.held.ended(), status=status, past=past), (EndAnnouncing(gone),)


def _then(core: Core, actions: tuple[Action, ...], now: float) -> Step:
    return _and(actions, proceed(core, now))


def _and(actions: tuple[Action, ...], step: Step) -> Step:
    core, more = step
    return core, (*actions, *more)
