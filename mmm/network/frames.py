"""Frames that say at which MAC an address is, or ask it: ARP for IPv4, neighbour discovery for IPv6.

scapy builds them; what comes in is taken apart by hand, for there may be many.
"""

import ipaddress
import socket
import struct
from typing import NamedTuple

from scapy.layers.l2 import ARP, Ether

ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_NO_MAC = "00:00:00:00:00:00"
_ALL_NODES, _ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_TARGET_MAC = 2
_HOPS = 255


class Claim(NamedTuple):
    """What a frame says: `ip` is at `mac`. `asks` is True where it only asks whether somebody has the address."""

    ip: str
    mac: str
    asks: bool = False


def announcement(ip: str, mac: str) -> tuple[bytes, ...]:
    """Return what tells everybody that `ip` is at `mac`: an ARP request and reply, or a neighbour advertisement."""
    if ":" in ip:
        return (_advertisement(ip, mac),)
    ether = Ether(src=mac, dst=_BROADCAST)
    request = ARP(op=_REQUEST, hwsrc=mac, psrc=ip, hwdst=_NO_MAC, pdst=ip)
    reply = ARP(op=_REPLY, hwsrc=mac, psrc=ip, hwdst=mac, pdst=ip)
    return bytes(ether / request), bytes(ether / reply)


def probe(ip: str, mac: str) -> bytes:
    """Return what asks whether somebody has `ip`, and changes nobody's cache (RFC 5227, RFC 4862)."""
    if ":" in ip:
        return _solicitation(ip, mac)
    request = ARP(op=_REQUEST, hwsrc=mac, psrc="0.0.0.0", hwdst=_NO_MAC, pdst=ip)  # noqa: S104
    return bytes(Ether(src=mac, dst=_BROADCAST) / request)


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


def _advertisement(ip: str, mac: str) -> bytes:
    # Imported where it is needed: it takes a third of a second, and few clusters have IPv6.
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6  # noqa: PLC0415

    said = ICMPv6ND_NA(tgt=ip, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    return bytes(Ether(src=mac, dst=_ALL_NODES_MAC) / IPv6(src=ip, dst=_ALL_NODES, hlim=_HOPS) / said)


def _solicitation(ip: str, mac: str) -> bytes:
    from scapy.layers.inet6 import ICMPv6ND_NS, IPv6  # noqa: PLC0415

    last = ipaddress.IPv6Address(ip).packed[-3:]
    group = ipaddress.IPv6Address(bytes.fromhex("ff02000000000000000000") + b"\x01\xff" + last)
    ether = Ether(src=mac, dst="33:33:ff:" + last.hex(":"))
    return bytes(ether / IPv6(src="::", dst=str(group), hlim=_HOPS) / ICMPv6ND_NS(tgt=ip))


def _mac(data: bytes) -> str:
    return data.hex(":")
