"""Another host that claims a VIP of ours, as frames on a real cable."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from mmm.network import arp
from mmm.network.arp import AGAIN, Announcer
from mmm.network.claims import claim
from mmm.network.conflicts import Watch
from mmm.network.frames import announcement, probe
from mmm.network.link import LinkWatch
from mmm.network.sender import Sender
from tests.namespaces import Neighbour, cable, ip, own_network
from tests.namespaces import neighbour as another_host

pytestmark = pytest.mark.netns

NEAR, FAR = "near0", "far0"
MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:99"
VIPS = {4: "10.88.0.80", 6: "fd00:88::80"}
KINDS = {4: 0x0806, 6: 0x86DD}
OTHER_VIP = "10.88.0.90"

Scene = Callable[[Announcer, socket.socket], Awaitable[None]]


@pytest.fixture(params=VIPS)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def neighbour(version: int) -> Iterator[socket.socket]:
    """Give a socket of a neighbour that speaks and hears the VIP's protocol."""
    with own_network():
        cable(NEAR, FAR)
        ip(f"link set {NEAR} address {MAC}")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(KINDS[version])) as sock:
            sock.bind((FAR, KINDS[version]))
            sock.settimeout(10.0)
            yield sock


async def heard(sock: socket.socket, vip: str) -> None:
    """Wait until the neighbour hears an announcement of the VIP."""
    while True:
        said = claim(await asyncio.to_thread(sock.recv, 2048))
        if said is not None and (said.ip, said.mac, said.asks) == (vip, MAC, False):
            return


def played(
    vip: str, sock: socket.socket, scene: Scene, claimed: Callable[[str], bool] = lambda _: False
) -> None:
    """Hold the VIP until its first announcements are heard, and for as long as the scene takes."""

    async def run() -> None:
        announcer = Announcer(Sender(NEAR, [vip, OTHER_VIP]))
        await asyncio.to_thread(
            announcer.sender.built, vip
        )  # what waits for its frames is said once, and late
        watch = Watch(NEAR, [vip], announcer, claimed)
        link = LinkWatch(NEAR, announcer.link_up)
        announcer.hold([vip])
        for _ in range(3 if ":" in vip else 6):  # those of the first second: the next come in a minute
            await heard(sock, vip)
        await asyncio.sleep(AGAIN * 0.1)
        await scene(announcer, sock)
        link.close()
        watch.close()
        await announcer.close()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(arp, "EARLY", (*arp.EARLY[:3], 60.0))
        asyncio.run(run())


def test_who_claims_our_vip_is_named_counted_and_answered(
    version: int, neighbour: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    vip = VIPS[version]

    async def scene(_: Announcer, sock: socket.socket) -> None:
        for frame in announcement(vip, OTHER_MAC):
            sock.send(frame)
        await heard(sock, vip)
        while "claims it too" not in caplog.text:  # noqa: ASYNC110 - a log line is no event
            await asyncio.sleep(0)

    played(vip, neighbour, scene)
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert vip in record.getMessage()
    assert OTHER_MAC in record.getMessage()


def test_a_host_that_let_the_vip_go_makes_us_say_that_it_is_here(
    version: int, neighbour: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    vip = VIPS[version]

    async def scene(_: Announcer, sock: socket.socket) -> None:
        sock.send(probe(vip, OTHER_MAC))
        await heard(sock, vip)

    if version == 4:  # for IPv6 the kernel that has the address answers
        played(vip, neighbour, scene)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_who_answers_when_a_vip_is_bound_here_is_named(
    version: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that was thought to be gone and is not: its kernel answers, whatever its agent does."""
    vip = VIPS[version]

    async def run() -> None:
        announcer = Announcer(Sender(NEAR, [vip]))
        watch = Watch(NEAR, [vip], announcer)
        announcer.begin(vip)
        async with asyncio.timeout(10):
            while "claims it too" not in caplog.text:
                announcer.ask(vip)  # again and again: a cable that was just laid loses some
                await asyncio.sleep(0.02)
        watch.close()
        await announcer.close()

    with own_network(), another_host() as far:
        cable(NEAR, FAR)
        ip(f"link set {FAR} netns {far.pid}")
        far.ip(f"link set {FAR} address {OTHER_MAC} up")
        far.ip(f"addr add {vip}/32 dev {FAR}" if version == 4 else f"-6 addr add {vip}/128 dev {FAR} nodad")
        asyncio.run(run())
    assert OTHER_MAC in caplog.text


def test_who_took_a_held_vip_without_a_word_is_found(
    version: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who binds an address by hand announces nothing; half of the clients may go there."""
    vip = VIPS[version]
    monkeypatch.setattr("mmm.network.arp.EARLY", (0.0, 0.1))
    monkeypatch.setattr("mmm.network.arp.EVERY", 0.1)
    monkeypatch.setattr("mmm.network.arp.AGAIN", 0.2)
    monkeypatch.setattr("mmm.network.strangers.STANDS", 0.3)

    async def run(far: Neighbour) -> None:
        announcer = Announcer(Sender(NEAR, [vip]))
        watch = Watch(NEAR, [vip], announcer)
        announcer.hold([vip])
        assert announcer.claimed() == ()
        far.ip(f"addr add {vip}/32 dev {FAR}" if version == 4 else f"-6 addr add {vip}/128 dev {FAR} nodad")
        async with asyncio.timeout(10):
            while not announcer.claimed():
                announcer.confirm()
                await asyncio.sleep(0.02)
        assert announcer.claimed() == ((vip, OTHER_MAC),)
        announcer.end(vip)
        await asyncio.sleep(0)
        assert announcer.claimed() == ()
        watch.close()
        await announcer.close()

    with own_network(), another_host() as far:
        cable(NEAR, FAR)
        ip(f"link set {FAR} netns {far.pid}")
        far.ip(f"link set {FAR} address {OTHER_MAC} up")
        asyncio.run(run(far))
    assert f"{OTHER_MAC} on {NEAR} claims it too" in caplog.text


def test_a_claim_is_not_answered_where_others_are_asked_first_who_has_the_role(
    neighbour: socket.socket, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    vip, told = VIPS[version], list[str]()

    async def scene(announcer: Announcer, sock: socket.socket) -> None:
        for frame in announcement(vip, OTHER_MAC):
            sock.send(frame)
        while not told:  # noqa: ASYNC110 - what the kernel passes on is no event
            await asyncio.sleep(0)
        announcer.begin(OTHER_VIP)  # what comes next is this, and nothing of the other
        while (said := claim(await asyncio.to_thread(sock.recv, 2048))) is None or said.ip != OTHER_VIP:
            assert said is None or (said.ip, said.mac) != (vip, MAC)

    if version == 4:

        def claimed(ip: str) -> bool:
            told.append(ip)
            return True

        played(vip, neighbour, scene, claimed)
        assert set(told) == {vip}
        assert "other hosts are asked whether they have the role" in caplog.text


def test_it_is_said_again_when_the_cable_is_back(version: int, neighbour: socket.socket) -> None:
    vip = VIPS[version]

    async def scene(_: Announcer, sock: socket.socket) -> None:
        ip(f"link set {FAR} down")
        await asyncio.sleep(0)
        while "LOWER_UP" in ip(f"link show {NEAR}"):  # noqa: ASYNC110 - what the kernel shows is no event
            await asyncio.sleep(0)
        ip(f"link set {FAR} up")
        while True:
            try:
                await heard(sock, vip)
            except OSError:  # it was down
                continue
            return

    played(vip, neighbour, scene)


@pytest.mark.parametrize("gone", ["link del {}", "link set {} name other0"])
def test_an_interface_that_went_while_it_was_down_and_was_made_anew_is_watched(
    gone: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel tells the end of one that is up only."""
    monkeypatch.setattr("mmm.network.conflicts.LOOK", 0.02)
    vip = VIPS[4]

    async def run() -> None:
        announcer = Announcer(Sender(NEAR))
        watch = Watch(NEAR, [vip], announcer)
        announcer.begin(vip)
        ip(f"link set {NEAR} down")
        await asyncio.sleep(0.1)  # that it is down is heard
        ip(gone.format(NEAR))
        cable(NEAR, "far1")
        claims = announcement(vip, OTHER_MAC)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind(("far1", 0))
            async with asyncio.timeout(30):
                while "claims it too" not in caplog.text:
                    for frame in claims:
                        sock.send(frame)
                    await asyncio.sleep(0.02)
        watch.close()
        await announcer.close()
        announcer.sender.close()

    with own_network():
        cable(NEAR, FAR)
        asyncio.run(run())


def test_nobody_answers_for_what_is_not_held(neighbour: socket.socket, version: int) -> None:
    vip = VIPS[version]

    async def scene(announcer: Announcer, sock: socket.socket) -> None:
        announcer.end(vip)
        await asyncio.sleep(0)
        assert announcer.held == frozenset()
        sock.send(probe(vip, OTHER_MAC))
        for frame in announcement(vip, OTHER_MAC):
            sock.send(frame)
        announcer.again(vip)
        announcer.begin(OTHER_VIP)  # what comes next is this, and nothing of the other
        while (said := claim(await asyncio.to_thread(sock.recv, 2048))) is None or said.ip != OTHER_VIP:
            assert said is None or said.ip != vip

    if version == 4:
        played(vip, neighbour, scene)


def test_what_was_not_confirmed_when_it_was_due_is_said_once_it_is(
    neighbour: socket.socket, version: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent that was frozen for a minute says nothing before it has obeyed an order."""
    vip = VIPS[version]
    caplog.set_level("DEBUG")

    async def scene(announcer: Announcer, sock: socket.socket) -> None:
        with monkeypatch.context() as long_ago:
            long_ago.setattr("mmm.network.arp.CONFIRMED", -1.0)
            announcer.again(vip)
            announcer.link_up()
            while "nobody has confirmed it" not in caplog.text:  # noqa: ASYNC110 - a log line is no event
                await asyncio.sleep(0)
            announcer.hold([vip])
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(2048)
            sock.settimeout(10)
        announcer.confirm()
        announcer.hold([vip])
        await heard(sock, vip)

    if version == 4:  # in its own time IPv6 has more to say on a new cable
        played(vip, neighbour, scene)
