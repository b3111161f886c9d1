"""What another conf makes of the world: what speaks against it, what has to be unbound first, and the world by it.

Roles, states and orders follow in the next turn, as from any other change.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

from mmm.config.model import Cluster, Vip
from mmm.monitor.decide.startup import AtStart
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.said import Said, Texts, listed
from mmm.monitor.world.world import Mode, World


class Objection(Said):
    """Why another conf is not taken now."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "holds": lambda of: (
            f"<host {of['host']}> removed: it may have {listed(of['vips'])} bound; 'mmm_control set_offline"
            f" {of['host']}' first"
        ),
        "rebuilt": "<host {host}> removed: it is being rebuilt; wait for the end of that",
        "nowhere": lambda of: (
            f"<role {of['role']}> hosts: none of {listed(of['hosts'])} can take it now; set one of them online first"
        ),
        "passive": lambda of: (
            f"{listed(of['vips'])} cannot be unbound in passive mode; 'mmm_control set_active' first"
        ),
        "cut_off": lambda of: (
            f"{listed(of['vips'])} cannot be unbound: the monitor's network is down; mend that first"
        ),
        "several": "hosts come or go: with several monitors a restart of all of them takes that",
        "moving": "{role} is being moved; wait for the end of that",
    }


def objections(world: World, conf: Cluster) -> Iterator[Objection]:
    """Yield what speaks against that conf now; what it changes is not looked at.

    A monitor that stands by knows of no roles, and its world is made anew when it leads: nothing of that counts.
    """
    if world.conf.monitors and world.hosts.keys() != conf.hosts.keys():
        yield Objection("several")
    if world.leadership.may_order:
        yield from _of_roles(world, conf)


def _of_roles(world: World, conf: Cluster) -> Iterator[Objection]:
    if world.move is not None:
        yield Objection("moving", {"role": world.move.vip.role})
    for name in world.hosts:
        if name not in conf.hosts:
            yield from _of_removed(world, name)
    left = stranded(world, conf)
    for name in dict.fromkeys(vip.role for vip in sorted(left)):
        hosts = conf.roles[name].hosts
        if not any(host in world.hosts and _could_take(world, host) for host in hosts):
            yield Objection("nowhere", {"role": name, "hosts": hosts})
    if stays := sorted(going(world, conf) | left):
        if world.mode is Mode.PASSIVE:
            yield Objection("passive", {"vips": tuple(stays)})
        elif not world.network_up:
            yield Objection("cut_off", {"vips": tuple(stays)})


def _of_removed(world: World, name: str) -> Iterator[Objection]:
    host = world.hosts[name]
    if held := sorted(world.vips_of(name) | host.agent.may_hold):
        yield Objection("holds", {"host": name, "vips": tuple(held)})
    if host.being_rebuilt:
        yield Objection("rebuilt", {"host": name})


def _could_take(world: World, name: str) -> bool:
    """Tell whether the host may get a VIP now, or will once it has confirmed that it is ONLINE.

    By a monitor that has just been started, or is in passive mode since, no host was asked to confirm anything.
    """
    host, link = world.hosts[name], world.hosts[name].agent
    answers = not (link.unreachable or link.refusal or link.about.halting)
    return world.can_take(name) or (host.state is State.ONLINE and answers and not world.is_dead(name))


def going(world: World, conf: Cluster) -> frozenset[Vip]:
    """Return the VIPs that the conf has not got and that a host has, or may have: they are to be unbound first.

    None by a monitor that gives no orders: the one that leads has its own conf.
    """
    if not world.leadership.may_order:
        return frozenset()
    gone = world.owner.keys() - set(conf.vips)
    return frozenset(vip for vip in gone if world.owner[vip] is not None or world.holders(vip))


def have(world: World, vips: Iterable[Vip]) -> frozenset[str]:
    """Return the hosts that have, or may have, any of the VIPs."""
    return frozenset(
        name
        for name in world.hosts
        if any(name in world.holders(vip) or world.owner.get(vip) == name for vip in vips)
    )


def renamed(world: World, conf: Cluster) -> tuple[tuple[Vip, Vip], ...]:
    """Return which of those that go the conf has under another role, each with what it is there.

    An agent takes no order for a VIP that its own conf has under another role.
    """
    by_ip = {vip.ip: vip for vip in conf.vips}
    return tuple((vip, by_ip[vip.ip]) for vip in sorted(going(world, conf)) if vip.ip in by_ip)


def stranded(world: World, conf: Cluster) -> frozenset[Vip]:
    """Return the VIPs that are assigned to a host which may not have them by that conf."""
    return frozenset(
        vip
        for vip in conf.vips
        if (owner := world.owner.get(vip)) is not None and owner not in conf.roles[vip.role].hosts
    )


def taken(world: World, conf: Cluster, now: float) -> World:
    """Return the world by that conf: new hosts wait to be set online, roles leave hosts that may not have them."""
    left = stranded(world, conf) if world.leadership.may_order else frozenset()
    owner = {vip: None if vip in left else world.owner.get(vip) for vip in conf.vips}
    hosts = {name: world.hosts.get(name) or HostWorld(since=now, why=AtStart("added")) for name in conf.hosts}
    return replace(
        world,
        conf=conf,
        hosts=Hosts(hosts),
        owner=Owners(owner),
        going=frozenset(),
        left_out=frozenset(
            (role, name)
            for role, name in world.left_out
            if role in conf.roles and conf.roles[role].mode == "balanced" and name in conf.roles[role].hosts
        ),
        examined=frozenset(met for met in world.examined if not met.host or met.host in hosts),
        examined_before=frozenset(met for met in world.examined_before if not met.host or met.host in hosts),
        ending=tuple(each for each in world.ending if not each.host or each.host in conf.agents),
        unsure=world.unsure & frozenset(owner),
    )


def kept(world: World) -> World:
    """Return the world in which the VIPs that were to go may be given to hosts again: the conf is not taken."""
    return replace(world, going=frozenset())
