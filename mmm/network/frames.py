"""Frames that say at which MAC an address is, or ask it: ARP for IPv4, neighbour discovery for IPv6.

scapy builds them. It takes 23 MB, half as much as an agent, and 0.3 s to load, so `python -m mmm.network.frames` builds
them in a process that ends: it gets a MAC and addresses, and writes one JSON object with the frames in hex.
"""

import ipaddress
import json
import sys

from scapy.layers.l2 import ARP, Ether

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_NO_MAC = "00:00:00:00:00:00"
_ALL_NODES, _ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"
_REQUEST, _REPLY = 1, 2
_HOPS = 255


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


def _advertisement(ip: str, mac: str) -> bytes:
    # Imported where it is needed: few clusters have IPv6.
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6  # noqa: PLC0415

    said = ICMPv6ND_NA(tgt=ip, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    return bytes(Ether(src=mac, dst=_ALL_NODES_MAC) / IPv6(src=ip, dst=_ALL_NODES, hlim=_HOPS) / said)


def _solicitation(ip: str, mac: str) -> bytes:
    from scapy.layers.inet6 import ICMPv6ND_NS, IPv6  # noqa: PLC0415

    last = ipaddress.IPv6Address(ip).packed[-3:]
    group = ipaddress.IPv6Address(bytes.fromhex("ff02000000000000000000") + b"\x01\xff" + last)
    ether = Ether(src=mac, dst="33:33:ff:" + last.hex(":"))
    return bytes(ether / IPv6(src="::", dst=str(group), hlim=_HOPS) / ICMPv6ND_NS(tgt=ip))


def main() -> int:
    """Write what `announcement` and `probe` make for the addresses, all at one MAC."""
    mac, *ips = sys.argv[1:]
    made = {ip: ([frame.hex() for frame in announcement(ip, mac)], probe(ip, mac).hex()) for ip in ips}
    json.dump(made, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
