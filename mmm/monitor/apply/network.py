"""What changes when the monitor is cut off, and when it is back."""

from dataclasses import replace

from mmm.monitor.assess import trap
from mmm.monitor.world.events import Network
from mmm.monitor.world.host import HostWorld
from mmm.monitor.world.hosts import Hosts
from mmm.monitor.world.world import World


def network(world: World, event: Network) -> World:
    """Return the world in which the network is as the event says: what was about to fail may have been the network."""
    if event.up == world.network_up:
        return world
    hosts = world.hosts
    if not event.up:
        hosts = Hosts({name: _without_traps(host) for name, host in hosts.items()})
    return replace(world, network_up=event.up, hosts_silent=event.by_hosts, hosts=hosts)


def _without_traps(host: HostWorld) -> HostWorld:
    checks = {name: trap.begun_anew(status) for name, status in host.checks.items()}
    replication = replace(host.replication, connecting_since=None)
    return replace(host, checks=checks, replication=replication)
