"""Gratuitous ARP as a neighbour on the cable sees it."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from mmm.network import arp
from mmm.network import sender as sender_module
from mmm.network.arp import Announcer, moments
from mmm.network.frames import announcement as frames
from mmm.network.sender import Sender
from tests.namespaces import cable, ip, listening, own_network

NEAR, FAR, VIP, OTHER = "near0", "far0", "10.88.0.80", "10.88.0.90"
MAC, NEW_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


@pytest.fixture
def neighbour() -> Iterator[socket.socket]:
    with own_network():
        cable(NEAR, FAR)
        ip(f"link set {NEAR} address {MAC}")
        with listening(FAR) as sock:
            yield sock


def test_moments_are_dense_at_first_and_never_end() -> None:
    assert list(islice(moments(), 8)) == [0.0, 0.2, 1.0, 2.0, 5.0, 10.0, 70.0, 130.0]


@pytest.mark.netns
def test_a_neighbour_hears_request_and_reply(neighbour: socket.socket) -> None:
    Sender(NEAR, [VIP]).send(VIP)
    assert (neighbour.recv(2048), neighbour.recv(2048)) == frames(VIP, MAC)


@pytest.mark.netns
def test_a_new_mac_address_and_a_new_interface_are_noticed(neighbour: socket.socket) -> None:
    sender = Sender(NEAR, [VIP])
    ip(f"link set {NEAR} address {NEW_MAC}")
    sender.send(VIP)
    assert neighbour.recv(2048) == frames(VIP, NEW_MAC)[0]
    ip(f"link del {NEAR}")
    with pytest.raises(OSError, match="No such device"):
        sender.send(VIP)
    cable(NEAR, FAR)
    ip(f"link set {NEAR} address {MAC}")
    with listening(FAR) as again:
        sender.send(VIP)
        assert again.recv(2048) == frames(VIP, MAC)[0]


@pytest.mark.netns
def test_a_missing_interface_is_a_warning_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with own_network():
        Sender("absent0", [VIP]).close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "absent0" in caplog.text


@pytest.mark.netns
def test_building_frames_leaves_nothing_in_anybodys_home(
    neighbour: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    Sender(NEAR, [VIP]).send(VIP)
    assert neighbour.recv(2048) == frames(VIP, MAC)[0]
    assert list(tmp_path.iterdir()) == []


def see_announced(sender: Sender, neighbour: socket.socket) -> None:
    """Announce the VIP, and see that the neighbour hears it."""
    sender.send(VIP)
    assert neighbour.recv(2048) == frames(VIP, MAC)[0]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have frames built once this is set: on a busy machine that takes longer than a lease."""
    built, made = threading.Event(), sender_module._made

    def waits(ips: Iterable[str], mac: str) -> Any:
        built.wait(10)
        return made(ips, mac)

    monkeypatch.setattr(sender_module, "_made", waits)
    return built


@pytest.mark.netns
def test_nobody_waits_for_frames_to_be_built_and_what_was_to_be_said_is_said_then(
    neighbour: socket.socket, slow: threading.Event
) -> None:
    """The agent's loop announces: while it waits it renews no lease."""

    async def run() -> list[bytes]:
        announcer = Announcer(Sender(NEAR, [VIP, OTHER]))
        announcer.hold([VIP])
        announcer.begin(OTHER)
        announcer.end(OTHER)
        announcer.sender.learn([VIP, OTHER])
        slow.set()
        heard = [await asyncio.to_thread(neighbour.recv, 2048) for _ in range(4)]
        await announcer.close()
        return heard

    assert senders(asyncio.run(run())) == [VIP] * 4


@pytest.mark.netns
def test_what_has_waited_too_long_for_its_frames_is_not_said_any_more(
    neighbour: socket.socket, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The VIP may be with another host by then."""
    sender = Sender(NEAR, [VIP, OTHER])
    with monkeypatch.context() as later:
        later.setattr(sender_module, "WORTH", -1.0)
        sender.send(VIP)
        slow.set()
        sender.built(VIP)
    sender.send(OTHER)
    assert senders([neighbour.recv(2048)]) == [OTHER]


@pytest.mark.netns
def test_frames_that_cannot_be_built_are_a_warning_once_and_tried_again(
    neighbour: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, sender_module.__name__)
    sender = Sender(NEAR)
    with monkeypatch.context() as broken:
        broken.setattr(sender_module, "own_module", lambda *_: ["false"])
        for _ in range(3):
            sender.send(VIP)
            sender.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.DEBUG, logging.DEBUG]
    see_announced(sender, neighbour)


@pytest.mark.netns
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["sh", "-c", "echo >&2; exit 1"], id="says nothing"),
        pytest.param(["echo", "a warning of a library"], id="no JSON"),
        pytest.param(["echo", "{}"], id="no frames in it"),
        pytest.param(["echo", '{"10.88.0.80": [["zz"], 7]}'], id="other frames"),
        pytest.param(["/nowhere/python3"], id="no program"),
    ],
)
def test_whatever_the_program_says_that_builds_frames_it_is_tried_again(
    neighbour: socket.socket, argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(sender_module, "own_module", lambda *_: argv)
        sender = Sender(NEAR)
        with pytest.raises(OSError, match=f"there are no frames of {VIP}"):
            sender.built(VIP)
    see_announced(sender, neighbour)


@pytest.mark.netns
def test_an_error_that_nobody_has_thought_of_stops_no_later_building(
    neighbour: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("by a cosmic ray")

    with monkeypatch.context() as broken:
        broken.setattr(sender_module, "_made", fails)
        sender = Sender(NEAR, [VIP])
        sender.close()
    assert "cannot send ARP now: ZeroDivisionError: by a cosmic ray" in caplog.text
    see_announced(sender, neighbour)


@pytest.mark.netns
def test_a_machine_that_has_no_thread_left_is_an_error_of_the_moment(
    neighbour: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        sender = Sender(NEAR, [VIP])
        for does in (sender.send, sender.ask, sender.built):
            with pytest.raises(OSError, match="can't start new thread"):
                does(VIP)
        sender.close()
    assert "cannot send ARP now: no frames can be built: can't start new thread" in caplog.text
    see_announced(sender, neighbour)


@pytest.mark.netns
def test_nothing_is_sent_where_there_is_no_arp() -> None:
    with own_network(), listening("lo") as loopback:
        Sender("lo", [VIP]).send(VIP)
        loopback.setblocking(False)
        with pytest.raises(BlockingIOError):
            loopback.recv(2048)


def senders(received: list[bytes]) -> list[str]:
    return [socket.inet_ntoa(frame[28:32]) for frame in received]


@pytest.mark.netns
def test_a_held_vip_is_announced_again_until_it_is_let_go(
    neighbour: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arp, "EARLY", (*arp.EARLY[:2], 60.0))

    async def run() -> list[bytes]:
        announcer = Announcer(Sender(NEAR, [VIP, OTHER]))
        for each in (VIP, OTHER):  # what waits for its frames is said once
            await asyncio.to_thread(announcer.sender.built, each)
        announcer.hold([VIP])
        heard = [await asyncio.to_thread(neighbour.recv, 2048) for _ in range(4)]
        announcer.end(VIP)
        announcer.begin(OTHER)
        heard += [await asyncio.to_thread(neighbour.recv, 2048) for _ in range(4)]
        await announcer.close()
        return heard

    assert senders(asyncio.run(run())) == [VIP] * 4 + [OTHER] * 4


def test_a_vip_that_another_host_may_still_believe_to_have_is_announced_twice_a_second_for_a_minute() -> None:
    *often, last = islice(moments(60.0), 122)
    assert (often[0], often[-1], last) == (0.0, 60.0, 120.0)
    assert {after - before for before, after in pairwise(often)} == {0.5}


@pytest.mark.netns
def test_who_insists_goes_on_with_that_when_it_is_contradicted(
    neighbour: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the schedule of others six announcements take ten seconds, and their beginning anew would take as long."""
    monkeypatch.setattr(arp, "INSISTS_EVERY", 0.05)
    monkeypatch.setattr(arp, "AGAIN", -1.0)

    async def run() -> list[bytes]:
        announcer = Announcer(Sender(NEAR, [VIP]))
        announcer.begin(VIP, insist=True)
        heard = [await asyncio.to_thread(neighbour.recv, 2048) for _ in range(20)]
        announcer.again(VIP)
        heard += [await asyncio.to_thread(neighbour.recv, 2048) for _ in range(20)]
        await announcer.close()
        return heard

    assert senders(asyncio.run(run())) == [VIP] * 40


@pytest.mark.netns
def test_what_is_about_to_leave_is_not_announced_any_more(neighbour: socket.socket) -> None:
    sender = Sender(NEAR, [VIP, OTHER])
    sender.forbid(VIP)
    sender.send(VIP)
    sender.send(OTHER)
    assert senders([neighbour.recv(2048)]) == [OTHER]


@pytest.mark.netns
def test_an_announcer_outlives_its_interface(
    neighbour: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> bytes:
        ip(f"link del {NEAR}")
        announcer = Announcer(Sender(NEAR, [VIP]))
        announcer.hold([VIP])
        while "cannot announce" not in caplog.text:  # noqa: ASYNC110 - a log line is no event
            await asyncio.sleep(0)
        cable(NEAR, FAR)
        with listening(FAR) as again:
            frame = await asyncio.to_thread(again.recv, 2048)
        await announcer.close()
        return frame

    assert senders([asyncio.run(run())]) == [VIP]


@pytest.mark.netns
def test_nothing_is_announced_that_nobody_has_confirmed_lately(
    neighbour: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")

    async def run() -> None:
        announcer = Announcer(Sender(NEAR, [VIP]))
        with monkeypatch.context() as long_ago:
            long_ago.setattr(arp, "CONFIRMED", -1.0)
            announcer.hold([VIP])
            while "nobody has confirmed it" not in caplog.text:  # noqa: ASYNC110 - a log line is no event
                await asyncio.sleep(0)
            neighbour.setblocking(False)
            with pytest.raises(BlockingIOError):
                neighbour.recv(2048)
            neighbour.settimeout(10)
        announcer.confirm()
        assert senders([await asyncio.to_thread(neighbour.recv, 2048)]) == [VIP]
        await announcer.close()

    asyncio.run(run())
