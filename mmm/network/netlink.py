"""A socket to the kernel on which pyroute2's messages travel (netlink(7)).

    kernel = Kernel(NETLINK_ROUTE)
    kernel.dump(RTM_GETADDR, encoded(ifaddrmsg, {"index": 2}))   every message of the answer
    kernel.change(RTM_DELADDR, 0, encoded(ifaddrmsg, {...}, {"IFA_LOCAL": "10.0.0.80"}))
    decoded(ifaddrmsg, message)["prefixlen"]

The sockets of pyroute2 cost 0.2 to 0.6 ms a call, for they look after threads or an event loop; this one costs some
microseconds, and a VIP moves while nobody can write. Not for several threads at once.
"""

import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import accumulate, count, pairwise
from types import TracebackType
from typing import Any, NamedTuple, Self

from pyroute2.netlink import (
    NETLINK_GET_STRICT_CHK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
    nlmsg,
    nlmsgerr,
)

_HEADER = struct.Struct("=" + "".join(form for _, form in nlmsg.header))
_BUFFER = 1 << 18
_NUMBERS = 1 << 32

logging.getLogger("pyroute2").setLevel(logging.INFO)  # as DEBUG it logs what it makes of every message


class Message(NamedTuple):
    """What the kernel said; `number` is that of the request which it answers."""

    kind: int
    flags: int
    number: int
    data: bytes
    """All of it, header and body."""


def encoded(
    message: type[nlmsg], fields: Mapping[str, Any], attributes: Mapping[str, Any] | None = None
) -> bytes:
    """Return a message without its header; fields that are not named are 0."""
    made = message()
    made.update(fields)
    made["attrs"] = list((attributes or {}).items())
    made.encode()
    return bytes(made.data[_HEADER.size :])


def decoded(message: type[nlmsg], data: bytes) -> Any:
    """Return what the kernel said: fields by name, attributes by `get_attr`."""
    told = message(data)
    told.decode()
    return told


def places(message: type[nlmsg]) -> dict[str, slice]:
    """Return where the fields stand in a message of the kernel.

    `decoded` takes 25 us: where there may be thousands, what is needed of each is cut out.
    """
    fields: Any = message.fields
    ends = accumulate((struct.calcsize(form) for _, form in fields), initial=_HEADER.size)
    return {name: slice(*both) for (name, _), both in zip(fields, pairwise(ends), strict=True)}


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages that came at once."""
    place = 0
    while place + _HEADER.size <= len(data):
        length, kind, flags, number, _ = _HEADER.unpack_from(data, place)
        yield Message(kind, flags, number, data[place : place + length])
        place += max(_HEADER.size, nlmsg.align * -(-length // nlmsg.align))


_ERROR = places(nlmsgerr)["error"]
"""Where the outcome of a request stands, of a dump too."""


class Kernel:
    """A socket of a netlink protocol; every method raises OSError. A context manager that closes it.

    The kernel may take `limit` seconds for an answer. `groups` are those whose news it tells unasked.
    """

    def __init__(self, protocol: int, *, limit: float = 5.0, groups: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._numbers = count(1)
        try:
            self._socket.settimeout(limit)
            with suppress(OSError):  # a kernel older than 4.20 tells in a dump of more than it was asked for
                self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
            if groups:
                self._socket.bind((0, groups))
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Return the messages that answer `body`; it is asked again where they changed while they were told."""
        while True:
            number = self._send(kind, NLM_F_DUMP, body)
            found: list[bytes] = []
            whole = True
            for message in self._answers(number):
                whole = whole and not message.flags & NLM_F_DUMP_INTR
                if message.kind == NLMSG_DONE:
                    break
                found.append(message.data)
            if whole:
                return found

    def get(self, kind: int, body: bytes) -> bytes:
        """Return the one message that answers `body`."""
        return next(self._answers(self._send(kind, 0, body))).data

    def change(self, kind: int, flags: int, body: bytes) -> None:
        """Have the kernel do what `body` says."""
        number = self._send(kind, flags | NLM_F_ACK, body)
        for message in self._answers(number):
            if message.kind == NLMSG_ERROR:
                return

    def news(self) -> Iterator[Message]:
        """Return what the kernel told unasked, as much as came at once."""
        return messages(self._socket.recv(_BUFFER))

    def fileno(self) -> int:
        """Return the socket's number, to wait for news."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        number = next(self._numbers) % _NUMBERS
        header = _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, number, 0)
        self._socket.send(header + body)
        return number

    def _answers(self, number: int) -> Iterator[Message]:
        """Yield what answers `number`; an error is raised."""
        while True:
            for message in messages(self._socket.recv(_BUFFER)):
                if message.number == number:
                    if message.kind in {NLMSG_ERROR, NLMSG_DONE}:
                        _raise(-int.from_bytes(message.data[_ERROR], sys.byteorder, signed=True))
                    yield message


def _raise(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
