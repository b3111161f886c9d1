"""Which addresses come and go on a machine's interfaces, as its kernel tells it."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mmm.sandbox.machines.machine import Machine

_RTMGRP_IPV4_IFADDR = 0x10
_RTM_NEWADDR, _RTM_DELADDR = 20, 21
_IFA_LOCAL = 2
_HEADERS = 24
"""nlmsghdr and ifaddrmsg."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An address that was bound on a host, or (`bound` is False) removed."""

    host: str
    ip: str
    bound: bool


def listen(machine: Machine) -> socket.socket:
    """Return a socket that receives what `moved` reads; raises OSError, SandboxError."""
    made = machine.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    made.bind((0, _RTMGRP_IPV4_IFADDR))
    return made


def moved(host: str, data: bytes) -> Iterator[Moved]:
    """Yield the IPv4 addresses that a message from `host` is about."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind in {_RTM_NEWADDR, _RTM_DELADDR}:
            place = _HEADERS
            while place < length:
                size, attribute = struct.unpack_from("=HH", data, place)
                if attribute == _IFA_LOCAL:
                    ip = socket.inet_ntoa(data[place + 4 : place + 8])
                    yield Moved(host, ip, kind == _RTM_NEWADDR)
                place += max(4, (size + 3) & ~3)
        data = data[(length + 3) & ~3 :]
