"""Announcements and questions as bytes, and what is understood of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.network.claims import Claim, claim
from mmm.network.frames import announcement, probe

MAC = "02:00:00:00:00:01"
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
