"""A server that waits for space on its disk: it takes connections, answers all checks, and writes nothing. Pure.

With `disk_full_failover` such a writer counts as failed after that time, if another host can take the role. It comes
back once its server waits no more and there is room again.
"""

from mmm.monitor.assess import promotion
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.world import Mode, World
from mmm.wire.questions import DISK_FULL, NO_SPACE

RULE = "disk_full"
"""The rule by which such a host goes out of use."""
FRESH = 40.0
"""Seconds for which what an agent said of its server counts; it is asked every 15 s, and here more often."""


def waited(host: HostWorld, now: float) -> float:
    """Return for how many seconds the host's server has waited for space; 0: it does not, or nobody said so lately."""
    full = host.noted(DISK_FULL)
    if full is None or now - host.noted_at > FRESH:
        return 0.0
    return full.seconds + now - host.noted_at


def is_full(host: HostWorld, now: float) -> bool:
    """Tell whether its server waits for space, or has next to none, as its agent has said lately."""
    said = host.noted(DISK_FULL) or host.noted(NO_SPACE)
    return said is not None and now - host.noted_at <= FRESH


def is_failed(world: World, name: str, now: float) -> bool:
    """Tell whether the host has the active master role, and is to count as failed for its disk is full."""
    monitor, host = world.conf.monitor, world.hosts[name]
    if monitor is None or monitor.disk_full_failover <= 0 or world.active_master != name:
        return False
    if world.mode is not Mode.ACTIVE or waited(host, now) < monitor.disk_full_failover:
        return False
    if world.failed_over is not None and now < world.failed_over + monitor.failover_block:
        return False
    return another_can(world, name, now)


def another_can(world: World, name: str, now: float) -> bool:
    """Tell whether another host can take the role, and has room."""
    role = world.conf.roles[world.conf.active_master_role]
    others = (other for other in promotion.eligible(world, role) if other != name)
    return any(not is_full(world.hosts[other], now) for other in others)


def is_lost(world: World, taker: str) -> bool:
    """Tell whether another host lost the role to this one for its disk is full: what was received is enough then."""
    return any(host.rule == RULE for name, host in world.hosts.items() if name != taker and host.lost)


def keeps_out(world: World, name: str, now: float) -> bool:
    """Tell whether a host that has failed is not to be used again yet: there is no room yet."""
    monitor, host = world.conf.monitor, world.hosts[name]
    on = monitor is not None and monitor.disk_full_failover > 0
    return on and host.state is State.HARD_OFFLINE and is_full(host, now)
