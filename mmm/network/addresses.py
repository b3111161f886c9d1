"""The addresses of interfaces as the kernel tells and changes them (rtnetlink(7)).

    kernel = AddressTable()
    kernel.of(index)                          every address of the interface
    kernel.of(None, ["10.0.0.80"])            these, on all interfaces
    kernel.replace(index, "10.0.0.80", 32)    add it, or give the one that is there this lifetime
    kernel.delete(index, "10.0.0.80", 32)

Not for several threads at once.
"""

import socket
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from pyroute2.netlink import NETLINK_ROUTE, NLM_F_CREATE, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_DADFAILED, IFA_F_SECONDARY, ifaddrmsg

from mmm.network.netlink import Kernel, decoded, encoded

FOR_EVER = 0xFFFFFFFF
LINK_LOCAL = 253
"""RT_SCOPE_LINK: what every interface gives itself for IPv6."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An address as it stands on an interface."""

    ip: str
    prefixlen: int
    secondary: bool
    left: float
    """Seconds after which the kernel removes it."""
    scope: int = 0
    index: int = 0
    """The interface."""
    unused: bool = False
    """The kernel does not use it: as it was bound another host was found to have it (IPv6)."""


class AddressTable:
    """A socket to the kernel; every method raises OSError. `close` it."""

    def __init__(self) -> None:
        self._kernel = Kernel(NETLINK_ROUTE)

    def of(self, index: int | None, ips: Collection[str] | None = None) -> list[Bound]:
        """Return the addresses of the interface, None: of all of them, in the kernel's order; only `ips` if given."""
        told = self._kernel.dump(RTM_GETADDR, _of(index or 0))
        if ips is not None:  # most are others: they need not be decoded
            wanted = [packed(ip) for ip in ips]
            told = [message for message in told if any(ip in message for ip in wanted)]
        return [
            bound
            for bound in map(_bound, told)
            if index in {None, bound.index} and (ips is None or bound.ip in ips)
        ]

    def replace(self, index: int, ip: str, prefixlen: int, *, valid: int = FOR_EVER, preferred: int = FOR_EVER,
                flags: int = 0) -> None:  # fmt: skip
        """Have the interface have an address for `valid` seconds; `preferred` 0: not as a source of what goes out."""
        body = _named(index, ip, prefixlen, flags, preferred, valid)
        self._kernel.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)

    def delete(self, index: int, ip: str, prefixlen: int) -> None:
        """Remove an address; EADDRNOTAVAIL where there is none."""
        self._kernel.change(RTM_DELADDR, 0, _named(index, ip, prefixlen))

    def close(self) -> None:
        """Close the socket."""
        self._kernel.close()


def packed(ip: str) -> bytes:
    """Return an address as it stands in messages."""
    return socket.inet_pton(_family(ip), ip)


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


@lru_cache(maxsize=256)
def _of(index: int) -> bytes:
    return encoded(ifaddrmsg, {"family": socket.AF_UNSPEC, "index": index})


@lru_cache(maxsize=256)
def _named(
    index: int, ip: str, prefixlen: int, flags: int = 0, preferred: int = FOR_EVER, valid: int = FOR_EVER
) -> bytes:
    """Return the address as a message names it: kept, for the same ones come and go."""
    fields = {"family": _family(ip), "prefixlen": prefixlen, "flags": flags, "index": index}
    lifetime = {"ifa_preferred": preferred, "ifa_valid": valid}
    return encoded(ifaddrmsg, fields, {"IFA_LOCAL": ip, "IFA_ADDRESS": ip, "IFA_CACHEINFO": lifetime})


def _bound(message: bytes) -> Bound:
    told = decoded(ifaddrmsg, message)
    ip = told.get_attr("IFA_LOCAL") or told.get_attr("IFA_ADDRESS")
    lifetime = told.get_attr("IFA_CACHEINFO")
    valid = lifetime["ifa_valid"] if lifetime else FOR_EVER
    secondary = told["family"] == socket.AF_INET and bool(told["flags"] & IFA_F_SECONDARY)
    left = inf if valid == FOR_EVER else float(valid)
    unused = told["family"] == socket.AF_INET6 and bool(told["flags"] & IFA_F_DADFAILED)
    return Bound(ip, told["prefixlen"], secondary, left, told["scope"], told["index"], unused)
