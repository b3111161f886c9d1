"""What changes when an agent reports that its server's process has ended (rule 6.3)."""

from dataclasses import replace

from mmm.monitor.assess import trap
from mmm.monitor.world.checks import Exit
from mmm.monitor.world.events import ServerExited
from mmm.monitor.world.world import World


def exited(world: World, event: ServerExited, now: float) -> World:
    """Return the world after the news; as it was while the network is down, for no check counts then."""
    host, monitor = world.hosts[event.host], world.conf.monitor
    if not world.network_up:
        return world
    certain = monitor is not None and monitor.server_exit == "failover"
    status = trap.exited(host.checks["mysql"], Exit(event.pid, event.at, certain), now)
    return world.with_host(event.host, replace(host, checks={**host.checks, "mysql": status}))
