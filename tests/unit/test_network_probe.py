"""Asking on a real cable who has an address that is about to be bound (RFC 5227)."""

import time
from collections.abc import Iterator

import pytest

from mmm.lease.rules import PROBING
from mmm.network import probe
from mmm.network import sender as sender_module
from mmm.network.probe import holder
from mmm.network.sender import Sender
from tests.namespaces import Neighbour, cable, ip, neighbour, own_network

pytestmark = pytest.mark.netns

NEAR, FAR = "near0", "far0"
OTHER_MAC = "02:00:00:00:00:99"
VIPS = ("10.88.0.80/32", "fd00:88::80/128")


@pytest.fixture
def other() -> Iterator[Neighbour]:
    """Give the host at the other end of a cable."""
    with own_network(), neighbour() as host:
        cable(NEAR, FAR)
        ip(f"link set {FAR} netns {host.pid}")
        host.ip(f"link set {FAR} address {OTHER_MAC}")
        host.ip(f"link set {FAR} up")
        yield host


@pytest.mark.parametrize("vip", VIPS)
def test_the_mac_of_whoever_has_it_is_found(other: Neighbour, vip: str) -> None:
    other.ip(f"address add {vip} dev {FAR} {'nodad' if ':' in vip else ''}")
    sender = Sender(NEAR, [vip.partition("/")[0]])
    assert holder(sender, vip.partition("/")[0]) == OTHER_MAC
    sender.close()


def test_who_has_it_is_found_also_where_the_frames_take_longer_to_build_than_it_is_asked(
    other: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBING", 0.1)
    monkeypatch.setattr(probe, "INTERVAL", 0.05)
    other.ip(f"address add 10.88.0.80/32 dev {FAR}")
    sender = Sender(NEAR)
    assert holder(sender, "10.88.0.80") == OTHER_MAC
    sender.close()


@pytest.mark.parametrize("vip", VIPS)
def test_where_nobody_has_it_the_whole_time_is_taken(other: Neighbour, vip: str) -> None:
    """Whoever asks counts on that: it is the end of a margin."""
    sender = Sender(NEAR, [vip.partition("/")[0]])
    begin = time.monotonic()
    assert holder(sender, vip.partition("/")[0]) == ""
    assert time.monotonic() - begin >= PROBING
    sender.close()


@pytest.mark.parametrize("gone", ["link del {}", "link set {} name other0"])
def test_an_interface_that_was_made_anew_since_the_last_time_is_asked_on(other: Neighbour, gone: str) -> None:
    """A takeover that could not ask would bind what another host has."""
    vip = "10.88.0.80"
    sender = Sender(NEAR, [vip])
    assert holder(sender, vip) == ""
    ip(f"link set {NEAR} down")
    ip(gone.format(NEAR))
    cable(NEAR, "far1")
    ip(f"link set far1 netns {other.pid}")
    other.ip(f"link set far1 address {OTHER_MAC} up")
    other.ip(f"address add {vip}/32 dev far1")
    assert holder(sender, vip) == OTHER_MAC
    sender.close()


def test_one_s_own_address_is_nobody(other: Neighbour) -> None:
    ip(f"address add 10.88.0.80/32 dev {NEAR}")
    sender = Sender(NEAR, ["10.88.0.80"])
    assert holder(sender, "10.88.0.80") == ""
    sender.close()


@pytest.mark.parametrize("interface", ["missing0", NEAR])
def test_where_nobody_can_be_asked_that_is_told_and_the_whole_time_is_taken(
    other: Neighbour, interface: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The interface is missing, or scapy is: there are no frames then."""
    monkeypatch.setattr(sender_module, "own_module", lambda *_: ["false"])
    other.ip(f"address add 10.88.0.80/32 dev {FAR}")
    sender = Sender(interface)
    begin = time.monotonic()
    assert holder(sender, "10.88.0.80") is None
    assert time.monotonic() - begin >= PROBING
    assert f"cannot ask who has 10.88.0.80 on {interface}" in caplog.text
