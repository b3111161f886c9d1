"""What a frame of ARP or neighbour discovery says: who has an address."""

import ipaddress
import socket
from typing import NamedTuple

from mmm.network.layouts import ARP, DISCOVERY

ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
SOLICITATION, ADVERTISEMENT = 135, 136

_TARGET_MAC = 2


class Claim(NamedTuple):
    """What a frame says: `ip` is at `mac`. `asks` is True where it only asks whether somebody has the address."""

    ip: str
    mac: str
    asks: bool = False


def claim(frame: bytes) -> Claim | None:
    """Return what a frame of ARP or neighbour discovery says; None when it is none, or says nothing."""
    kind = _number(frame, ARP["Ether.type"])
    if kind == ETH_P_ARP and len(frame) >= ARP["ARP.pdst"].stop:
        return _of_arp(frame)
    if kind == ETH_P_IPV6 and len(frame) >= DISCOVERY["ICMPv6ND_NA.tgt"].stop:
        return _of_discovery(frame)
    return None


def _of_arp(frame: bytes) -> Claim:
    source = frame[ARP["ARP.psrc"]]
    asks = not any(source)
    return Claim(
        socket.inet_ntoa(frame[ARP["ARP.pdst"]] if asks else source), frame[ARP["ARP.hwsrc"]].hex(":"), asks
    )


def _of_discovery(frame: bytes) -> Claim | None:
    kind = _number(frame, DISCOVERY["ICMPv6ND_NA.type"])
    asks = kind == SOLICITATION and not any(frame[DISCOVERY["IPv6.src"]])
    if _number(frame, DISCOVERY["IPv6.nh"]) != socket.IPPROTO_ICMPV6 or not (kind == ADVERTISEMENT or asks):
        return None
    mac = frame[DISCOVERY["Ether.src"]]
    told = frame[DISCOVERY["ICMPv6NDOptDstLLAddr.lladdr"]]
    if len(told) == len(mac) and _number(frame, DISCOVERY["ICMPv6NDOptDstLLAddr.type"]) == _TARGET_MAC:
        mac = told
    return Claim(str(ipaddress.IPv6Address(frame[DISCOVERY["ICMPv6ND_NA.tgt"]])), mac.hex(":"), asks)


def _number(frame: bytes, place: slice) -> int:
    return int.from_bytes(frame[place])
