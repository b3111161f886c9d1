"""Tells when an interface gets its cable back (rule 10.19)."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator

_LINKS = 1  # RTMGRP_LINK
_NEW_LINK = 16
_NAME = 3  # IFLA_IFNAME
_UP = 0x1 | 0x10000  # IFF_UP, IFF_LOWER_UP
_HEADER, _INFO, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")

log = logging.getLogger(__name__)


class LinkWatch:
    """Calls `came_up` in the asyncio loop each time the interface's link is up after it was down. `close` it."""

    def __init__(self, interface: str, came_up: Callable[[], None]) -> None:
        self._interface = interface
        self._came_up = came_up
        self._up = True
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.bind((0, _LINKS))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        """Call nobody any more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:  # more news than there was room for: what is up now is told by the next
            log.debug("link of %s: %s", self._interface, error)
            return
        for name, up in links(data):
            if name == self._interface:
                before, self._up = self._up, up
                if up and not before:
                    self._came_up()


def links(data: bytes) -> Iterator[tuple[str, bool]]:
    """Yield name and state of every interface that the kernel's message tells of."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        if length < _HEADER.size:
            return
        if kind == _NEW_LINK and length >= _HEADER.size + _INFO.size:
            flags = _INFO.unpack_from(data, _HEADER.size)[3]
            yield _name(data[_HEADER.size + _INFO.size : length]), flags & _UP == _UP
        data = data[(length + 3) & ~3 :]


def _name(attributes: bytes) -> str:
    while len(attributes) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _NAME:
            return attributes[_ATTRIBUTE.size : size].rstrip(b"\0").decode(errors="replace")
        attributes = attributes[max(4, (size + 3) & ~3) :]
    return ""
