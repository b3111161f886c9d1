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
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmm.network.claims import ETH_P_IPV6
from mmm.network.icmp import checksum
from mmm.network.packet_filter import ETHERNET, packet_socket, words

LINGER = 2.0
"""Seconds after a VIP has left for which clients are told; neighbours know its new host long before."""

_ETH_P_IP = 0x0800
_SNAP = 128
_BUFFER = 1 << 20
_AT_ONCE = 1000
_NAP = 0.1
_PAUSE = 0.001
"""Seconds between two answers to all that has arrived: so many who try again at once leave the agent time for more."""
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10

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
    """Return the frame that resets the connection a TCP packet belongs to; None for what needs no answer."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    packet = frame[14:]
    if kind == _ETH_P_IP:
        header, places = (packet[0] & 0x0F) * 4, (12, 16, 20)
        size = struct.unpack_from("!H", packet, 2)[0] - header
    else:
        header, places = 40, (8, 24, 40)
        size = struct.unpack_from("!H", packet, 4)[0]
    if len(packet) < header + 20:
        return None
    client, vip = packet[places[0] : places[1]], packet[places[1] : places[2]]
    port, own_port, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", packet, header)
    if flags & _RST:
        return None
    if flags & _ACK:
        numbers, answer = (acknowledged, 0), _RST
    else:
        length = size - (offset >> 4) * 4 + bool(flags & _SYN) + bool(flags & _FIN)
        numbers, answer = (0, (sequence + length) & 0xFFFFFFFF), _RST | _ACK
    tcp = struct.pack("!HHIIBBHHH", own_port, port, *numbers, 5 << 4, answer, 0, 0, 0)
    pseudo = vip + client + struct.pack("!II", len(tcp), socket.IPPROTO_TCP)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return frame[6:12] + frame[:6] + frame[12:14] + _ip_header(vip, client, len(tcp)) + tcp


def _ip_header(source: bytes, target: bytes, size: int) -> bytes:
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_TCP, 64) + source + target
    head = (
        struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, 64, socket.IPPROTO_TCP, 0) + source + target
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:]


def _frames(sock: socket.socket) -> list[bytes]:
    """Return the answers to what has arrived: one for each connection, to the last that its client sent."""
    last: dict[bytes, bytes] = {}
    with suppress(BlockingIOError):
        for _ in range(_AT_ONCE):
            frame, (_, _, direction, hardware, _) = sock.recvfrom(_SNAP)
            if direction == socket.PACKET_HOST and hardware == ETHERNET and len(frame) >= 54:
                answer = reset(frame)
                if answer is not None:
                    ends = answer[26:38] if answer[14] >> 4 == 4 else answer[22:58]  # addresses and ports
                    last[ends] = answer
    return list(last.values())


def _listen(interface: str, ip: str) -> socket.socket:
    """Return a packet socket that receives the TCP packets for `ip` and nothing else; raises OSError."""
    address = ipaddress.ip_address(ip)
    if address.version == 4:
        kind, protocol, target = _ETH_P_IP, (23, 1, socket.IPPROTO_TCP), 30
    else:
        kind, protocol, target = ETH_P_IPV6, (20, 1, socket.IPPROTO_TCP), 38
    sock = packet_socket(interface, kind, [protocol, *words(target, address.packed)], _SNAP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return sock
