"""What was seen of a cluster, and what is found in it. Values alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmm.config.model import Cluster
from mmm.doctor.codes import CODES, Level
from mmm.doctor.look import HostLook, MonitorLook, Seen, Server


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: about `host`, or where that is empty about the monitor's machine or all."""

    code: str
    host: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """Return how bad it is."""
        return CODES[self.code].level

    @property
    def says(self) -> str:
        """Return what was found."""
        return " ".join(CODES[self.code].says.format(**self.fields).split())

    @property
    def todo(self) -> str:
        """Return what to do, empty where there is nothing."""
        return CODES[self.code].todo.format(**self.fields)


@dataclass(frozen=True, slots=True)
class Picture:
    """All that was seen of a cluster. `monitor` is None for a look from a host with a server."""

    conf: Cluster
    seen: Mapping[str, Seen] = field(default_factory=dict)
    looks: Mapping[str, HostLook] = field(default_factory=dict)
    monitor: MonitorLook | None = None

    def server(self, name: str) -> Server | None:
        """Return the server of a host as somebody saw it."""
        look, seen = self.looks.get(name), self.seen.get(name)
        return (look.server if look else None) or (seen.server if seen else None)

    @property
    def writers(self) -> frozenset[str]:
        """Return the hosts that have the writer's VIP: one where all is well."""
        vip = self.conf.master_vip
        return frozenset(name for name, look in self.looks.items() if vip and vip.ip in dict(look.bound))
