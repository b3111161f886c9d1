"""What was seen of a cluster, and what is found in it. Values alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

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


class Firsts(NamedTuple):
    """What a server is compared with, so that nobody compares each with each: host names, in conf order."""

    places: Mapping[str, int]
    """Where each host stands in the conf."""
    by_number: Mapping[str, str]
    """The first host with a server_id."""
    by_family: Mapping[str, str]
    """The first host with a server of a family."""
    newest_master: Mapping[str, str]
    """The first possible master with the newest server of a family."""


@dataclass(frozen=True)  # without slots, for what is worked out once
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

    @cached_property
    def firsts(self) -> Firsts:
        """Return what the servers are compared with."""
        by_number: dict[str, str] = {}
        by_family: dict[str, str] = {}
        newest: dict[str, tuple[tuple[int, int, int], str]] = {}
        masters = {host.name for host in self.conf.masters}
        for name in self.conf.hosts:
            server = self.server(name)
            if server is None:
                continue
            by_family.setdefault(server.family, name)
            if number := server.settings.get("server_id"):
                by_number.setdefault(number, name)
            known = newest.get(server.family)
            if name in masters and (known is None or server.version > known[0]):
                newest[server.family] = server.version, name
        places = {name: place for place, name in enumerate(self.conf.hosts)}
        return Firsts(places, by_number, by_family, {family: name for family, (_, name) in newest.items()})

    def may_write(self, name: str) -> bool:
        """Tell whether a host has the writer's VIP, or may have it: where it is bound nowhere no look tells who has."""
        vip, look = self.conf.master_vip, self.looks.get(name)
        if vip is None or look is None:
            return False
        if self.conf.via(vip.role) != "arp":
            return name in self.conf.roles[vip.role].hosts
        return any(ip == vip.ip for ip, _ in look.bound)
