"""The monitor's side of the writer lease: what is granted to whom, and when it has run out (SPEC 11.1).

The rules are those of `mmm.lease`. A host that has lost its lease holds the active master role no more, whether it
can be told or not. A lease without an end is granted where nobody could promise the holder that it goes on, and where
nobody renews it for a time that is not known: in passive mode, and when the monitor is stopped in order.
"""

from dataclasses import replace

from mmm.config.model import Vip
from mmm.lease import FOREVER, NOTHING, PROBING, Given, margin
from mmm.monitor.orders import LookForVip, Tell
from mmm.monitor.world import AgentLink, World
from mmm.wire.agent import Granted, Status

LOOK_AGAIN = 1.0
"""Seconds between two looks for a VIP."""
HEARTBEATS = 4
"""How many times a lease is renewed before it would end."""


def renewal(world: World, status: Status) -> float:
    """Return the longest time, in seconds, between two orders to a host with that status."""
    leased = world.conf.vip_lease > 0 and world.master_vips & set(status.vips)
    return world.conf.vip_lease / HEARTBEATS if leased else FOREVER


def with_lease(world: World, order: Tell, now: float) -> Tell:
    """Return the order with the lease for it, or as a greeting where no token is at hand."""
    link = world.hosts[order.host].agent
    if world.conf.vip_lease <= 0 or link.classic:
        return order
    old = world.master_vips & set(order.status.vips) and now - link.token_at > _fresh(world.conf.vip_lease)
    if old or not link.token:
        return replace(order, greet=True)
    return replace(order, lease=Granted(_length(world, order), link.token))


def sent(world: World, order: Tell) -> Given:
    """Return what is given to the host once the order is on its way."""
    link = world.hosts[order.host].agent
    if world.conf.vip_lease <= 0:
        return NOTHING
    if not world.master_vips & set(order.status.vips):
        return link.given.withdrawn()
    if order.lease is None:
        return Given(FOREVER, FOREVER)
    return link.given.sent(order.lease.length, link.token_at)


def without_run_out(world: World, now: float) -> World:
    """Return the world in which no host is thought to hold a role that it was not renewed in time."""
    if world.conf.vip_lease <= 0:
        return world
    for name, host in world.hosts.items():
        lost = _lost(world, name)
        if lost and host.agent.given.run_out(now, _margin(world)):
            held = host.agent.may_hold - lost
            world = world.with_agent(name, may_hold=held, told=None, clear=True, given=NOTHING)
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
    probes = not any(world.hosts[host.name].agent.classic for host in world.masters())
    return whole - PROBING if probes else whole


def to_look_for(world: World, name: str, now: float) -> LookForVip | None:
    """Return the look at a host whose system lives while neither server nor agent does (SPEC 11.1, case d).

    Where nothing answers ARP for the VIP then, the host has not got it, and no agent can bind it.
    """
    host, link = world.hosts[name], world.hosts[name].agent
    if not (link.closed and world.guarded and host.checks["mysql"].refused and host.good("ping")):
        return None
    left = sorted(_lost(world, name))
    if not left:
        return None
    if link.looking or link.killing or (link.looked is not None and now - link.looked < LOOK_AGAIN):
        return None
    return LookForVip(name, left[0])


def recorded(link: AgentLink) -> str:
    """Return what the status file says of a host's lease: nothing, `forever` or `finite`.

    Of a classic agent nothing, for it has no lease; a monitor that finds nothing takes that for one without an end.
    """
    if link.given == NOTHING or link.classic:
        return ""
    return "forever" if link.given.until == FOREVER else "finite"


def farewell(world: World) -> Tell | None:
    """Return the order that makes the holder's lease one without an end, before nobody renews it any more."""
    if world.conf.vip_lease <= 0 or world.other_monitor:
        return None
    for name, host in world.hosts.items():
        link = host.agent
        holds = link.told is not None and world.master_vips & set(link.told.vips) & link.may_hold
        if holds and link.told is not None and link.token and not link.classic and link.sent is None:
            if link.given.until == FOREVER:
                return None
            return Tell(name, link.order + 1, link.told, lease=Granted(FOREVER, link.token))
    return None


def _fresh(length: float) -> float:
    """Return the age, in seconds, up to which a token is sent with an order for the role.

    The kernel counts whole seconds: of a short lease hardly anything may have gone by.
    """
    return length / 2 if length >= 5 else length / 10


def _length(world: World, order: Tell) -> float:
    """Return the length of a lease: it ends where every other host of the role can promise that it may go on.

    Where one cannot, the holder would lose the role as soon as it does not hear the monitor: then it has no end.
    """
    role = world.conf.roles.get(world.conf.active_master_role)
    others = [] if role is None else [name for name in role.hosts if name != order.host]
    return world.conf.vip_lease if others and all(_can_promise(world, name) for name in others) else FOREVER


def _can_promise(world: World, name: str) -> bool:
    """Tell whether the host's agent can promise another to refuse the role, whatever state the host is in."""
    link = world.hosts[name].agent
    return not (link.classic or link.unreachable or world.is_silent(name))
