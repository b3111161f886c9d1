"""What happens to the monitor, and what each event makes of its world."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mmm.config.model import Vip
from mmm.gtid.place import Tail
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Transactions
from mmm.lease.rules import FOREVER, NOTHING, Outstanding
from mmm.monitor.assess import (
    divergence,
    loss,
    other_monitor,
    silent_lag,
    slaves_first,
    trap,
)
from mmm.monitor.decide import leases
from mmm.monitor.decide.move import phases
from mmm.monitor.world.checks import NO_CAUSE, Cause, Outcome
from mmm.monitor.world.examined import Met
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.hosts import Hosts
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.move import Failed
from mmm.monitor.world.world import Mode, World
from mmm.wire.agent import NO_LEASE, Note
from mmm.wire.doubts import Doubt
from mmm.wire.why import LEASE_OVER, NO_LOGIN, NOT_FOLLOWED, STALE

LATE_REPEATS = 3
"""How often an order is repeated at once to a host that needs longer than its lease."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One run of a check has ended. `writable` and `uses_gtid` are None where the check does not see them."""

    host: str
    check: str
    outcome: Outcome
    message: str
    writable: bool | None = None
    uses_gtid: bool | None = None
    connecting_to: str = ""
    """Address of the source that its replica is trying to connect to; empty when it is not."""
    refused: bool = False
    """An ERROR because the host's system answered that no server listens."""
    saturated: bool = False
    """UNKNOWN because the server has no connection left to give."""
    transactions: Transactions | None = None
    """What the server has; None where the check did not see it."""
    behind: float | None = None
    """Seconds that it is behind its source, where the check sees that."""
    detached: bool = False
    """Its replica is detached from its source, which is an ERROR only of a host that should follow another."""
    cause: Cause = NO_CAUSE
    """Why it is UNKNOWN or ERROR."""
    settings: Settings | None = None
    """What the server is set to; None where it was not asked now."""
    delay: int | None = None
    """Seconds by which its replication is set to stay behind, where the check sees that."""

    @property
    def answered(self) -> bool:
        """Tell whether the host answered, be it by a refusal: what passed over the network."""
        turned_away = self.check == "mysql" and self.outcome is Outcome.UNKNOWN
        return self.outcome is Outcome.OK or self.refused or turned_away


class Answer(StrEnum):
    """How an order to an agent ended."""

    OK = "OK"
    ERROR = "ERROR"
    REFUSED = "REFUSED"
    """No connection: the order cannot have arrived."""
    SILENT = "SILENT"
    """No answer, or garbage: it may have been carried out or not."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An order of `number` to a host's agent has ended; `uptime` only where it answered."""

    host: str
    number: int
    answer: Answer
    text: str = ""
    uptime: float | None = None
    token: str = ""
    """The token that the answer brought; empty where there was none."""
    closed: bool = False
    """The host's system said that no agent listens."""
    why: str = ""
    """The code of an ERROR, one of `mmm.wire.why` or `mmm.wire.lead`; empty where it has none."""
    refuses_to_follow: str = ""
    """The sentence by which a slave refuses to follow the active master."""
    follows: str = ""
    """The address of another monitor that the agent obeys: it has refused this one."""
    differs: tuple[str, ...] = ()
    """The keys in which the agent's conf differs from this monitor's, of what leases rest on."""
    stranger: str = ""
    """The address of another monitor that the agent has refused lately."""
    leaving: bool = False
    """The agent is being stopped, and is to be granted the active master role for good."""


@dataclass(frozen=True, slots=True)
class Killed:
    """kill_host_bin has ended; `failure` is empty where it succeeded."""

    host: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class VipLooked:
    """A look for a VIP has ended; `absent` where nothing answers for it."""

    host: str
    vip: Vip
    absent: bool


@dataclass(frozen=True, slots=True)
class Opinions:
    """Others were asked about a host: those that `heard` the question and had an opinion, those that `reached` it.

    `reached` its server, that is; `met` are those whom its agent answered.
    """

    host: str
    heard: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    met: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRead:
    """A look at the binary log of a host's server has ended."""

    host: str
    tail: Tail


@dataclass(frozen=True, slots=True)
class Noted:
    """A host's agent has said what it sees of its server."""

    host: str
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Doubted:
    """A host's agent has said what is wrong on its host."""

    host: str
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """The monitor is cut off, or no more. `by_hosts`: for all hosts fell silent at once."""

    up: bool
    by_hosts: bool = False


@dataclass(frozen=True, slots=True)
class Examined:
    """The doctor has looked at the cluster; what it found that the next failover would meet."""

    errors: frozenset[Met]


Event = (
    Examined | CheckResult | Answered | Killed | VipLooked | LogRead | Opinions | Noted | Doubted | Network
)


def apply(world: World, event: Event, now: float) -> World:
    """Return the world after the event. It is the same object when nothing that matters changed."""
    match event:
        case CheckResult():
            return _checked(world, event, now)
        case Answered():
            return _answered(world, event, now)
        case Killed():
            return _killed(world, event, now)
        case VipLooked():
            return leases.looked(world, event.host, event.vip, absent=event.absent, now=now)
        case Opinions():
            return _opined(world, event)
        case LogRead():
            return world.with_host(
                event.host, replace(world.hosts[event.host], tail=event.tail, reads_log=False, log_read=now)
            )
        case Noted():
            same = world.hosts[event.host].notes == event.notes
            return (
                world
                if same
                else world.with_host(event.host, replace(world.hosts[event.host], notes=event.notes))
            )
        case Doubted():
            same = world.hosts[event.host].doubts == event.doubts
            return (
                world
                if same
                else world.with_host(event.host, replace(world.hosts[event.host], doubts=event.doubts))
            )
        case Network():
            return _network(world, event)
        case Examined():
            return replace(world, examined=event.errors, examined_before=world.examined)


def only_transactions(before: World, after: World, event: Event) -> bool:
    """Tell whether the event did no more than say what a server has or lacks, which a busy one says anew each time.

    No turn is due for it at once.
    """
    if not isinstance(event, CheckResult) or event.transactions is None:
        return False
    waiting = (after.hosts[host.name] for host in after.masters())
    if any(host.is_lost and host.state is not State.HARD_OFFLINE for host in waiting):
        return False  # it is compared
    old, new = before.hosts[event.host], after.hosts[event.host]
    if bool(silent_lag.said(before, event.host)) != bool(silent_lag.said(after, event.host)):
        return False
    if _source(old) != _source(new):
        return False
    told = replace(
        old,
        transactions=new.transactions,
        rates=new.rates,
        behind=new.behind,
        behind_at=new.behind_at,
        missed=new.missed,
    )
    return told == new


def _source(host: HostWorld) -> tuple[str, bool] | None:
    """Return whom the host replicates from, and whether it is detached from that; None: not known."""
    read = host.transactions
    return None if read is None else (read.source_ip, read.detached)


def _checked(world: World, event: CheckResult, now: float) -> World:
    host = world.hosts.get(event.host)
    if host is None or not world.network_up:
        return world
    event = _excused(world, event)
    changes: dict[str, Any] = {}
    before = host.checks[event.check]
    if event.check == "rep_threads":
        event, since = _connecting(world, event, host, now)
        if since != host.connecting_since:
            changes["connecting_since"] = since
    elif event.check == "rep_backlog" and _source_fails(world, event):
        before = trap.excused(before, now)
    trap_period = world.conf.checks[event.check].trap_period
    status = trap.step(
        before,
        event.outcome,
        event.message,
        now,
        trap_period,
        refused=event.refused,
        saturated=event.saturated,
        cause=event.cause,
    )
    if status != host.checks[event.check]:
        changes["checks"] = {**host.checks, event.check: status}
    if event.uses_gtid is not None and event.uses_gtid != host.uses_gtid:
        changes["uses_gtid"] = event.uses_gtid
    if event.settings is not None and event.settings != host.settings:
        changes["settings"] = event.settings
    if event.delay is not None and event.delay != host.delay:
        changes["delay"] = event.delay
    changes |= _replicated(world, event, host, now)
    if event.writable and world.active_master != event.host and world.mode is not Mode.PASSIVE:
        changes.update(writable_since=host.writable_since or now, writable_seen=now)
    elif event.writable is not None and host.writable_since is not None:
        changes.update(writable_since=None, writable_seen=None)
    world = world.with_host(event.host, replace(world.hosts[event.host], **changes)) if changes else world
    return world if event.transactions is None else divergence.note(world, event.host, event.transactions)


def _replicated(world: World, event: CheckResult, host: HostWorld, now: float) -> dict[str, Any]:
    """Return what changes by what was seen of the host's replication."""
    changes: dict[str, Any] = {}
    if event.check == "rep_threads" and host.is_lost and host.looks < divergence.LOOKS:
        changes["looks"] = host.looks + 1
    if event.transactions is not None and event.transactions is not host.transactions:
        changes["transactions"] = event.transactions
    can_be_master = world.can_be_active_master(event.host)
    if event.behind is not None and (can_be_master or host.agent.mmm2):
        changes.update(behind=event.behind, behind_at=now)
    if can_be_master and event.transactions is not None:
        changes["rates"] = loss.rates(host, event.transactions)
        changes["missed"] = silent_lag.note(world, event.host, event.transactions)
    return changes


def _excused(world: World, event: CheckResult) -> CheckResult:
    """Return the result of a detached replica: good where nobody else is the active master."""
    if not event.detached or world.active_master not in (None, event.host):
        return event
    return replace(event, outcome=Outcome.OK, message=f"OK: {event.message.removeprefix('ERROR: ')}")


def _connecting(
    world: World, event: CheckResult, host: HostWorld, now: float
) -> tuple[CheckResult, float | None]:
    """Return what a look at the replication threads is worth, and since when they try to connect (rule 10.6).

    That a replica is connecting is good for connect_grace, and as long as its source does not work; it makes no
    check good that has failed while its source works.
    """
    if event.outcome is Outcome.UNKNOWN:
        return event, host.connecting_since
    if not event.connecting_to or _source_fails(world, event):
        return event, None
    since = now if host.connecting_since is None else host.connecting_since
    grace, waited = world.conf.checks[event.check].connect_grace, now - since
    if event.outcome is Outcome.ERROR or (waited < grace and not host.checks[event.check].failed):
        return event, since
    message = f"ERROR: {event.message.removeprefix('OK: ')}, for {waited:.0f} s, limit {grace:g} s"
    return replace(event, outcome=Outcome.ERROR, message=message), since


def _source_fails(world: World, event: CheckResult) -> bool:
    """Tell whether the replica is connecting to a host of the cluster whose own server does not answer."""
    return bool(event.connecting_to) and any(
        host.ip == event.connecting_to and world.hosts[name].checks["mysql"].error_since is not None
        for name, host in world.conf.hosts.items()
    )


def _answered(world: World, event: Answered, now: float) -> World:
    host = world.hosts[event.host]
    if host.agent.sent is None or event.number != host.agent.order:
        return world
    if event.uptime is not None:
        online = host.state is State.ONLINE
        token = "" if event.token == NO_LEASE else event.token
        link = replace(host.agent, token=token, token_at=now, classic=not token, unkillable=False)
        link = replace(link, mmm2=not event.token, leaving=event.leaving)
        if not host.agent.greeting:
            link = replace(link, stranger=event.stranger, differs=event.differs)
        world = world.with_host(
            event.host,
            replace(
                world.hosts[event.host],
                uptime=event.uptime,
                last_uptime=event.uptime if online else host.last_uptime,
                rebooted=not online and (host.rebooted or event.uptime < host.last_uptime),
                agent=link,
            ),
        )
        if host.agent.greeting:
            return world.with_agent(
                event.host, replace(world.hosts[event.host].agent, sent=None, greeting=False)
            )
    if _is_stale(event, host.agent):
        given = host.agent.given.unanswered()
        return world.with_agent(
            event.host,
            replace(world.hosts[event.host].agent, sent=None, stale=host.agent.stale + 1, given=given),
        )
    sent, overtaken = host.agent.sent, host.agent.overtaken
    world = _link_after(world, event, host, now)
    if event.answer is Answer.OK and not overtaken:
        world = slaves_first.followed(world, event.host, sent, now)
        if any(vip.role == world.conf.active_master_role for vip in sent.vips):
            world = replace(world, last_writer=event.host, unsure=world.unsure - frozenset(sent.vips))
            world = loss.taken(world, event.host, now)
        if world.forced == event.host and sent.force:
            # What it had received may have been thrown away since it was looked at last.
            world = replace(world, forced=None)
            world = world.with_host(event.host, replace(world.hosts[event.host], transactions=None))
        return phases.confirmed(world, event.host, sent, now)
    if event.follows:
        return other_monitor.met(world, event.host, event.follows)
    unsent = world.move is not None and world.move.vip not in world.hosts[event.host].agent.may_hold
    undone = unsent or event.answer is Answer.ERROR
    why = Failed("agent_silent", {"host": event.host, "why": event.text})
    if event.answer is Answer.ERROR:
        why = Failed("agent_error", {"host": event.host, "answer": event.text})
    return phases.failed(world, event.host, sent, why, now, undone=undone)


def _is_stale(event: Answered, link: AgentLink) -> bool:
    """Tell whether the order has to be repeated with the token that its refusal has brought.

    One that was late is so several times: what was done for it is not done again.
    """
    late = event.why == LEASE_OVER
    refused = event.answer is Answer.ERROR and (late or event.why == STALE)
    again = link.stale < (LATE_REPEATS if late else 1)
    return refused and again and bool(event.token) and not link.overtaken


def _link_after(world: World, event: Answered, host: HostWorld, now: float) -> World:
    link, sent = host.agent, host.agent.sent
    if sent is None:
        return world
    ended: dict[str, Any] = {"sent": None, "last_order": now, "sent_new": frozenset(), "overtaken": False}
    ended |= {
        "greeting": False,
        "stale": 0,
        "given": _given_after(world, event, link),
        "closed": event.closed,
    }
    if link.overtaken and event.answer in (Answer.OK, Answer.ERROR):  # it lives: what it was sent it may hold
        held = link.may_hold | frozenset(sent.vips)
        if held & world.master_vips and world.conf.vip_lease > 0:
            ended["given"] = Outstanding(FOREVER, FOREVER)
        return world.with_agent(
            event.host,
            replace(
                world.hosts[event.host].agent,
                **ended,
                may_hold=held,
                refused=None,
                refusal="",
                unreachable=False,
            ),
        )
    if event.answer is Answer.OK:
        return world.with_agent(
            event.host,
            replace(
                world.hosts[event.host].agent,
                **ended,
                told=sent,
                may_hold=frozenset(sent.vips),
                unreachable=False,
                refusal="",
                refused=None,
                refuses_to_follow="",
                clear=False,
                kill_unless_told=False,
            ),
        )
    if event.answer is Answer.ERROR:
        untried = event.why in (NOT_FOLLOWED, NO_LOGIN)
        refuses = link.refuses_to_follow if untried else event.refuses_to_follow
        return world.with_agent(
            event.host,
            replace(
                world.hosts[event.host].agent,
                **ended,
                refused=sent,
                refusal=event.text,
                refuses_to_follow=refuses,
                unreachable=False,
            ),
        )
    held = link.may_hold - link.sent_new if event.answer is Answer.REFUSED else link.may_hold
    return world.with_agent(
        event.host,
        replace(
            world.hosts[event.host].agent,
            **ended,
            refused=sent,
            refusal="",
            silence=event.text,
            may_hold=held,
            clear=True,
            unreachable=link.unreachable or not world.is_silent(event.host),
        ),
    )


def _opined(world: World, event: Opinions) -> World:
    said = world.hosts[event.host].opinion
    if said is None:
        return world
    said = replace(said, pending=False, known=True, heard=event.heard, reached=event.reached, met=event.met)
    return world.with_host(event.host, replace(world.hosts[event.host], opinion=said))


def _given_after(world: World, event: Answered, link: AgentLink) -> Outstanding:
    """Return what is given to a host after an order ended: an OK confirms what it granted or took back.

    An agent that answers without a token knows nothing of leases: what it was sent it may hold for good.
    """
    sent = link.sent.vips if link.sent is not None else ()
    if (
        event.uptime is not None
        and event.token in ("", NO_LEASE)
        and world.conf.vip_lease > 0
        and world.master_vips & set(sent)
    ):
        return Outstanding(FOREVER, FOREVER)
    if event.answer is Answer.OK:
        return link.given.confirmed()
    return link.given.unanswered()


def _killed(world: World, event: Killed, now: float) -> World:
    """Return the world after kill_host. Where it succeeded no failover waits for that host (rule 10.18).

    Where it failed, the active master role stays where it may be until its lease has run out (rule 10.14).
    """
    link = world.hosts[event.host].agent
    kept = world.master_vips & link.may_hold if event.failure and world.guarded else frozenset[Vip]()
    if event.failure:
        world = replace(world, unsure=world.unsure | (world.master_vips & link.may_hold - kept))
    if not event.failure and world.last_master == event.host:
        world = replace(world, failed_over=None)
    return world.with_agent(
        event.host,
        replace(
            world.hosts[event.host].agent,
            killing=False,
            kill_unless_told=False,
            unkillable=bool(event.failure) and world.guarded,
            kill_tried=now,
            may_hold=kept,
            given=link.given if kept else NOTHING,
            told=None,
            clear=True,
            overtaken=world.hosts[event.host].agent.sent is not None,
        ),
    )


def _network(world: World, event: Network) -> World:
    if event.up == world.network_up:
        return world
    hosts = world.hosts
    if not event.up:
        hosts = Hosts(
            {
                name: replace(
                    host,
                    checks={check: trap.network_lost(status) for check, status in host.checks.items()},
                    connecting_since=None,
                )
                for name, host in hosts.items()
            }
        )
    return replace(world, network_up=event.up, hosts_silent=event.by_hosts, hosts=hosts)
