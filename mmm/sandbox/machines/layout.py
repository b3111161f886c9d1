"""What is to be built for a conf: the machines, their addresses, and the users of their servers. Pure."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mmm.config.model import Cluster, Host
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.network import Lengths, Plug, prefix_lengths

SWITCH = "switch"
MONITOR = "monitor"
CLIENT = "client"
_PRIVATE_ROOTS = ("/run/", "/var/", "/tmp/", "/opt/", "/srv/", "/usr/local/")  # noqa: S108


@dataclass(frozen=True, slots=True)
class Layout:
    """The machines of a sandbox; `agents` holds the conf of each host and witness as its own agent reads it."""

    cluster: Cluster
    agents: Mapping[str, Cluster]
    plugs: Mapping[str, Plug]
    """By machine, all but the switch; the hosts in conf order first, then the witnesses."""
    gateways: tuple[str, ...]
    """Addresses at the bridge itself, that answer ping."""
    monitors: Mapping[str, str]
    """The machines that monitors run on, in conf order, with the address at which each listens."""

    @property
    def monitor(self) -> str:
        """Return the machine that the monitor runs on, the first of several."""
        return next(iter(self.monitors))

    @property
    def monitor_ip(self) -> str:
        """Return where that one listens."""
        return self.monitors[self.monitor]

    @property
    def hosts(self) -> Mapping[str, Host]:
        """Return the database hosts by their names, in conf order."""
        return self.cluster.hosts

    @property
    def machines(self) -> tuple[str, ...]:
        """Return the names of all machines, the switch first."""
        return (SWITCH, *self.plugs)

    @property
    def lengths(self) -> Lengths:
        """Return the prefix lengths of the machines' own addresses."""
        return prefix_lengths([*(plug.ip for plug in self.plugs.values()), *self.gateways])

    @property
    def writer_ip(self) -> str:
        """Return the VIP that clients write to."""
        return self.cluster.roles[self.cluster.active_master_role].ips[0]

    @property
    def reader_ips(self) -> tuple[str, ...]:
        """Return the other VIPs, that clients read from."""
        return tuple(vip.ip for vip in self.cluster.vips if vip.role != self.cluster.active_master_role)

    @property
    def masters(self) -> tuple[str, ...]:
        """Return the hosts that can be writers, in conf order."""
        return tuple(name for name, host in self.hosts.items() if host.mode == "master")

    def source_of(self, name: str) -> str | None:
        """Return the host that a host replicates from at first: its peer, a slave from the first master."""
        host = self.hosts[name]
        source = host.peer if host.mode == "master" else next(iter(self.masters), None)
        return source if source in self.hosts and source != name else None

    def private(self, machine: str) -> tuple[str, ...]:
        """Return the directories, named in the conf, that the machine must have for itself."""
        wanted = []
        if machine in self.agents:
            agent = self.agents[machine]
            wanted += [agent.here.pid_path, *(log.file for log in agent.logs)]
        if machine in self.hosts:
            wanted.append(self.hosts[machine].mysql_pidfile)
        if machine in self.monitors and self.cluster.monitor is not None:
            wanted += [self.cluster.monitor.pid_path, self.cluster.monitor.status_path]
            wanted += [log.file for log in self.cluster.logs]
        return ("/run", "/var/lib/misc", "/var/log/mysql-mmm", *_directories(wanted))


def plan(cluster: Cluster, agents: Mapping[str, Cluster]) -> Layout:
    """Return the layout for the conf of a monitor and its agents; raises SandboxError."""
    if cluster.monitor is None or not cluster.hosts:
        raise SandboxError(f"{cluster.path}: no monitor or no hosts to build a sandbox of")
    clash = sorted({SWITCH, CLIENT} & set(cluster.agents))
    if clash:
        raise SandboxError(
            f"{cluster.path}: the sandbox has a machine {clash[0]} of its own: rename the host"
        )
    addresses = _Addresses(cluster)
    monitors = _monitors(cluster, cluster.monitors or (cluster.monitor.ip,))
    own = {name: host.ip for name, host in cluster.agents.items()}
    for name, ip in monitors.items():
        if name not in cluster.agents:
            listens = ipaddress.ip_address(ip)
            apart = listens.is_loopback or listens.is_unspecified
            own[name] = addresses.allowed() if apart else ip
    own[CLIENT] = addresses.free()
    plugs = {
        name: Plug(name, f"p{number}", _interface(cluster, agents, name), ip, _near_vips(cluster, ip))
        for number, (name, ip) in enumerate(own.items(), 1)
    }
    answering = [ip for ip in cluster.monitor.ping_ips if ip not in own.values() and not _is_loopback(ip)]
    return Layout(cluster, agents, plugs, tuple(answering), monitors)


def _monitors(cluster: Cluster, listed: Iterable[str]) -> dict[str, str]:
    """Return the machines of the monitors at these addresses: a host, else `monitor`, `monitor2`, and so on."""
    hosts = {host.ip: name for name, host in cluster.agents.items()}
    found: dict[str, str] = {}
    for number, ip in enumerate(listed, 1):
        name = hosts.get(ip) or (MONITOR if number == 1 else f"{MONITOR}{number}")
        if ip not in hosts and name in cluster.agents:
            raise SandboxError(
                f"{cluster.path}: the sandbox has a machine {name} of its own: rename the host"
            )
        found[name] = ip
    return found


def free_address(cluster: Cluster) -> str:
    """Return an address near the hosts that the conf does not use; raises SandboxError."""
    return _Addresses(cluster).free()


class _Addresses:
    """Gives out addresses near the hosts that the conf does not use."""

    def __init__(self, cluster: Cluster) -> None:
        monitor = cluster.monitor
        named = [host.ip for host in cluster.agents.values()] + [vip.ip for vip in cluster.vips]
        self._taken = {*named, *cluster.monitors, *((monitor.ip, *monitor.ping_ips) if monitor else ())}
        self._allowed = cluster.allow_from
        first = ipaddress.ip_address(next(iter(cluster.hosts.values())).ip)
        if first.is_loopback:
            raise SandboxError(f"{cluster.path}: a host at {first} cannot be reached by other hosts")
        near = ipaddress.ip_network((first, 24 if first.version == 4 else 64), strict=False)
        self._left = (str(ip) for ip in near.hosts())

    def allowed(self) -> str:
        """Return an address that the agents let in, where `allow_from` names one that nobody has, else any."""
        named = (ip for ip in self._allowed if "/" not in ip and ip not in self._taken)
        return next(named, None) or self.free()

    def free(self) -> str:
        """Return an address that nobody has; raises SandboxError when there is none left."""
        for ip in self._left:
            if ip not in self._taken and ip not in self._allowed:
                return ip
        raise SandboxError("no address is left near the hosts for the sandbox's own machines")


def _interface(cluster: Cluster, agents: Mapping[str, Cluster], name: str) -> str:
    if name not in cluster.hosts:
        return "eth0"
    return agents[name].hosts[name].cluster_interface or cluster.hosts[name].cluster_interface or "eth0"


def _near_vips(cluster: Cluster, ip: str) -> tuple[str, ...]:
    """Return the IPv6 addresses that the machine at `ip` needs to be a neighbour of the IPv6 VIPs."""
    nets = (ipaddress.ip_network((vip.ip, 64), strict=False) for vip in cluster.vips if ":" in vip.ip)
    own = int(ipaddress.ip_address(ip)) % (1 << 32)
    return tuple(str(net[own]) for net in dict.fromkeys(nets))


def _is_loopback(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_loopback


def _directories(files: Iterable[str]) -> Iterator[str]:
    """Yield the directory of each file, if it is a place for such files."""
    for path in dict.fromkeys(files):
        if path.startswith(_PRIVATE_ROOTS):
            yield path.rpartition("/")[0]
