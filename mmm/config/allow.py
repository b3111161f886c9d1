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
    apart = not conf.monitors and (monitor is None or monitor.is_loopback or monitor.is_unspecified)
    if conf.program == "AGENT" and apart and not conf.allow_from:
        return Allowed()
    return Allowed(tuple(dict.fromkeys(_networks(conf, "" if apart or monitor is None else str(monitor)))))


def health_allowed(conf: Cluster) -> Allowed:
    """Return who may ask for the health of this host: those who may connect to its agent, and `health_from`."""
    who, besides = allowed(conf), tuple(map(ipaddress.ip_network, conf.health_from))
    if not (who.networks or besides):
        return who
    return Allowed(tuple(dict.fromkeys((*(who.networks or _networks(conf, "")), *besides))))


def health_sentence(conf: Cluster) -> str:
    """Return who may ask for the health of this host, for the log and for `--check`; empty without such a port."""
    here = conf.hosts.get(conf.this)
    if conf.program != "AGENT" or here is None or not here.health_port:
        return ""
    how = " with TLS" if conf.socket.type == "ssl" and not conf.health_plain else ""
    return f"health port {here.health_port}: answers {health_allowed(conf)}, and this host itself{how}"


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
    yield from (ipaddress.ip_network(host.ip) for host in conf.agents.values() if host.ip)
    if monitor:
        yield ipaddress.ip_network(monitor)
    yield from map(ipaddress.ip_network, (*conf.monitors, *conf.allow_from))
