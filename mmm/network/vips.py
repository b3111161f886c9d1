"""Virtual IPs on an interface, as the kernel has them: nothing is remembered here.

    interface = Interface("eth0")
    interface.bound()             {"10.0.0.4": (24,), "10.0.0.80": (32,), "fd00::80": (128,)}
    interface.bind("10.0.0.80")   as /32, whatever else it was bound as; IPv6 as /128
    interface.bind("10.0.0.80", 10)   the same, for 10 s: then the kernel removes it
    interface.left("10.0.0.80")   for how many seconds more
    interface.unbind("10.0.0.80") whatever prefix length it was bound with
    interface.elsewhere(["10.0.0.80"])   {"10.0.0.80": ("eth1",)}: on other interfaces
    interface.unbind_elsewhere("10.0.0.80")

One netlink socket is kept; the methods may be called from several threads.
"""

import errno
import logging
import socket
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self

from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD

from mmm.network.addresses import FOR_EVER, LINK_LOCAL, AddressTable, Bound

log = logging.getLogger(__name__)

UNUSED = 0
"""The prefix length that is told of an address which is there, but which the kernel does not use."""


def whole(ip: str) -> int:
    """Return the prefix length of a VIP, which brings no route and is no source address by itself."""
    return 128 if ":" in ip else 32


class InterfaceError(Exception):
    """The kernel did not do what was asked; the text is one line: interface, what, why."""


class NoInterfaceError(InterfaceError):
    """The interface does not exist, so nothing is bound on it."""


class Interface:
    """The addresses of one network interface; raises InterfaceError. A context manager that closes it.

    The interface is looked for at every call, so it may come later or be made anew.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._table: AddressTable | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def bound(self, ips: Collection[str] | None = None) -> dict[str, tuple[int, ...]]:
        """Return the addresses of the interface but link-local ones, with the prefix lengths they are bound with.

        Only `ips` if given: that is quicker. Of one that the kernel does not use the length is UNUSED.
        """
        with self._kernel("look at its addresses") as (table, index):
            found = _addresses(table, index, ips)
        return {
            ip: tuple(UNUSED if a.unused else a.prefixlen for a in found if a.ip == ip)
            for ip in dict.fromkeys(a.ip for a in found)
        }

    def bind(self, ip: str, lifetime: int = 0) -> None:
        """Have `ip` bound as a single address and as nothing else, for `lifetime` seconds or (0) for good."""
        with self._kernel(f"bind {ip}") as (table, index):
            bound = _addresses(table, index, [ip])
            wide = [address for address in bound if address.prefixlen != whole(ip) or address.unused]
            if ":" in ip:  # the kernel knows an IPv6 address once only, whatever its prefix length
                self._remove_all(table, index, wide)
            if lifetime or not any(each.left == inf for each in bound if each not in wide):
                table.replace(index, ip, whole(ip), **_options(ip, lifetime))
            if ":" not in ip:
                self._remove_all(table, index, wide)

    def unbind(self, ip: str) -> None:
        """Have `ip` not bound, whatever prefix length it had; nothing happens when it is so."""
        with self._kernel(f"unbind {ip}") as (table, index):
            self._remove_all(table, index, _addresses(table, index, [ip]))

    def let_go(self, ip: str, until: float | None = None) -> bool:  # noqa: ARG002 - for what is no address
        """Tell whether `ip` may be removed: always so, as the kernel knows best of an address."""
        return True

    def remove(self, ip: str) -> None:
        """Have `ip`, which was let go, not bound."""
        self.unbind(ip)

    def elsewhere(self, ips: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return which of `ips` are bound on other interfaces than this one, with the names of these."""
        wanted = frozenset(ips)
        found: dict[str, list[str]] = {}
        for ip, index in self._others(wanted):
            with suppress(NoInterfaceError):  # what was bound there went with it
                found.setdefault(ip, []).append(_name(index))
        return {ip: tuple(names) for ip, names in found.items()}

    def unbind_elsewhere(self, ip: str) -> None:
        """Have `ip` bound on no other interface than this one."""
        for _, index in self._others(frozenset({ip})):
            with suppress(NoInterfaceError), Interface(_name(index)) as other:
                other.unbind(ip)

    def _others(self, ips: frozenset[str]) -> list[tuple[str, int]]:
        """Return those of `ips` that are bound on other interfaces, with the indexes of these."""
        with self._lock:
            try:
                here = socket.if_nametoindex(self.name)
            except OSError:
                here = 0  # all interfaces are others
            try:
                if self._table is None:
                    self._table = AddressTable()
                every = self._table.of(None, ips)
            except OSError as error:
                self._drop()
                raise InterfaceError(f"cannot look at all interfaces: {error.strerror or error}") from error
        return list(dict.fromkeys((each.ip, each.index) for each in every if each.index != here))

    def renew(self, ip: str, lifetime: int) -> None:
        """Have `ip`, which is bound as a single address, stay so for `lifetime` seconds or (0) for good.

        Nothing happens where it is not bound, nor with a negative lifetime.
        """
        if lifetime < 0:
            return
        with self._kernel(f"renew {ip}") as (table, index):
            bound = _addresses(table, index, [ip])
            if any(address.prefixlen == whole(ip) for address in bound):
                table.replace(index, ip, whole(ip), **_options(ip, lifetime))

    def left(self, ip: str) -> float:
        """Return for how many seconds `ip` stays bound: infinite for good, 0 where it is not, or is not used."""
        with self._kernel("look at its addresses") as (table, index):
            found = (address.left for address in _addresses(table, index, [ip]) if not address.unused)
            return max(found, default=0.0)

    def close(self) -> None:
        """Close the netlink socket; the next call opens it again."""
        with self._lock:
            self._drop()

    @contextmanager
    def _kernel(self, what: str) -> Iterator[tuple[AddressTable, int]]:
        """Yield the netlink socket and the interface's index, for one thread at a time."""
        with self._lock:
            try:
                index = socket.if_nametoindex(self.name)
            except OSError:
                raise NoInterfaceError(
                    f"interface {self.name} does not exist (cannot {what}): check cluster_interface in the conf"
                ) from None
            try:
                if self._table is None:
                    self._table = AddressTable()
                yield self._table, index
            except OSError as error:
                self._drop()
                why = error.strerror or error
                kind = NoInterfaceError if error.errno == errno.ENODEV else InterfaceError
                raise kind(f"interface {self.name}: cannot {what}: {why}") from error

    def _drop(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None

    def _remove_all(self, table: AddressTable, index: int, addresses: Iterable[Bound]) -> None:
        for address in addresses:
            self._remove(table, index, address)

    def _remove(self, table: AddressTable, index: int, address: Bound) -> None:
        """Remove one address and nothing else.

        With the first address of a subnet the kernel removes those bound after it, the host's own
        perhaps, unless promote_secondaries is on.
        """
        log.debug("interface %s: removing %s/%d", self.name, address.ip, address.prefixlen)
        alone = address.secondary or address.prefixlen == whole(address.ip)
        others = not alone and any(a.secondary for a in _addresses(table, index))
        with _others_kept(_name(index)) if others else nullcontext():
            try:
                table.delete(index, address.ip, address.prefixlen)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise


def _options(ip: str, lifetime: int) -> dict[str, int]:
    """Return how netlink is told a lifetime in seconds, 0 for good, and what an IPv6 VIP needs besides.

    It is to be there at once, and cannot wait a second for duplicates (IFA_F_NODAD). One with an end, and any of IPv6,
    is no source of outgoing connections.
    """
    valid = lifetime or FOR_EVER
    if ":" in ip:
        return {"flags": IFA_F_NODAD, "preferred": 0, "valid": valid}
    return {"preferred": 0 if lifetime else FOR_EVER, "valid": valid}


def _name(index: int) -> str:
    """Return the name of an interface; raises InterfaceError where it is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError as error:
        raise NoInterfaceError(f"interface {index} does not exist any more") from error


def _addresses(table: AddressTable, index: int, ips: Collection[str] | None = None) -> list[Bound]:
    return [address for address in table.of(index, ips) if address.scope != LINK_LOCAL]


@contextmanager
def _others_kept(interface: str) -> Iterator[None]:
    switch = Path("/proc/sys/net/ipv4/conf", interface, "promote_secondaries")
    before = switch.read_text("ascii").strip()
    if before == "0":
        switch.write_text("1\n", "ascii")
    try:
        yield
    finally:
        if before == "0":
            switch.write_text("0\n", "ascii")
