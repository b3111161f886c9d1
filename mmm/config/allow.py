"""Who may connect to a daemon's port (rule 10.21): the cluster's own addresses and those in `allow_from`."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from mmm.config.model import Cluster

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Allowed:
    """The addresses and networks that may connect; everybody where there are none."""

    networks: tuple[Network, ...] = ()

    def admits(self, ip: str, own: str = "") -> bool:
        """Tell whether a client at `ip` is let in; the daemon's own machine always is, `own` is its address."""
        if not self.networks or ip == own:
            return True
        address = ipaddress.ip_address(ip)
        return address.is_loopback or any(address in network for network in self.networks)

    def __str__(self) -> str:
        if not self.networks:
            return "everybody"
        shown = (
            str(network.network_address) if network.num_addresses == 1 else str(network)
            for network in self.networks
        )
        return ", ".join(shown)


def allowed(conf: Cluster) -> Allowed:
    """Return who may connect to the port of this program's daemon.

    The conf of an agent need not name the monitor, and a monitor at a loopback address gives orders from another
    one: with neither that address nor `allow_from` in its conf an agent takes orders from everybody, as the
    classic does, for else it would take none.
    """
    monitor = ipaddress.ip_address(conf.monitor.ip) if conf.monitor and conf.monitor.ip else None
    apart = monitor is None or monitor.is_loopback or monitor.is_unspecified
    if conf.program == "AGENT" and apart and not conf.allow_from:
        return Allowed()
    return Allowed(tuple(dict.fromkeys(_networks(conf, "" if apart else str(monitor)))))


def sentence(conf: Cluster) -> str:
    """Return who may connect, for the log and for `--check`; what to write where that is everybody."""
    port = "agent port" if conf.program == "AGENT" else "control port"
    who = allowed(conf)
    if who.networks:
        return f"{port}: lets in {who}, and this host itself"
    return (
        f"{port}: lets everybody in, because the conf does not name the monitor's address:"
        " write `allow_from ADDRESS` with it in mmm_common.conf"
    )


def _networks(conf: Cluster, monitor: str) -> Iterator[Network]:
    yield from (ipaddress.ip_network(host.ip) for host in conf.hosts.values() if host.ip)
    if monitor:
        yield ipaddress.ip_network(monitor)
    yield from map(ipaddress.ip_network, conf.allow_from)
