"""What another conf makes of the world: what speaks against it, what has to be unbound first, and the world by it.

Roles, states and orders follow in the next turn, as from any other change.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from mmm.config.model import Cluster, Vip
from mmm.monitor.decide.startup import AtStart
from mmm.monitor.world.host import HostWorld
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
    """Yield what speaks against that conf now; what it changes is not looked at."""
    if world.move is not None:
        yield Objection("moving", {"role": world.move.vip.role})
    if world.conf.monitors and world.hosts.keys() != conf.hosts.keys():
        yield Objection("several")
    for name in world.hosts:
        if name not in conf.hosts:
            yield from _of_removed(world, name)
    for role in conf.roles.values():
        before = world.conf.roles.get(role.name)
        held = before is not None and any(world.owner[vip] is not None for vip in before.vips)
        if held and not any(name in world.hosts and world.can_take(name) for name in role.hosts):
            yield Objection("nowhere", {"role": role.name, "hosts": role.hosts})
    if stays := sorted(going(world, conf) | stranded(world, conf)):
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


def going(world: World, conf: Cluster) -> frozenset[Vip]:
    """Return the VIPs that the conf has not got and that a host has, or may have: they are to be unbound first."""
    gone = world.owner.keys() - set(conf.vips)
    return frozenset(vip for vip in gone if world.owner[vip] is not None or world.holders(vip))


def stranded(world: World, conf: Cluster) -> frozenset[Vip]:
    """Return the VIPs that are assigned to a host which may not have them by that conf."""
    return frozenset(
        vip
        for vip in conf.vips
        if (owner := world.owner.get(vip)) is not None and owner not in conf.roles[vip.role].hosts
    )


def taken(world: World, conf: Cluster, now: float) -> World:
    """Return the world by that conf: new hosts wait to be set online, roles leave hosts that may not have them."""
    left = stranded(world, conf)
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
