"""ICMP echo for the monitor: one raw socket for all hosts, any number of pings at once.

    async with Pinger() as pinger:
        round_trip = await pinger.ping("10.0.0.4", timeout=0.5)

An answer counts when it is an echo reply from the address that was asked, with the sequence number and the
random token that were sent: another program's pings, and late answers to an earlier question, do not.
"""

import asyncio
import logging
import os
import secrets
import socket
import struct
import time
from types import TracebackType
from typing import Self

_ECHO_REQUEST = 8
_ECHO_REPLY = 0
_SOL_RAW = 255
_ICMP_FILTER = 1
_HEADER = struct.Struct("!BBHHH")
_TOKEN = struct.Struct("!Q")
_RECEIVE_BUFFER = 1024 * 1024
_AT_ONCE = 256
"""Answers read before other tasks have their turn."""

log = logging.getLogger(__name__)


class Pinger:
    """Sends echo requests and matches answers; an async context manager. Opening it needs root (OSError)."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._identifier = os.getpid() & 0xFFFF
        self._sequence = 0
        self._waiting: dict[tuple[str, int], tuple[int, asyncio.Future[float]]] = {}

    async def __aenter__(self) -> Self:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY) & 0xFFFFFFFF))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        asyncio.get_running_loop().add_reader(sock, self._read)
        self._socket = sock
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def ping(self, ip: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the limit of one echo
        """Return the round trip in seconds; None when no answer came within `timeout` seconds.

        Never raises for what the network does: no route, a firewall of this machine and an address that is
        none count as no answer; why is logged as DEBUG.
        """
        if self._socket is None:
            raise RuntimeError("a Pinger is used inside `async with`")
        self._sequence = (self._sequence + 1) & 0xFFFF
        key = (ip, self._sequence)
        if key in self._waiting:  # 65536 pings are under way, of which this address has one as old
            return None
        token = secrets.randbits(64)
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (token, answer)
        try:
            sent = time.perf_counter()
            self._socket.sendto(self._request(self._sequence, token), (ip, 0))
            async with asyncio.timeout(timeout):
                return await answer - sent
        except TimeoutError:
            return None
        except OSError as error:
            log.debug("ping %s: %s", ip, error.strerror or error)
            return None
        finally:
            del self._waiting[key]

    def _request(self, sequence: int, token: int) -> bytes:
        payload = _TOKEN.pack(token) + b"mmm" * 16
        empty = _HEADER.pack(_ECHO_REQUEST, 0, 0, self._identifier, sequence) + payload
        return _HEADER.pack(_ECHO_REQUEST, 0, checksum(empty), self._identifier, sequence) + payload

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                if self._socket is None:
                    return
                packet, sender = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError as error:
                log.debug("ping: %s", error)
                return
            self._match(packet, str(sender[0]))

    def _match(self, packet: bytes, sender: str) -> None:
        start = (packet[0] & 0x0F) * 4 if packet else 0
        if len(packet) < start + _HEADER.size + _TOKEN.size:
            return
        kind, _, _, identifier, sequence = _HEADER.unpack_from(packet, start)
        token, answer = self._waiting.get((sender, sequence), (None, None))
        if answer is None or answer.done() or (kind, identifier) != (_ECHO_REPLY, self._identifier):
            return
        if _TOKEN.unpack_from(packet, start + _HEADER.size)[0] == token:
            answer.set_result(time.perf_counter())


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
