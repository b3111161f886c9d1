"""Hosts whose VIP stays for good though no monitor has granted that: what their peers show (rule 14.3). Pure.

Such a host holds the active master role for good until it has obeyed an order that was sent after that was shown, or is
proved to be off. Then the others are told that they need not refuse the role for it any more.
"""

from collections.abc import Iterable

from mmm.monitor.world.world import World
from mmm.wire.held import Stay


def shown(world: World, name: str, stays: Iterable[Stay]) -> World:
    """Return the world once a host has shown for whom it refuses the role."""
    for stay in stays if world.conf.vip_lease > 0 else ():
        if stay.host in world.hosts and stay.host != name:
            link = world.hosts[stay.host].agent.stayed(stay.token, world.master_vips)
            world = world.with_agent(stay.host, link)
    return world


def shown_before(world: World) -> World:
    """Return the world of a monitor that starts, by what the agents have shown to its first look."""
    for name, host in world.hosts.items():
        world = shown(world, name, host.agent.about.stays)
    return world


def void(world: World, name: str) -> frozenset[Stay]:
    """Return for whom a host refuses the role though that is void by now."""
    return frozenset(
        stay
        for stay in world.hosts[name].agent.about.stays
        if stay.host in world.hosts and stay.token in world.hosts[stay.host].agent.void
    )
