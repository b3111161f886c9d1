"""Who is told what, and when (rules 6.5, 8, 10.2, 10.3).

Level-triggered: each host has a status that it should have been told; where it differs from what its agent
confirmed, an order goes out, one at a time for each host, and again with every heartbeat.

A VIP is in a host's status only when no other host may still have it bound. The active master role comes last:
the old holder first confirms that it is gone, then the slaves follow the new one, then the new one takes writes.
Which slaves it waits for, and for how long, is in `slaves_first`.
"""

from dataclasses import replace

from mmm.config.model import Vip
from mmm.lease import lead
from mmm.lease.rules import FOREVER
from mmm.monitor.assess import behind_others, divergence, full_disk, loss, second_opinion, slaves_first
from mmm.monitor.decide import leases
from mmm.monitor.world.link import Greeting, KillStep, Ordered
from mmm.monitor.world.orders import KillHost, Order, Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import HAND_OVER_LIMIT, PROBE_SAY, PROBE_STOP, Status

MERE_HEARTBEATS = 10
"""Heartbeats that a turn sends at most, or a tenth of the hosts where that is more: to those told longest ago.

The others follow in the next turns, so that the heartbeats of a large cluster are spread over their period.
"""
KILL_AGAIN = 30.0
"""Seconds until kill_host is tried again for a host that may have the writer's VIP and has no lease that ends."""


def orders(world: World, now: float) -> tuple[World, tuple[Order, ...]]:
    """Return the orders that are due, and the world that knows they are under way."""
    if not world.network_up:
        return world, ()
    if world.mode is Mode.PASSIVE:
        last = leases.farewell(world)
        return (world, ()) if last is None else (_sent(world, last, now), (last,))
    world = leases.without_run_out(world, now)
    world = _note_waiting_for_slaves(world, now)
    given: list[Order] = []
    latest = _latest_heartbeat(world, now)
    for name in world.hosts:
        order = _order_for(world, name, now, latest)
        if (look := leases.to_look_for(world, name, now)) is not None:
            link = world.hosts[name].agent
            world = world.with_agent(name, replace(link, search=replace(link.search, under_way=True)))
            given.append(look)
        if (question := second_opinion.to_ask(world, name, now)) is not None:
            world = second_opinion.asked(world, question, now)
            given.append(question)
        if isinstance(order, KillHost):
            link = world.hosts[name].agent
            kill = replace(link.kill, step=KillStep.RUNNING)
            world = world.with_agent(name, replace(link, kill=kill))
        elif isinstance(order, Tell):
            world = _sent(world, order, now)
        if order is not None:
            given.append(order)
    return world, tuple(given)


def wanted(world: World, name: str, now: float) -> Status:
    """Return the status that the host should have been told."""
    vips = tuple(sorted(vip for vip in world.vips_of(name) if _may_take(world, vip, name, now)))
    writes = world.conf.master_vip in vips
    detach = writes and divergence.keeps_away(world, name)
    # A server that waits for space tells of a transaction that it has logged and never sends.
    force = writes and (world.forced == name or (detach and full_disk.is_lost(world, name)))
    probe = _probe(world) if writes and world.unsure & world.master_vips else ""
    salvage = loss.to_salvage(world, name) if detach else ""
    first = behind_others.to_follow(world, name) if detach else ()
    state, attach = str(world.hosts[name].state), divergence.attaches_again(world, name)
    return Status(state, vips, _master_for(world, name), force, detach, attach, probe, salvage, first)


def _probe(world: World) -> str:
    return PROBE_STOP if world.guarded else PROBE_SAY


def is_due(world: World, name: str, now: float) -> bool:
    """Tell whether something is to be said to the host's agent now, or the host to be killed."""
    return _order_for(world, name, now) is not None


def heartbeat(world: World) -> float:
    """Return the seconds between two orders to an agent when nothing changes."""
    return lead.heartbeat(len(world.hosts))


def holders(world: World, vip: Vip) -> frozenset[str]:
    """Return the hosts that may have the VIP bound."""
    return world.holders(vip)


def left_behind(world: World, name: str) -> frozenset[Vip]:
    """Return the VIPs that the host may still have bound though they are not assigned to it."""
    return world.hosts[name].agent.may_hold - world.vips_of(name)


def _latest_heartbeat(world: World, now: float) -> float:
    """Return when those hosts were told last, at the latest, that are due for a heartbeat and get it in this turn."""
    most, period = max(MERE_HEARTBEATS, len(world.hosts) // 10), heartbeat(world)
    due = [
        host.agent.orders.ended
        for name, host in world.hosts.items()
        if host.agent.orders.ended is not None
        and now - host.agent.orders.ended >= period
        and not (host.agent.in_flight is not None or host.agent.kill.running or world.is_silent(name))
    ]
    return sorted(due)[most - 1] if len(due) > most else now


def _order_for(world: World, name: str, now: float, latest_heartbeat: float = FOREVER) -> Order | None:
    host, link = world.hosts[name], world.hosts[name].agent
    if link.kill.running or _waits_for_round(world, name, now):
        return None
    if world.is_silent(name):  # what is under way to it will not arrive
        kill = link.kill.step is KillStep.OWED or (left_behind(world, name) and not link.kill.spared)
        return KillHost(name, pings=False) if kill and _may_kill(world, name, now) else None
    if link.in_flight is not None:
        return None
    status = wanted(world, name, now)
    owed = link.kill.step is KillStep.OWED
    if owed and link.unreachable and _says_the_same(world, name, status, link.refused):
        return KillHost(name, pings=host.good("ping"))
    if _hands_over(world, name, status, now):
        return None
    beat = min(heartbeat(world), leases.renewal(world, status))
    waits = (
        leases.renewal(world, status) == FOREVER
        and link.orders.ended is not None
        and link.orders.ended > latest_heartbeat
    )
    due = link.orders.ended is None or (now - link.orders.ended >= beat and not waits)
    due = due or leases.is_awaited(world, name, status, now)
    due = due or (link.orders.again is not None and now >= link.orders.again)
    known = any(_says_the_same(world, name, status, said) for said in (link.told, link.refused))
    news = not known or (link.clear and link.refused is None)
    if not (news or due) or leases.is_left_alone(world, name, status):
        return None
    return leases.with_lease(world, Tell(name, link.orders.number + 1, status, link.clear), now)


def _hands_over(world: World, name: str, status: Status, now: float) -> bool:
    """Tell whether the host's machine goes down, and the next writer may still ask its server for what it lacks.

    Its agent takes any order for the word that the server is needed no more: that is due once another host writes.
    """
    link = world.hosts[name].agent
    gone = link.told is not None and not (link.told.vips or status.vips)
    needed = name == world.last_writer != world.active_master
    told = link.orders.ended
    return link.about.halting and gone and needed and told is not None and now - told < HAND_OVER_LIMIT


def _waits_for_round(world: World, name: str, now: float) -> bool:
    """Tell whether an agent that cannot tell an old order from a new one is told nothing: who leads is not sure."""
    classic = world.hosts[name].agent.about.classic
    return bool(world.conf.monitors) and classic and now >= world.leadership.sure_until


def _may_kill(world: World, name: str, now: float) -> bool:
    """Tell whether kill_host is run for the host: once it has failed only for what cannot be had otherwise."""
    failed = world.hosts[name].agent.kill.failed
    if failed is None:
        return True
    return bool(left_behind(world, name) & world.master_vips) and now - failed >= KILL_AGAIN


def _says_the_same(world: World, name: str, status: Status, said: Status | None) -> bool:
    """Tell whether the host knows all of `status` that concerns it: who is active master concerns slaves."""
    if said is None or world.conf.hosts[name].mode == "slave":
        return status == said
    ours, theirs = (status.vips, status.detach, status.attach), (said.vips, said.detach, said.attach)
    return status.state == said.state and ours == theirs


def _sent(world: World, order: Tell, now: float) -> World:
    link, vips = world.hosts[order.host].agent, frozenset(order.status.vips)
    if order.greet:
        greeting = Greeting(order.status, now)
        orders = replace(link.orders, in_flight=greeting, number=order.number)
        return world.with_agent(order.host, replace(link, orders=orders))
    ordered = Ordered(order.status, now, new=vips - link.may_hold, before=link.given)
    link = replace(
        link,
        orders=replace(link.orders, in_flight=ordered, number=order.number, again=None, token=None),
        given=leases.sent(world, order),
        may_hold=link.may_hold | vips,
        supposed=link.supposed - vips,
        found=frozenset(),
    )
    return world.with_agent(order.host, link)


def _may_take(world: World, vip: Vip, name: str, now: float) -> bool:
    link = world.hosts[name].agent
    if vip in link.found or (link.told is not None and vip in link.told.vips):
        return True
    if holders(world, vip) - {name}:
        return False
    if vip.role != world.conf.active_master_role or vip in link.may_hold:
        return True
    return not slaves_first.keep_waiting(world, name, now)


def _note_waiting_for_slaves(world: World, now: float) -> World:
    waiting = _move_under_way(world) is not None and not _others_may_write(world)
    if waiting == (world.slaves_first_since is not None):
        return world
    return replace(world, slaves_first_since=now if waiting else None)


def _move_under_way(world: World) -> Vip | None:
    """Return the active master's VIP while its owner has not been told to take it."""
    vip = world.conf.master_vip
    owner = None if vip is None else world.owner[vip]
    return (
        vip
        if vip is not None and owner is not None and vip not in world.hosts[owner].agent.may_hold
        else None
    )


def _others_may_write(world: World) -> bool:
    vip = world.conf.master_vip
    return vip is not None and bool(holders(world, vip) - {world.owner[vip]})


def _master_for(world: World, name: str) -> str:
    """Return the active master that the host is told; slaves stay with the old one until it has let go.

    One that has more than the new one stays until that has got it.
    """
    master = world.active_master or ""
    link, slave = world.hosts[name].agent, world.conf.hosts[name].mode == "slave"
    if master and slave and (_others_may_write(world) or behind_others.holds_back(world, name)):
        return link.told.master if link.told is not None else ""
    return master
