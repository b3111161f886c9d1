"""The addresses of interfaces as the kernel tells and changes them (rtnetlink).

    kernel = AddressTable()
    kernel.of(index)                          every address of the interface
    kernel.of(None)                           of all interfaces
    kernel.replace(index, "10.0.0.80", 32)    add it, or give the one that is there this lifetime
    kernel.delete(index, "10.0.0.80", 32)

One question takes some ten microseconds: a VIP moves while nobody can write. Not for several threads at once.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import inf

FOR_EVER = 0xFFFFFFFF
LINK_LOCAL = 253
"""RT_SCOPE_LINK: what every interface gives itself for IPv6."""

_NEW, _DELETE, _GET = 20, 21, 22  # RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR
_REQUEST, _ACK, _DUMP, _INTERRUPTED, _REPLACE = 0x1, 0x4, 0x300, 0x10, 0x500  # the last: or create
_ERROR, _DONE = 2, 3
_ADDRESS, _LOCAL, _CACHEINFO = 1, 2, 6
_SECONDARY = 0x01
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, sender
_ADDRESS_MESSAGE = struct.Struct("=BBBBi")  # ifaddrmsg: family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")
_LIFETIME = struct.Struct("=IIII")  # ifa_cacheinfo: preferred, valid, and two stamps
_BUFFER = 1 << 18
_LIMIT = 5.0


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


class AddressTable:
    """A socket to the kernel; every method raises OSError. `close` it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_LIMIT)
        self._numbers = count(1)

    def of(self, index: int | None) -> list[Bound]:
        """Return the addresses of the interface, None: of all of them, in the kernel's order."""
        while True:
            found, whole = self._dump(index)
            if whole:
                return found

    def replace(self, index: int, ip: str, prefixlen: int, *, valid: int = FOR_EVER, preferred: int = FOR_EVER,
                flags: int = 0) -> None:  # fmt: skip
        """Have the interface have an address for `valid` seconds; `preferred` 0: not as a source of what goes out."""
        lifetime = _attribute(_CACHEINFO, _LIFETIME.pack(preferred, valid, 0, 0))
        self._change(_NEW, _REPLACE, _named(index, ip, prefixlen, flags) + lifetime)

    def delete(self, index: int, ip: str, prefixlen: int) -> None:
        """Remove an address; EADDRNOTAVAIL where there is none."""
        self._change(_DELETE, 0, _named(index, ip, prefixlen, 0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _dump(self, index: int | None) -> tuple[list[Bound], bool]:
        """Return the addresses, and whether nothing changed while they were told."""
        number = self._send(_GET, _DUMP, _ADDRESS_MESSAGE.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        found: list[Bound] = []
        whole = True
        while True:
            for kind, flags, body in self._answers(number):
                whole = whole and not flags & _INTERRUPTED
                if kind == _DONE:
                    return found, whole
                if kind == _ERROR:
                    _raise(body)
                if kind == _NEW and index in {None, _ADDRESS_MESSAGE.unpack_from(body)[4]}:
                    found.append(_bound(body))

    def _change(self, kind: int, flags: int, body: bytes) -> None:
        number = self._send(kind, flags | _ACK, body)
        while True:
            for answer, _, said in self._answers(number):
                if answer == _ERROR:
                    _raise(said)
                    return

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        number = next(self._numbers)
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, number & 0xFFFFFFFF, 0)
        self._socket.send(header + body)
        return number

    def _answers(self, number: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield type, flags and body of the messages that came at once, of those that answer `number`."""
        data = self._socket.recv(_BUFFER)
        place = 0
        while place + _HEADER.size <= len(data):
            length, kind, flags, answered, _ = _HEADER.unpack_from(data, place)
            if answered == number & 0xFFFFFFFF:
                yield kind, flags, data[place + _HEADER.size : place + length]
            place += max(_HEADER.size, (length + 3) & ~3)


def _raise(body: bytes) -> None:
    number = -struct.unpack_from("=i", body)[0]
    if number:
        raise OSError(number, os.strerror(number))


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _named(index: int, ip: str, prefixlen: int, flags: int) -> bytes:
    packed = socket.inet_pton(_family(ip), ip)
    message = _ADDRESS_MESSAGE.pack(_family(ip), prefixlen, flags, 0, index)
    return message + _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def _bound(body: bytes) -> Bound:
    family, prefixlen, flags, scope, index = _ADDRESS_MESSAGE.unpack_from(body)
    values: dict[int, bytes] = {}
    place = _ADDRESS_MESSAGE.size
    while place + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, place)
        values[kind] = body[place + _ATTRIBUTE.size : place + length]
        place += max(_ATTRIBUTE.size, (length + 3) & ~3)
    ip = socket.inet_ntop(family, values.get(_LOCAL) or values[_ADDRESS])
    valid = _LIFETIME.unpack_from(values[_CACHEINFO])[1] if _CACHEINFO in values else FOR_EVER
    secondary = family == socket.AF_INET and bool(flags & _SECONDARY)
    return Bound(ip, prefixlen, secondary, inf if valid == FOR_EVER else float(valid), scope, index)
