"""Two monitors with the same conf: the one that an agent refuses gives way, and each names the other (rule 14.1)."""

from dataclasses import replace

from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.world import Mode, World


def met(world: World, host: str, other: str) -> World:
    """Return the world after the agent of `host` has refused an order, for it obeys the monitor at `other`."""
    cause = PassiveCause("other_monitor", {"host": host, "other": other})
    return replace(world, mode=Mode.PASSIVE, passive_cause=cause, other_monitor=other, move=None)


def forgotten(world: World) -> World:
    """Return the world in which nothing is known of another monitor: it is tried again."""
    return replace(world, other_monitor="")


def followers(world: World) -> tuple[str, ...]:
    """Return the hosts whose agents follow this monitor, as far as is known, and can be told that it ends."""
    if world.other_monitor:
        return ()
    return tuple(
        name
        for name, host in world.hosts.items()
        if host.agent.told is not None
        and not (host.agent.unreachable or host.agent.about.classic or world.is_silent(name))
    )
