"""The kernel's table of TCP sockets (sock_diag(7)): who is connected, to end that, and who listens.

The kernel picks the connections out itself, so asking costs little on a host with thousands of others. A server that
listens on `::` has IPv4 clients at addresses such as `::ffff:10.0.0.9`: these are found and told as IPv4.
"""

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from pyroute2.netlink import NETLINK_SOCK_DIAG, nlmsg
from pyroute2.netlink.diag import (
    SOCK_DESTROY,
    SOCK_DIAG_BY_FAMILY,
    SS_ALL,
    SS_ESTABLISHED,
    SS_LISTEN,
    SS_SYN_SENT,
    inet_diag_msg,
    inet_diag_req,
)

from mmm.network.netlink import Kernel, decoded, encoded, places

_TCPDIAG_GETSOCK = 18
_BC_S_COND, _BC_D_COND = 7, 8
_LIMIT = 1.0
_GONE = frozenset({errno.ENOENT, errno.ESTALE})

_AT = places(inet_diag_msg)
_FAMILY: int = _AT["idiag_family"].start
_INODE = _AT["idiag_inode"]
_KEY = slice(_AT["idiag_sport"].start, _AT["idiag_cookie"].stop)
_ANY_COOKIE = 0xFFFFFFFFFFFFFFFF
_ANY_ENDS = {"idiag_src": (0, 0, 0, 0), "idiag_dst": (0, 0, 0, 0)}


class _OfBothFamilies(nlmsg):
    """The older question (struct inet_diag_req): of both families at once, as each pass over the table takes ms."""

    fields: Any = (
        ("idiag_family", "B"),
        ("idiag_src_len", "B"),
        ("idiag_dst_len", "B"),
        ("idiag_ext", "B"),
        *(field for field in inet_diag_msg.fields if _KEY.start <= _AT[field[0]].start < _KEY.stop),
        ("idiag_states", "I"),
        ("idiag_dbs", "I"),
    )
    nla_map: Any = (("INET_DIAG_REQ_NONE", "none"), ("INET_DIAG_REQ_BYTECODE", "cdata"))


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection of this host: where its other end is, and the kernel's own name for it."""

    ip: str
    """The other end's address."""
    port: int
    """The other end's port."""
    family: int
    """Of the socket: AF_INET6 also for an IPv4 client of a server that listens on `::`."""
    key: bytes
    """The kernel's inet_diag_sockid: it names this socket and none that comes after it."""


def connections(ip: str, port: int) -> list[Connection]:
    """Return the established connections whose end on this host is `ip` and `port`; raises OSError."""
    with _open() as kernel:
        return list(map(_connection, kernel.dump(_TCPDIAG_GETSOCK, _connected_at(ip, port))))


def outgoing(ip: str, port: int) -> dict[int, Connection]:
    """Return the connections from this host to `ip` and `port`, also those that are not answered yet, by their inodes.

    Raises OSError.
    """
    with _open() as kernel:
        told = kernel.dump(_TCPDIAG_GETSOCK, _connecting_to(ip, port))
    return {_inode(message): _connection(message) for message in told}


def listening(port: int) -> frozenset[str]:
    """Return the addresses of this host at which something listens on the port, `0.0.0.0` or `::` for all of them.

    Raises OSError.
    """
    with _open() as kernel:
        told = kernel.dump(_TCPDIAG_GETSOCK, _listening_at(port))
    return frozenset(_ip(message, "idiag_src") for message in told)


def listening_sockets(ip: str, port: int) -> frozenset[int]:
    """Return the inodes of the sockets that take connections to `ip` and `port`; raises OSError.

    Where a server listens at the very address, those that listen at all addresses take none.
    """
    with _open() as kernel:
        told = kernel.dump(_TCPDIAG_GETSOCK, _listening_at(port))
    at: dict[str, set[int]] = {}
    for message in told:
        at.setdefault(_ip(message, "idiag_src"), set()).add(_inode(message))
    found = at.get(ip) or {inode for each, inodes in at.items() if takes((each,), ip) for inode in inodes}
    return frozenset(found)


def takes(addresses: Iterable[str], ip: str) -> bool:
    """Tell whether who listens at `addresses` takes connections to `ip`; a server at `::` takes IPv4 too."""
    everywhere = {"::"} if ":" in ip else {"::", "0.0.0.0"}  # noqa: S104  (told by the kernel)
    return bool({ip, *everywhere} & set(addresses))


def owner(ip: str, port: int, other_ip: str, other_port: int) -> int | None:
    """Return the user whose socket on this machine is at `ip` and `port`, connected to the other end.

    None where there is no such socket, or no process has it any more: then its user is not known. Raises OSError.
    """
    ends = {"idiag_src": _words(ip), "idiag_dst": _words(other_ip)}
    ports = {"idiag_sport": port, "idiag_dport": other_port, "idiag_cookie": _ANY_COOKIE}
    body = encoded(inet_diag_req, _one(_family(ip), SS_ALL) | ends | ports)
    try:
        with _open() as kernel:
            found = decoded(inet_diag_msg, kernel.get(SOCK_DIAG_BY_FAMILY, body))
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return int(found["idiag_uid"]) if found["idiag_inode"] else None


def destroy(ended: Iterable[Connection]) -> int:
    """End connections at once: both sides see them reset. Returns how many were still there; raises OSError.

    OSError with EOPNOTSUPP: the kernel cannot do that (it was built without INET_DIAG_DESTROY).
    """
    with _open() as kernel:
        return sum(_destroy(kernel, connection) for connection in ended)


def _destroy(kernel: Kernel, connection: Connection) -> bool:
    try:
        kernel.change(SOCK_DESTROY, 0, _any_of(connection.family) + connection.key)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return False
    return True


@cache
def _any_of(family: int) -> bytes:
    """Return how a request begins that names an established connection; its key follows."""
    return encoded(inet_diag_req, _ANY_ENDS | _one(family, 1 << SS_ESTABLISHED))[: _KEY.start - _KEY.stop]


def _one(family: int, states: int) -> dict[str, int]:
    return {"sdiag_family": family, "sdiag_protocol": socket.IPPROTO_TCP, "idiag_states": states}


@lru_cache
def _connected_at(ip: str, port: int) -> bytes:
    condition = {"INET_DIAG_REQ_BYTECODE": _condition(_BC_S_COND, ipaddress.ip_address(ip), port)}
    return encoded(_OfBothFamilies, _ANY_ENDS | {"idiag_states": 1 << SS_ESTABLISHED}, condition)


def _connecting_to(ip: str, port: int) -> bytes:
    condition = {"INET_DIAG_REQ_BYTECODE": _condition(_BC_D_COND, ipaddress.ip_address(ip), port)}
    states = 1 << SS_ESTABLISHED | 1 << SS_SYN_SENT
    return encoded(_OfBothFamilies, _ANY_ENDS | {"idiag_states": states}, condition)


@lru_cache
def _listening_at(port: int) -> bytes:
    return encoded(_OfBothFamilies, _ANY_ENDS | {"idiag_states": 1 << SS_LISTEN, "idiag_sport": port})


def _open() -> Kernel:
    return Kernel(NETLINK_SOCK_DIAG, limit=_LIMIT)


def _condition(end: int, ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bytes:
    """Return the program with which the kernel picks connections: address and port of that `end`, own or other."""
    family, length = (socket.AF_INET, 32) if ip.version == 4 else (socket.AF_INET6, 128)
    host = struct.pack("=BBxxi", family, length, port) + ip.packed
    size = 4 + len(host)
    # A condition that does not hold jumps past the end, which means no.
    return struct.pack("=BBH", end, size, size + 4) + host


def _connection(message: bytes) -> Connection:
    port = int.from_bytes(message[_AT["idiag_dport"]])
    return Connection(_ip(message, "idiag_dst"), port, _family_of(message), message[_KEY])


def _inode(message: bytes) -> int:
    return int.from_bytes(message[_INODE], sys.byteorder)


def _family_of(message: bytes) -> int:
    return message[_FAMILY]


def _ip(message: bytes, end: str) -> str:
    address = message[_AT[end]]
    if _family_of(message) == socket.AF_INET:
        return socket.inet_ntoa(address[:4])
    found = ipaddress.IPv6Address(address)
    return str(found.ipv4_mapped or found)


def _family(ip: str) -> int:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _words(ip: str) -> tuple[int, ...]:
    words: tuple[int, ...] = struct.unpack("!4I", ipaddress.ip_address(ip).packed.ljust(16, b"\0"))
    return words
