"""What an agent's answer changes, or the lack of one (rules 10.3, 10.24)."""

from dataclasses import replace

from mmm.config.model import Vip
from mmm.lease.rules import FOREVER, NOTHING, Outstanding
from mmm.monitor.apply.rebuilt import told_of
from mmm.monitor.assess import loss, other_monitor, slaves_first
from mmm.monitor.decide import stays
from mmm.monitor.decide.move import phases
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.link import (
    About,
    AgentLink,
    ErrorReply,
    Greeting,
    InFlight,
    Kind,
    Ordered,
    Silence,
    Token,
)
from mmm.monitor.world.move import Failed
from mmm.monitor.world.world import World
from mmm.wire.agent import NO_LEASE
from mmm.wire.lead import CONF
from mmm.wire.status import Status
from mmm.wire.why import LEASE_OVER, NO_LOGIN, NOT_FOLLOWED, STALE

LATE_REPEATS = 3
"""How often an order is repeated at once to a host that needs longer than its lease."""


def answered(world: World, event: Answered, now: float) -> World:
    """Return the world after an order has ended. What answers an earlier one than the last counts no more."""
    host = world.hosts[event.host]
    flight = host.agent.in_flight
    if flight is None or event.number != host.agent.orders.number:
        return world
    if event.uptime is not None:
        host = told_of(_heard(host, event, event.uptime, now, led=bool(world.conf.monitors)), event, now)
        world = stays.shown(world, event.host, event.stays)
        world = loss.salvaged(world, event.host, event.salvaged)
        world = loss.caught_up(world, event.host, event.caught_up)
    link = host.agent
    if isinstance(flight, Greeting) and event.uptime is not None:
        link = replace(link, orders=replace(link.orders, in_flight=None))
        return world.with_host(event.host, replace(host, agent=link))
    if _is_stale(event, link):
        orders = replace(link.orders, in_flight=None, stale=link.orders.stale + 1)
        link = replace(link, orders=orders, given=link.given.unanswered())
        return world.with_host(event.host, replace(host, agent=link))
    world = world.with_host(event.host, replace(host, agent=link_after(world, event, link, flight, now)))
    if event.answer is Answer.OK and not _is_overtaken(flight):
        return _obeyed(world, event.host, flight.status, now)
    if event.follows and not world.conf.monitors:
        return other_monitor.met(world, event.host, event.follows)
    return _failed(world, event, flight.status, now)


def _heard(host: HostWorld, event: Answered, uptime: float, now: float, *, led: bool) -> HostWorld:
    """Return the host whose agent has said something, whatever it was asked.

    With several monitors a token may be used once a round of questions to the voters is complete that was asked later.
    """
    online, link = host.state is State.ONLINE, host.agent
    token = Token(event.token, now) if event.token not in ("", NO_LEASE) else None
    token = link.orders.token if led else token
    link = replace(
        link,
        orders=replace(link.orders, token=token),
        about=_about(event, link),
        kill=replace(link.kill, failed=None, spared=False),
    )
    return replace(host, system=host.system.heard(uptime, online=online), agent=link)


def _about(event: Answered, link: AgentLink) -> About:
    kind = Kind.LEASED
    if event.token in ("", NO_LEASE):
        kind = Kind.UNLEASED if event.token else Kind.MMM2
    if isinstance(link.in_flight, Greeting):  # a PING is answered without the rest
        about = replace(link.about, leaving=event.leaving, halting=event.halting, stays=event.stays)
        return replace(about, kind=kind, heard=True)
    return About(
        kind,
        event.leaving,
        event.halting,
        event.differs,
        event.stranger,
        shared=event.shared,
        heard=True,
        stays=event.stays,
    )


def _is_overtaken(flight: InFlight) -> bool:
    return isinstance(flight, Ordered) and flight.overtaken


def _is_stale(event: Answered, link: AgentLink) -> bool:
    """Tell whether the order has to be repeated with the token that its refusal has brought.

    One that was late is so several times: what was done for it is not done again.
    """
    late = event.why == LEASE_OVER
    refused = event.answer is Answer.ERROR and (late or event.why == STALE)
    again = link.orders.stale < (LATE_REPEATS if late else 1)
    overtaken = link.in_flight is not None and _is_overtaken(link.in_flight)
    return refused and again and bool(event.token) and not overtaken


def link_after(world: World, event: Answered, link: AgentLink, flight: InFlight, now: float) -> AgentLink:
    """Return what is known of the agent once the order in `flight` has ended."""
    sent = flight.status
    again = None if event.promised_for is None else now + event.promised_for
    orders = replace(link.orders, in_flight=None, ended=now, again=again, stale=0)
    link = replace(link, orders=orders, given=_given_after(world, event, link, flight))
    if not _is_overtaken(flight) and (event.answer is Answer.OK or event.without):
        link = link.left()
    match event.answer:
        case Answer.OK | Answer.ERROR if _is_overtaken(flight):  # it lives: what it was sent it may hold
            held = link.may_hold | frozenset(sent.vips)
            leased = held & world.master_vips and world.conf.vip_lease > 0
            given = Outstanding(FOREVER, FOREVER) if leased else link.given
            return replace(link, may_hold=held, given=given, failure=None)
        case Answer.OK:
            return replace(
                link,
                told=sent,
                granted_before=0.0,
                may_be_taking=False,
                may_hold=frozenset(sent.vips),
                supposed=frozenset(),
                failure=None,
                refuses_to_follow="",
                clear=False,
                kill=link.kill.settled(),
            )
        case Answer.ERROR:
            return _not_all_done(world, event, link, sent)
        case Answer.UNSENT:  # nothing is known of the agent that was not before
            return replace(link, may_hold=_not_arrived(link, flight))
        case Answer.REFUSED | Answer.SILENT:
            held = _not_arrived(link, flight) if event.answer is Answer.REFUSED else link.may_hold
            unreachable = link.unreachable or not world.is_silent(event.host)
            silence = Silence(event.text, sent, unreachable, event.closed)
            return replace(link, failure=silence, may_hold=held, clear=True)


def _not_all_done(world: World, event: Answered, link: AgentLink, sent: Status) -> AgentLink:
    """Return what is known of a host whose agent has answered ERROR to an order with the status `sent`.

    One that says what it has, and has nothing but what it is to have, need not be killed any more (rule 6.6).
    """
    untried = event.why in (NOT_FOLLOWED, NO_LOGIN)
    refuses = link.refuses_to_follow if untried else event.refuses_to_follow
    if event.without:
        done = replace(sent, vips=tuple(vip for vip in sent.vips if vip not in world.master_vips))
        link = replace(link, told=done, may_hold=frozenset(done.vips))
    link = _without_what_is_gone(world, event, link, sent)
    if (event.without or event.bound is not None) and link.may_hold <= frozenset(sent.vips):
        link = replace(link, kill=link.kill.settled())
    return replace(link, failure=ErrorReply(event.text, sent), refuses_to_follow=refuses)


def _not_arrived(link: AgentLink, flight: InFlight) -> frozenset[Vip]:
    """Return the VIPs that the host may have where what is in `flight` cannot have arrived."""
    return link.may_hold - flight.new if isinstance(flight, Ordered) else link.may_hold


def _without_what_is_gone(world: World, event: Answered, link: AgentLink, sent: Status) -> AgentLink:
    """Return what is known of a host that has not done all of an order, without the VIPs that it has let go.

    Else nobody would serve them for as long as the rest fails. The active master's has its lease.
    """
    if event.bound is None:
        return link
    stays = world.master_vips | set(sent.vips)
    held = frozenset(vip for vip in link.may_hold if vip in stays or vip.ip in event.bound)
    told = link.told and replace(link.told, vips=tuple(vip for vip in link.told.vips if vip in held))
    return replace(link, told=told, may_hold=held)


def _given_after(world: World, event: Answered, link: AgentLink, flight: InFlight) -> Outstanding:
    """Return what is given to a host after an order ended: an OK confirms what it granted or took back.

    An agent that answers without a token knows nothing of leases: what it was sent it may hold for good. One that
    refuses for its conf never obeys that order: another conf it reads at a start, and then the token is too old.
    """
    if (
        event.uptime is not None
        and event.token in ("", NO_LEASE)
        and world.conf.vip_lease > 0
        and world.master_vips & set(flight.status.vips)
    ):
        return Outstanding(FOREVER, FOREVER)
    if event.answer is Answer.OK:
        return link.given.confirmed()
    if event.answer is Answer.UNSENT and isinstance(flight, Ordered):
        as_sent = link.given == flight.before.withdrawn()
        return flight.before if as_sent else link.given.unanswered()
    if event.without:
        return NOTHING
    if event.why == CONF and isinstance(flight, Ordered):
        return flight.before.unanswered()
    return link.given.unanswered()


def _obeyed(world: World, name: str, sent: Status, now: float) -> World:
    """Return the world after a host's agent has done what it was sent."""
    world = slaves_first.followed(world, name, sent, now)
    if any(vip.role == world.conf.active_master_role for vip in sent.vips):
        world = replace(world, last_writer=name, unsure=world.unsure - frozenset(sent.vips))
        world = loss.taken(world, name, now)
        for other, host in world.hosts.items():
            if (
                host.agent.about.halting and other != name
            ):  # it waits for word that its server is needed no more
                world = world.with_agent(other, host.agent.due())
    if world.forced == name and sent.force:
        # What it had received may have been thrown away since it was looked at last.
        world = replace(world, forced=None)
        host = world.hosts[name]
        world = world.with_host(name, replace(host, progress=replace(host.progress, transactions=None)))
    return phases.confirmed(world, name, sent, now)


def _failed(world: World, event: Answered, sent: Status, now: float) -> World:
    """Return the world after a host's agent has not done what it was sent, or has not answered."""
    left = event.promised_for
    if left is not None and phases.waits_for_promise(world, event.host, sent, now + left):
        return world
    unsent = world.move is not None and world.move.vip not in world.hosts[event.host].agent.may_hold
    undone = unsent or event.answer is Answer.ERROR
    why = Failed("agent_silent", {"host": event.host, "why": event.text})
    if event.answer is Answer.ERROR:
        why = Failed("agent_error", {"host": event.host, "answer": event.text})
    elif event.answer is Answer.UNSENT:
        why = Failed("unwritten", {"file": event.text})
    return phases.failed(world, event.host, sent, why, now, undone=undone)
