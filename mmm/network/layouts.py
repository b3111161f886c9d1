"""Where the fields of frames stand, and frames to be filled: made by scapy, with `python -m pages.layouts`.

scapy takes 0.2 ms to take a frame apart, 1 ms to make one, and 23 MB. So what comes by the hundred is cut out and
put in by these.
"""

# ARP
ARP = {
    "Ether.type": slice(12, 14),
    "ARP.op": slice(20, 22),
    "ARP.hwsrc": slice(22, 28),
    "ARP.psrc": slice(28, 32),
    "ARP.pdst": slice(38, 42),
}

# Neighbour discovery: an advertisement, and a solicitation up to its target
DISCOVERY = {
    "Ether.src": slice(6, 12),
    "Ether.type": slice(12, 14),
    "IPv6.nh": slice(20, 21),
    "IPv6.src": slice(22, 38),
    "ICMPv6ND_NA.type": slice(54, 55),
    "ICMPv6ND_NA.tgt": slice(62, 78),
    "ICMPv6NDOptDstLLAddr.type": slice(78, 79),
    "ICMPv6NDOptDstLLAddr.lladdr": slice(80, 86),
}

# TCP over IPv4 without options, and a frame that lacks addresses, ports, numbers and flags
TCP = {
    "Ether.dst": slice(0, 6),
    "Ether.src": slice(6, 12),
    "Ether.type": slice(12, 14),
    "IP.ihl": slice(14, 15),
    "IP.proto": slice(23, 24),
    "IP.chksum": slice(24, 26),
    "IP.src": slice(26, 30),
    "IP.dst": slice(30, 34),
    "TCP.sport": slice(34, 36),
    "TCP.dport": slice(36, 38),
    "TCP.seq": slice(38, 42),
    "TCP.ack": slice(42, 46),
    "TCP.flags": slice(47, 48),
    "TCP.chksum": slice(50, 52),
}
TCP_FRAME = bytes.fromhex(
    "0000000000000000000000000800450000280000400040063ad100000000000000000000000000000000000000005000"
    "0000afe50000"
)

# The same over IPv6, its fields named as those of IPv4
TCP_6 = {
    "Ether.dst": slice(0, 6),
    "Ether.src": slice(6, 12),
    "Ether.type": slice(12, 14),
    "IP.proto": slice(20, 21),
    "IP.src": slice(22, 38),
    "IP.dst": slice(38, 54),
    "TCP.sport": slice(54, 56),
    "TCP.dport": slice(56, 58),
    "TCP.seq": slice(58, 62),
    "TCP.ack": slice(62, 66),
    "TCP.flags": slice(67, 68),
    "TCP.chksum": slice(70, 72),
}
TCP_6_FRAME = bytes.fromhex(
    "00000000000000000000000086dd60000000001406400000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000050000000afe50000"
)
