"""The monitor's side of the writer lease: what is granted to whom, and when it has run out (rule 11.1).

The rules are those of `mmm.lease`. A host that has lost its lease no longer holds the active master role, whether it
can be told or not. An endless lease is granted where nobody could promise the holder to let it go on, and where nobody
will renew it for an unknown time: in passive mode, and when the monitor is stopped in order.
"""

from dataclasses import replace

from mmm.config.model import Vip
from mmm.lease.rules import (
    FOREVER,
    NOTHING,
    PROBING,
    Outstanding,
    margin,
)
from mmm.monitor.assess import lost_agent, second_opinion
from mmm.monitor.decide import stays
from mmm.monitor.world.link import AgentLink, Look, Search
from mmm.monitor.world.orders import LookForVip, Tell
from mmm.monitor.world.world import World
from mmm.wire.status import LeaseOffer, Status

LOOK_AGAIN = 1.0
"""Seconds between two looks for a VIP."""
UNBROKEN = 8.0
"""Seconds after a look at a silent host in which the next one has to end, or all begins anew."""
HEARTBEATS = 4
"""How many times a lease is renewed before it would end."""
KEEPS = 0.5
"""The part of its lease that a host is to have left: an agent asks the others for promises with 0.4 of it left."""
LEAVES_AGAIN = 0.5
"""Seconds between two orders, at most, to an agent that waits for a lease without an end that is not on record yet."""
LEAST_SPARE = 0.1
"""The part of a lease for which an order may wait in any case; before a renewal just half of it may be left."""


def renewal(world: World, status: Status) -> float:
    """Return the longest time, in seconds, between two orders to a host with that status."""
    leased = world.conf.vip_lease > 0 and world.master_vips & set(status.vips)
    return world.conf.vip_lease / HEARTBEATS if leased else FOREVER


def with_lease(world: World, order: Tell, now: float) -> Tell:
    """Return the order with the lease for it, or as a greeting where no token is at hand."""
    link = world.hosts[order.host].agent
    if world.conf.vip_lease <= 0 or link.about.classic:
        return order
    token, holds = link.orders.token, world.master_vips & set(order.status.vips)
    most = min(_fresh(world.conf.vip_lease), lasts(world)) if holds else lasts(world)
    if token is None or now - token.received > most:
        return replace(order, greet=True)
    return replace(
        order, lease=LeaseOffer(_length(world, order), token.text), void=stays.void(world, order.host)
    )


def lasts(world: World) -> float:
    """Return for how many seconds a token is good for an order: with several monitors until shortly before it is not.

    An agent obeys one of who leads only while its token is younger than the lead and the lease (rule 14.2).
    """
    return 0.9 * min(world.conf.lead_lease, world.conf.vip_lease) if world.conf.monitors else FOREVER


def is_awaited(world: World, name: str, status: Status, now: float) -> bool:
    """Tell whether an agent that is being stopped waits to be granted the active master role for good.

    It is told at once where it can be granted that. Until enough voters have it on record it is told with a pause: to
    ask for a token has the next round asked. One whose conf differs refuses it, and is told with the heartbeats.
    """
    link = world.hosts[name].agent
    holds = bool(world.master_vips & set(status.vips))
    if not (link.about.leaving and holds and link.given.until < FOREVER) or link.about.differs:
        return False
    pause = min(LEAVES_AGAIN, renewal(world, status) / 4)
    return _is_on_record(world, name) or link.orders.ended is None or now - link.orders.ended >= pause


def is_left_alone(world: World, name: str, status: Status) -> bool:
    """Tell whether a host is told nothing for now: an order with that status would take the active master role from it.

    By what is on record, or by its own word, it is to have the role, and may well have it. But it was not bound there
    when the monitor started, and another one may have it too. Until that one has said that it has not, or its lease is
    over, this one goes on by promises.
    """
    link = world.hosts[name].agent
    if not link.may_be_taking:
        return False
    owed = world.master_vips & world.vips_of(name) & link.may_hold - frozenset(status.vips)
    others = {other for vip in owed for other in world.holders(vip)} - {name}
    return bool(owed) and all(world.hosts[other].agent.given.until < FOREVER for other in others)


def sent(world: World, order: Tell) -> Outstanding:
    """Return what is given to the host once the order is on its way."""
    link = world.hosts[order.host].agent
    if world.conf.vip_lease <= 0:
        return NOTHING
    if not world.master_vips & set(order.status.vips):
        return link.given.withdrawn()
    token = link.orders.token
    if order.lease is None or token is None:
        return Outstanding(FOREVER, FOREVER)
    return link.given.sent(order.lease.length, token.received)


def spare(world: World, name: str, now: float) -> float:
    """Return for how many seconds an order may wait by which a host is to let go of a role; FOREVER: it has no lease.

    It is not renewed meanwhile. With less of its lease left than that leaves it asks the others, which may have been
    told of the new holder, and gives the role up.
    """
    length, link = world.conf.vip_lease, world.hosts[name].agent
    if length <= 0 or not world.master_vips & link.may_hold:
        return FOREVER
    return max(link.given.until - now - KEEPS * length, LEAST_SPARE * length)


def without_run_out(world: World, now: float) -> World:
    """Return the world in which no host is thought to hold a role that it was not renewed in time."""
    if world.conf.vip_lease <= 0:
        return world
    for name, host in world.hosts.items():
        lost = _lost(world, name)
        if lost_agent.is_lost(world, name, second_opinion.of_agent(world, name), now):
            lost |= world.master_vips
        if lost and host.agent.given.run_out(now, _margin(world)):
            held = host.agent.may_hold - lost
            world = world.with_agent(name, host.agent.emptied(held, NOTHING))
            world = replace(world, unsure=world.unsure | lost)
    return world


def next_run_out(world: World, now: float) -> float:
    """Return the moment at which the next lease will have run out that somebody waits for; FOREVER: there is none."""
    if world.conf.vip_lease <= 0:
        return FOREVER
    ends = (world.hosts[name].agent.given.until for name in world.hosts if _lost(world, name))
    moments = (end + _margin(world) for end in ends)
    return min((moment for moment in moments if moment > now), default=FOREVER)


def _lost(world: World, name: str) -> frozenset[Vip]:
    """Return the active master's VIP where the host may hold it and is not to."""
    return world.hosts[name].agent.may_hold & world.master_vips - world.vips_of(name)


def _margin(world: World) -> float:
    """Return the seconds after the end of a lease at which another host is told to take the role.

    Its agent asks on the wire first whether somebody has the VIP: that takes PROBING, the end of the margin.
    """
    whole = margin(world.conf.vip_lease)
    probes = world.on_wire and not any(world.hosts[host.name].agent.about.classic for host in world.masters())
    return whole - PROBING if probes else whole


def to_look_for(world: World, name: str, now: float) -> LookForVip | None:
    """Return the look at a host whose system lives while neither server nor agent does (rule 11.1, case d).

    Where nothing answers ARP for the VIP then, the host has not got it, and no agent can bind it. With
    `dead_when_silent` a host that does not even ping is looked at too. Without an address there is nothing to look for.
    """
    link, left = world.hosts[name].agent, sorted(_lost(world, name))
    if not left or not world.on_wire or not world.guarded or link.search.under_way or link.kill.running:
        return None
    if link.search.last is not None and now - link.search.last.ended < LOOK_AGAIN:
        return None
    if _stopped_serving(world, name):
        return LookForVip(name, left[0])
    seen_by = _witnesses(world, name)
    return LookForVip(name, left[0], seen_by) if seen_by else None


def _stopped_serving(world: World, name: str) -> bool:
    host = world.hosts[name]
    return host.agent.closed and host.checks["mysql"].refused and host.good("ping")


def _witnesses(world: World, name: str) -> tuple[str, ...]:
    """Return the hosts that are to say whether they see as little of a silent host as the monitor.

    Who is to have the role is among them. None: the host is not looked for.
    """
    monitor, link = world.conf.monitor, world.hosts[name].agent
    endless = world.conf.vip_lease > 0 and link.given.until == FOREVER and not link.about.classic
    if monitor is None or not (monitor.dead_when_silent and endless and world.is_silent(name)):
        return ()
    others = tuple(
        other for other in second_opinion.others(world, name) if not world.hosts[other].agent.about.classic
    )
    return others if world.active_master in others else ()


def looked(world: World, name: str, vip: Vip, *, absent: bool, now: float) -> World:
    """Return the world after a look for a VIP: without it there, if that is sure enough."""
    link = world.hosts[name].agent
    silent = bool(_witnesses(world, name))
    last, since = link.search.last, None
    if silent and absent:
        unbroken = last is not None and last.absent_since is not None and now - last.ended < UNBROKEN
        since = last.absent_since if last is not None and unbroken else now
    world = world.with_agent(name, replace(link, search=Search(last=Look(now, since))))
    long_enough = since is not None and now - since >= world.conf.vip_lease + margin(world.conf.vip_lease)
    gone = long_enough if silent else _stopped_serving(world, name) and link.in_flight is None
    if not (absent and gone):
        return world
    world = replace(world, unsure=world.unsure | {vip})
    link = link.emptied(link.may_hold - {vip}, NOTHING).overtaken()
    return world.with_agent(name, replace(link, search=Search(last=Look(now))))


def recorded(link: AgentLink) -> str:
    """Return what the status file says of a host's lease: nothing, `forever` or `finite`.

    Of a classic agent nothing, for it has no lease; a monitor that finds nothing takes that for one without an end.
    Nor of one that is only supposed, and has an end: who starts next supposes it again, and takes what it reads for a
    host in use. That it may have no end is on record without a VIP: with a file it would be forgotten.
    """
    if link.given == NOTHING or link.about.classic:
        return ""
    if link.given.until == FOREVER:
        return "forever"
    return "" if _is_supposed(link) else "finite"


def _is_supposed(link: AgentLink) -> bool:
    """Tell whether nobody tells of what the host may have of the active master role."""
    roles = {vip.role for vip in link.supposed & link.may_hold}
    return bool(roles) and not any(vip.role in roles for vip in link.known_to_hold)


def is_at_rest(world: World) -> bool:
    """Tell whether no role is being moved, and no order is under way to the host that has the active master role.

    A monitor that leads no more ends no move: another one does.
    """
    if not world.leadership.may_order:
        return True
    name = world.active_master
    ordered = name is not None and world.hosts[name].agent.in_flight is not None and not world.is_silent(name)
    return not (world.moves_by_order or ordered)


def farewell(world: World) -> Tell | None:
    """Return the order that makes the holder's lease one without an end, before nobody renews it any more."""
    if world.conf.vip_lease <= 0 or world.other_monitor:
        return None
    for name, host in world.hosts.items():
        link = host.agent
        holds = link.told is not None and world.master_vips & set(link.told.vips) & link.may_hold
        token = link.orders.token
        if holds and link.told is not None and token and not link.about.classic and link.in_flight is None:
            if link.given.until == FOREVER:
                return None
            return Tell(name, link.orders.number + 1, link.told, lease=LeaseOffer(FOREVER, token.text))
    return None


def farewell_sent(world: World) -> tuple[World, Tell] | None:
    """Return the world in which the farewell is on its way, and that order; None where there is none to send."""
    last = farewell(world)
    if last is None:
        return None
    link = replace(world.hosts[last.host].agent, given=sent(world, last))
    return world.with_agent(last.host, link), last


def _fresh(length: float) -> float:
    """Return the age, in seconds, up to which a token is sent with an order for the role.

    The kernel counts whole seconds: of a short lease hardly anything may have gone by.
    """
    return length / 2 if length >= 5 else length / 10


def is_to_hold_for_good(world: World, name: str) -> bool:
    """Tell whether the host has the active master role, and is to have it without an end."""
    return bool(world.vips_of(name) & world.master_vips) and _wanted(world, name) == FOREVER


def _length(world: World, order: Tell) -> float:
    """Return the length of a lease; with several monitors it has no end only once the next one to lead would know."""
    return _wanted(world, order.host) if _is_on_record(world, order.host) else world.conf.vip_lease


def _is_on_record(world: World, name: str) -> bool:
    """Tell whether the next monitor to lead would know that the host has the role for good."""
    return not world.conf.monitors or name in world.leadership.held


def _wanted(world: World, name: str) -> float:
    """Return the length that a lease should have: it ends where all others of the role can promise that it may go on.

    Where one cannot, the holder would lose the role as soon as it does not hear the monitor: then it has no end. That
    of a host whose machine goes down has one in any case.
    """
    role = world.conf.roles.get(world.conf.active_master_role)
    others = [] if role is None else [other for other in role.hosts if other != name]
    if world.hosts[name].agent.about.leaving:
        return FOREVER
    if world.hosts[name].agent.about.halting:
        return world.conf.vip_lease
    return world.conf.vip_lease if others and all(_can_promise(world, other) for other in others) else FOREVER


def _can_promise(world: World, name: str) -> bool:
    """Tell whether the host's agent can promise another to refuse the role, whatever state the host is in."""
    link = world.hosts[name].agent
    return not (link.about.classic or link.about.differs or link.unreachable or world.is_silent(name))
