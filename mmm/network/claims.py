"""What a frame of ARP or neighbour discovery says: who has an address. Taken apart by hand, for there may be many."""

import ipaddress
import socket
import struct
from typing import NamedTuple

ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD

_SOLICITATION, _ADVERTISEMENT = 135, 136
_TARGET_MAC = 2


class Claim(NamedTuple):
    """What a frame says: `ip` is at `mac`. `asks` is True where it only asks whether somebody has the address."""

    ip: str
    mac: str
    asks: bool = False


def claim(frame: bytes) -> Claim | None:
    """Return what a frame of ARP or neighbour discovery says; None when it is none, or says nothing."""
    kind = struct.unpack_from("!H", frame, 12)[0] if len(frame) >= 14 else 0
    if kind == ETH_P_ARP and len(frame) >= 42:
        source = socket.inet_ntoa(frame[28:32])
        asks = source == "0.0.0.0"  # noqa: S104  (of a probe, not an address to bind)
        return Claim(socket.inet_ntoa(frame[38:42]) if asks else source, _mac(frame[22:28]), asks)
    if kind == ETH_P_IPV6 and len(frame) >= 78 and frame[20] == socket.IPPROTO_ICMPV6:
        target, asks = str(ipaddress.IPv6Address(frame[62:78])), frame[54] == _SOLICITATION
        if frame[54] == _ADVERTISEMENT or (asks and not any(frame[22:38])):
            told = frame[80:86] if frame[78:79] == bytes([_TARGET_MAC]) and len(frame) >= 86 else frame[6:12]
            return Claim(target, _mac(told), asks)
    return None


def _mac(data: bytes) -> str:
    return data.hex(":")
