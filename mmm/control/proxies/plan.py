"""What a proxy has to know of a cluster: where to write, where to read, and whom to ask (rule 15.3). Pure.

Writes go over the address of the active master role, for that alone is taken from a host when its lease ends; what goes
to the host itself may reach a server that is no master any more, by the proxy's last look. Where the role has no
address (`vip_via health`) the hosts are asked.
"""

from dataclasses import dataclass
from math import ceil

from mmm.config.model import Cluster, Host, Role

LAG = 10
"""Seconds by which a host may be behind that clients read from."""
BOTH, WRITE, READ = 3306, 3307, 3308
"""Ports of the proxy: for clients that do not split, for writes, for reads."""


class NoPlanError(Exception):
    """The conf does not say enough; the text says what it lacks, and what to write."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A cluster as a proxy sees it."""

    conf: str
    """The conf file that this was made from."""
    role: str
    """The active master role."""
    writer: tuple[str, int]
    """Its address, and the port of the servers behind it."""
    masters: tuple[Host, ...]
    reader: str
    """The role that is read from; empty where there is only the active master's."""
    readers: tuple[Host, ...]
    """The hosts to read from: those of that role, else all."""
    addresses: tuple[str, ...]
    """The addresses of that role; of its hosts, where it has none."""
    health: bool
    """All of these hosts have a health port."""
    lag: float
    """Seconds by which a host may be behind that clients read from."""
    asked: bool
    """The active master role has no address: who holds it is asked of its hosts at their health ports."""
    tls: str
    """The CA file where the health ports have TLS; empty where they have not."""

    @property
    def whole_lag(self) -> int:
        """Return the lag in whole seconds, rounded up: for proxies without fractions, to which 0 is no limit."""
        return max(1, ceil(self.lag))

    @property
    def asks(self) -> str:
        """Return what a health port is asked by a proxy that reads."""
        return f"/{self.reader or 'replica'}?lag={self.lag:g}"


def plan(conf: Cluster, lag: float = LAG) -> Plan:
    """Return what there is to know of the cluster; raises NoPlanError.

    `lag`: the seconds by which a host may be behind that is read from.
    """
    vip = conf.master_vip
    if vip is None:
        raise NoPlanError(f"{conf.path} names no active master role with an address; include mmm_common.conf")
    others = [role for role in conf.roles.values() if role.name != vip.role]
    reader = next((role for role in others if role.mode == "balanced"), next(iter(others), None))
    names = reader.hosts if reader is not None else tuple(conf.hosts)
    readers = tuple(conf.hosts[name] for name in names)
    tls = conf.socket.type == "ssl" and not conf.health_plain
    return Plan(
        conf=str(conf.path),
        role=vip.role,
        writer=(vip.ip, conf.masters[0].mysql_port if conf.masters else 3306),
        masters=conf.masters,
        reader=reader.name if reader is not None else "",
        readers=readers,
        addresses=_addresses(reader, readers),
        health=all(host.health_port for host in readers),
        lag=lag,
        asked=vip in conf.asked_vips,
        tls=conf.socket.ca_file if tls else "",
    )


def _addresses(reader: Role | None, readers: tuple[Host, ...]) -> tuple[str, ...]:
    """Return the addresses by which a proxy reads that asks nobody."""
    if reader is None:
        return ()
    return reader.ips if reader.vip_via != "health" else tuple(host.ip for host in readers)


def at(ip: str, port: int) -> str:
    """Return address and port as proxies write them."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
