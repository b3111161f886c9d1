"""Whether it is the monitor that is cut off, and not its hosts that are dead. Pure.

A host that answers proves the network. The ping_ips decide only while nobody answers, and not even then where all hosts
in use fell silent at once: then it is the monitor's own network, as ping_ips may contain one of its own addresses.
"""

from dataclasses import dataclass, replace

from mmm.monitor.assess import trap
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.world import World

_OUT_OF_USE = (State.ADMIN_OFFLINE, State.HARD_OFFLINE)


@dataclass(frozen=True, slots=True)
class Known:
    """Whether the network is up. `since` is when it went down, or the ping_ips ceased to answer; None: neither."""

    up: bool = True
    by_hosts: bool = False
    """It is down because all hosts fell silent at once."""
    since: float | None = None


def judged(known: Known, world: World, heard: float, began: float, *, answers: bool) -> Known:
    """Return what is known after a look that `began` then; `answers` tells whether one of the ping_ips does.

    `heard` is when a host last answered anything.
    """
    since = began if known.since is None else known.since
    proved = heard > max(since, began - _fresh(world))
    if not known.up and known.by_hosts:
        return Known() if heard > since else replace(known, since=since)
    if fell_silent_together(world) and not heard > began:
        return Known(up=False, by_hosts=True, since=began)
    if answers:
        return Known()
    return Known(up=proved, since=since)


def fell_silent_together(world: World) -> bool:
    """Tell whether no host answers any more, and those in use, two at least, fell silent within a run of the checks."""
    moments = {name: silent_since(host) for name, host in world.hosts.items()}
    if any(moment is None for moment in moments.values()):
        return False
    used = [moments[name] or 0.0 for name, host in world.hosts.items() if host.state not in _OUT_OF_USE]
    checks = [world.conf.checks[name] for name in ("ping", "mysql")]
    run = max(check.check_period + check.timeout for check in checks)
    return len(used) > 1 and max(used) - min(used) <= run


def unjudged(world: World) -> World:
    """Return the world in which what the first checks found is held against no host: the monitor is cut off."""
    for name, host in world.hosts.items():
        excused = {kind: trap.excused(check, host.since) for kind, check in host.checks.items()}
        world = world.with_host(name, replace(world.hosts[name], checks=excused))
    return replace(world, network_up=False, hosts_silent=True)


def silent_since(host: HostWorld) -> float | None:
    """Return since when neither ping nor the server nor the agent of the host answers; None: one does."""
    ping, mysql, link = host.checks["ping"], host.checks["mysql"], host.agent
    if ping.error_since is None or mysql.error_since is None or mysql.refused or mysql.unknown:
        return None
    since = max(ping.error_since, mysql.error_since)
    told = link.orders.ended is not None and link.orders.ended > since
    answered = told and link.refused is None and not link.unreachable
    return None if answered else since


def _fresh(world: World) -> float:
    """Return for how many seconds an answer proves the network while no ping_ips answers."""
    check = world.conf.checks["mysql"]
    return min(check.check_period + check.timeout, check.trap_period / 2)
