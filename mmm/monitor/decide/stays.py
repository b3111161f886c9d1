"""Hosts whose VIP stays for good though no monitor has granted that: what their peers show (rule 14.3). Pure.

Such a host holds the active master role for good until it has obeyed an order that was sent after that was shown, or is
proved to be off. Then the others are told that they need not refuse the role for it any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mmm.config.model import Cluster
from mmm.monitor.world.host import HostWorld
from mmm.monitor.world.world import World
from mmm.wire.held import Stay


def shown(world: World, name: str, stays: Iterable[Stay]) -> World:
    """Return the world once a host has shown for whom it refuses the role."""
    for stay in stays if world.conf.vip_lease > 0 else ():
        if stay.host in world.hosts and stay.host != name:
            link = world.hosts[stay.host].agent.stayed(stay.token, world.master_vips)
            world = world.with_agent(stay.host, link)
    return world


def at_start(conf: Cluster, hosts: Mapping[str, HostWorld]) -> Mapping[str, HostWorld]:
    """Return the hosts of a monitor that starts, by what their agents have shown."""
    after, vips = dict(hosts), frozenset(conf.master_vips)
    for name, host in hosts.items():
        for stay in host.agent.about.stays if conf.vip_lease > 0 else ():
            if stay.host in after and stay.host != name:
                link = after[stay.host].agent.stayed(stay.token, vips)
                after[stay.host] = replace(after[stay.host], agent=link)
    return after


def void(world: World, name: str) -> frozenset[Stay]:
    """Return for whom a host refuses the role though that is void by now."""
    return frozenset(
        stay
        for stay in world.hosts[name].agent.about.stays
        if stay.host in world.hosts and stay.token in world.hosts[stay.host].agent.void
    )
