"""ICMP echo to many addresses at once, through the kernel's own answers and none."""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from mmm.network.icmp import Pinger, checksum
from tests.namespaces import cable, ip, own_network

pytestmark = pytest.mark.netns

Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def pinged(question: Callable[[Pinger], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with asyncio.timeout(20), Pinger() as pinger:
            return await question(pinger)

    return asyncio.run(run())


def test_an_address_that_is_there_answers() -> None:
    async def question(pinger: Pinger) -> float | None:
        return await pinger.ping("127.0.0.1", 5.0)

    round_trip = pinged(question)
    assert round_trip is not None
    assert 0 < round_trip < 5.0


def test_silence_unreachable_networks_and_nonsense_are_no_answer() -> None:
    cable("near0", "far0")
    ip("addr add 10.88.0.4/24 dev near0")

    async def question(pinger: Pinger) -> list[float | None]:
        addresses = ("10.88.0.99", "192.0.2.1", "255.255.255.255", "no address", "")
        return await asyncio.gather(*(pinger.ping(address, 0.05) for address in addresses))

    assert pinged(question) == [None] * 5


def test_many_at_once_each_get_their_own_answer() -> None:
    async def question(pinger: Pinger) -> list[float | None]:
        addresses = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]
        return await asyncio.gather(*(pinger.ping(address, 10.0) for address in addresses))

    assert None not in pinged(question)


def test_two_pingers_in_one_process_do_not_take_each_others_answers() -> None:
    async def question(first: Pinger) -> list[float | None]:
        async with Pinger() as second:
            return await asyncio.gather(*(pinger.ping("127.0.0.1", 5.0) for pinger in (first, second)))

    assert None not in pinged(question)


def test_a_forged_answer_does_not_count() -> None:
    """Somebody who guesses identifier and sequence does not know the token."""
    cable("near0", "far0")
    ip("addr add 10.88.0.4/24 dev near0")
    forged = struct.pack("!BBHHH8s", 0, 0, 0, os.getpid() & 0xFFFF, 1, b"guessing")
    forged = forged[:2] + struct.pack("!H", checksum(forged)) + forged[4:]

    async def question(pinger: Pinger) -> float | None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as liar:
            asked = asyncio.ensure_future(pinger.ping("10.88.0.99", 0.2))
            await asyncio.sleep(0)
            liar.bind(("127.0.0.99", 0))
            liar.sendto(forged, ("127.0.0.1", 0))
            pinger._match(b"\x45" + bytes(19) + forged, "10.88.0.99")
            for nonsense in (b"", b"\x45", b"\x4f" + bytes(30), bytes(28)):
                pinger._match(nonsense, "10.88.0.99")
            return await asked

    assert pinged(question) is None


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next() -> None:
    async def question(pinger: Pinger) -> tuple[float | None, float | None]:
        return await pinger.ping("127.0.0.1", 0.0), await pinger.ping("127.0.0.2", 5.0)

    late, good = pinged(question)
    assert late is None
    assert good is not None
