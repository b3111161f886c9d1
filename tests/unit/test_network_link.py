"""Who is told that a cable is back, on real ones."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mmm.network.link import LinkWatch
from tests.namespaces import cable, ip, own_network

pytestmark = pytest.mark.netns

NEAR, FAR, NOISY, OTHER_NAME = "near0", "far0", "noisy0", "enp3s0"
LIMIT, TURNS = 30.0, 30


@asynccontextmanager
async def watched(interface: str = NEAR) -> AsyncIterator[tuple[LinkWatch, asyncio.Event]]:
    """Watch; gives the watch, and what is set once it tells that the link came up."""
    told = asyncio.Event()
    watch = LinkWatch(interface, told.set)
    try:
        async with asyncio.timeout(LIMIT):
            yield watch, told
    finally:
        watch.close()


def pull() -> None:
    """Pull the cable out; the kernel has told everybody when this returns."""
    ip(f"link set {FAR} down")
    while "state UP" in ip(f"link show {NEAR}"):
        pass


async def hear() -> None:
    """Hear all that the kernel has told by now."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def test_a_cable_that_was_out_when_the_agent_began_is_told_when_it_is_back() -> None:
    async def run() -> None:
        async with watched() as (_, told):
            await hear()
            assert not told.is_set()
            ip(f"link set {FAR} up")
            await told.wait()

    with own_network():
        cable(NEAR, FAR)
        pull()
        asyncio.run(run())


def test_it_is_told_of_an_interface_that_was_made_anew() -> None:
    async def run() -> None:
        async with watched() as (_, told):
            ip(f"link del {NEAR}")
            await hear()
            told.clear()
            cable(NEAR, FAR)
            await told.wait()

    with own_network():
        cable(NEAR, FAR)
        asyncio.run(run())


def test_it_is_told_where_the_conf_calls_the_interface_by_another_of_its_names() -> None:
    async def run() -> None:
        async with watched(OTHER_NAME) as (_, told):
            ip(f"link set {FAR} up")
            await told.wait()

    with own_network():
        cable(NEAR, FAR)
        ip(f"link property add dev {NEAR} altname {OTHER_NAME}")
        pull()
        asyncio.run(run())


def test_what_was_too_much_to_be_told_may_have_been_that_it_was_down() -> None:
    async def run() -> None:
        async with watched() as (watch, told):
            ip(f"link set {FAR} up")
            await told.wait()
            await hear()
            told.clear()
            kernel = watch._kernel._socket
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            for size in range(1400, 1408):  # there is room for less than that
                ip(f"link set {NOISY} mtu {size}")
            pull()
            await hear()
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            assert not told.is_set()
            ip(f"link set {FAR} up")
            await told.wait()

    with own_network():
        cable(NEAR, FAR)
        cable(NOISY, "noisy1")
        pull()
        asyncio.run(run())
