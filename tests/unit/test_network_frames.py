"""Frames as bytes, and what is understood of them: scapy says what is right."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from mmm.network import layouts
from mmm.network.claims import Claim, claim
from mmm.network.farewell import reset
from mmm.network.frames import announcement, probe
from pages.layouts import page

MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:99"
VIPS = ("10.88.0.80", "fd00:88::80")


@pytest.mark.parametrize("vip", VIPS)
def test_what_is_said_is_understood(vip: str) -> None:
    assert {claim(frame) for frame in announcement(vip, MAC)} == {Claim(vip, MAC)}
    assert claim(probe(vip, MAC)) == Claim(vip, MAC, asks=True)


def test_an_arp_announcement_is_a_request_and_a_reply_to_everybody() -> None:
    request, reply = (frame.hex() for frame in announcement(VIPS[0], MAC))
    broadcast, mac, vip, arp = "ff" * 6, "020000000001", "0a580050", "0806" + "0001" + "0800" + "0604"
    assert request == broadcast + mac + arp + "0001" + mac + vip + "00" * 6 + vip
    assert reply == broadcast + mac + arp + "0002" + mac + vip + mac + vip


def test_a_neighbour_advertisement_goes_to_all_nodes_and_overrides_what_they_know() -> None:
    (frame,) = announcement(VIPS[1], MAC)
    assert frame[:6].hex() == "333300000001"
    assert (frame[20], frame[21]) == (58, 255)  # ICMPv6 that came over no router
    assert frame[54] == 136
    assert frame[58] == 0x20  # override, and no answer to anybody


def test_a_question_changes_no_cache() -> None:
    assert probe(VIPS[0], MAC)[28:32] == bytes(4)
    assert probe(VIPS[1], MAC)[22:38] == bytes(16)


@given(st.binary(max_size=100))
def test_whatever_else_comes_says_nothing_or_something_and_breaks_nothing(frame: bytes) -> None:
    claim(frame)
    for kind in (b"\x08\x06", b"\x86\xdd"):
        claim(frame[:12].ljust(12, b"\0") + kind + frame)


def test_where_fields_stand_is_where_scapy_puts_them() -> None:
    assert Path(layouts.__file__).read_text("utf-8") == page()


def packet(vip: str, client: str, **fields: Any) -> Any:
    """Return what a client sends to a VIP."""
    ip = (IPv6 if ":" in vip else IP)(src=client, dst=vip)
    return Ether(src=OTHER_MAC, dst=MAC) / ip / TCP(dport=3306, **fields)


def answered(sent: Any) -> Any:
    """Return what it is answered with."""
    frame = reset(bytes(sent))
    assert frame is not None
    return Ether(frame)


PORTS, NUMBERS = st.integers(1, 0xFFFF), st.integers(0, 0xFFFFFFFF)
CLIENTS = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)


@given(CLIENTS, PORTS, NUMBERS, NUMBERS, st.sampled_from(["A", "PA", "FA", "SA"]), st.binary(max_size=80))
def test_who_is_connected_is_reset_at_what_he_expects_next(
    client: str, port: int, seq: int, ack: int, flags: str, said: bytes
) -> None:
    vip = VIPS[":" in client]
    sent = packet(vip, client, sport=port, seq=seq, ack=ack, flags=flags) / said
    answer = answered(sent)
    assert (answer.src, answer.dst) == (MAC, OTHER_MAC)
    assert [ip_address(end) for end in (answer[1].src, answer[1].dst)] == [
        ip_address(vip),
        ip_address(client),
    ]
    tcp = answer[TCP]
    assert (tcp.sport, tcp.dport, tcp.seq, tcp.ack, str(tcp.flags)) == (3306, port, ack, 0, "R")
    assert bytes(answer) == _checked(answer)


@given(CLIENTS, PORTS, NUMBERS)
def test_who_connects_is_refused(client: str, port: int, seq: int) -> None:
    sent = packet(VIPS[":" in client], client, sport=port, seq=seq, flags="S", options=[("MSS", 1460)])
    answer = answered(sent)
    tcp = answer[TCP]
    assert (tcp.dport, tcp.seq, tcp.ack, str(tcp.flags)) == (port, 0, (seq + 1) % 2**32, "RA")
    assert bytes(answer) == _checked(answer)


def test_a_reset_is_not_answered() -> None:
    assert reset(bytes(packet(VIPS[0], "10.88.0.9", sport=4000, flags="R"))) is None


def _checked(frame: Any) -> bytes:
    """Return the frame with the checksums that scapy gives it."""
    made = frame.copy()
    for layer in ("IP", "TCP"):
        if made.haslayer(layer):
            del made[layer].chksum
    return bytes(made)
