"""Tells clients of a VIP that has just left that it is gone, until they find its new host (rule 10.13).

For a moment neighbours still send to this host what is meant for the VIP. The kernel drops it without a word: whoever
connects waits for a whole retransmission, a second or more, though the new host is there after a few milliseconds.
So every TCP packet that still arrives here for the VIP is answered with a reset, as a host without a listener does.

    farewell = Farewell("eth0")
    with farewell.of("10.0.0.80"):
        interface.unbind("10.0.0.80")     what arrived meanwhile is answered too, then what comes within LINGER
    farewell.stop("10.0.0.80")            before it is bound here again

Nothing of it is left in the kernel, whatever becomes of this process.
"""

import ipaddress
import logging
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from mmm.network.claims import ETH_P_IPV6
from mmm.network.icmp import checksum
from mmm.network.layouts import TCP, TCP_6, TCP_6_FRAME, TCP_FRAME
from mmm.network.packet_filter import ETHERNET, packet_socket, stands

LINGER = 2.0
"""Seconds after a VIP has left for which clients are told; neighbours know its new host long before."""

_ETH_P_IP = 0x0800
_SNAP = 128
_BUFFER = 1 << 20
_AT_ONCE = 1000
_NAP = 0.1
_PAUSE = 0.001
"""Seconds between two rounds of answers, so that clients which try again leave the agent time for other work."""
_RST, _ACK = 0x04, 0x10
_TURNED = {"Ether.dst": "Ether.src", "Ether.src": "Ether.dst", "IP.src": "IP.dst", "IP.dst": "IP.src",
           "TCP.sport": "TCP.dport", "TCP.dport": "TCP.sport"}  # fmt: skip
_SUMS = {"IP.chksum": ("IP.",), "TCP.chksum": ("IP.", "TCP.")}
"""The checksums and what they are of."""

log = logging.getLogger(__name__)


class Farewell:
    """Answers for the VIPs that have left an interface; its methods may be called from any thread."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._lock = threading.Lock()
        self._leaving: dict[str, socket.socket] = {}

    @contextmanager
    def of(self, ip: str) -> Iterator[None]:
        """Take notice of what arrives for `ip`, which leaves meanwhile, and answer from the end of the block on."""
        self.stop(ip)
        try:
            sock = _listen(self._interface, ip)
        except OSError as error:
            log.debug("%s: clients that come late are not told: %s", ip, error.strerror or error)
            yield
            return
        try:
            yield
        except BaseException:
            sock.close()
            raise
        with self._lock:
            self._leaving[ip] = sock
        threading.Thread(target=self._answer, args=(ip, sock), name=f"farewell {ip}", daemon=True).start()

    def stop(self, ip: str) -> None:
        """Answer no more for `ip`: when this returns nothing more is sent."""
        with self._lock:
            self._leaving.pop(ip, None)

    def _answer(self, ip: str, sock: socket.socket) -> None:
        end = time.monotonic() + LINGER
        with sock:  # closed here, for the kernel takes 10 ms and more to close a packet socket
            while (left := end - time.monotonic()) > 0:
                select.select([sock], [], [], min(left, _NAP))
                with self._lock:
                    if self._leaving.get(ip) is not sock:
                        return
                    with suppress(OSError):  # the interface is down
                        for frame in _frames(sock):
                            sock.send(frame)
                time.sleep(_PAUSE)
            with self._lock:
                if self._leaving.get(ip) is sock:
                    del self._leaving[ip]


def reset(frame: bytes) -> bytes | None:
    """Return the frame that resets the connection a TCP packet belongs to (RFC 9293, 3.5.2); None for a reset."""
    at, empty = _layout(int.from_bytes(frame[TCP["Ether.type"]]))
    flags = frame[at["TCP.flags"]][0]
    if flags & _RST:
        return None
    if flags & _ACK:
        numbers = {"TCP.seq": frame[at["TCP.ack"]], "TCP.flags": bytes([_RST])}
    else:  # it begins a connection: nobody sends other packets without an acknowledgement
        after = (int.from_bytes(frame[at["TCP.seq"]]) + 1) & 0xFFFFFFFF
        numbers = {"TCP.ack": after.to_bytes(4), "TCP.flags": bytes([_RST | _ACK])}
    turned = {one: frame[at[other]] for one, other in _TURNED.items()}
    return _filled(empty, at, turned | numbers)


def _layout(kind: int) -> tuple[Mapping[str, slice], bytes]:
    """Return where the fields of a TCP packet of that Ethernet type stand, and an empty one."""
    return (TCP, TCP_FRAME) if kind == _ETH_P_IP else (TCP_6, TCP_6_FRAME)


def _filled(empty: bytes, at: Mapping[str, slice], fields: Mapping[str, bytes]) -> bytes:
    """Return a frame with what it had zeros for; its checksums grow by that (RFC 1624)."""
    frame = bytearray(empty)
    for name, value in fields.items():
        frame[at[name]] = value
    for sum_, of in _SUMS.items():
        if sum_ in at:
            words = b"".join(value.rjust(2, b"\0") for name, value in fields.items() if name.startswith(of))
            before = ~int.from_bytes(empty[at[sum_]]) & 0xFFFF
            frame[at[sum_]] = checksum(before.to_bytes(2) + words).to_bytes(2)
    return bytes(frame)


def _frames(sock: socket.socket) -> list[bytes]:
    """Return the answers to what has arrived: one for each connection, to the last that its client sent."""
    last: dict[tuple[bytes, ...], bytes] = {}
    with suppress(BlockingIOError):
        for _ in range(_AT_ONCE):
            frame, (_, kind, direction, hardware, _) = sock.recvfrom(_SNAP)
            at, empty = _layout(kind)
            if direction == socket.PACKET_HOST and hardware == ETHERNET and len(frame) >= len(empty):
                last[frame[at["IP.src"]], frame[at["TCP.sport"]], frame[at["TCP.dport"]]] = frame
    return [answer for answer in map(reset, last.values()) if answer is not None]


def _listen(interface: str, ip: str) -> socket.socket:
    """Return a packet socket that receives the TCP packets for `ip` and nothing else; raises OSError."""
    address = ipaddress.ip_address(ip)
    if address.version == 4:
        kind, at = _ETH_P_IP, TCP
        plain = stands(at["IP.ihl"], TCP_FRAME[at["IP.ihl"]])  # options would shift what follows
    else:
        kind, at, plain = ETH_P_IPV6, TCP_6, ()
    of_vip = stands(at["IP.proto"], socket.IPPROTO_TCP) + stands(at["IP.dst"], address.packed)
    sock = packet_socket(interface, kind, plain + of_vip, _SNAP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return sock
