"""mmm_web and mmm_control watch in front of a monitor that is frozen: its port takes connections, and says nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from mmm.config.endpoint import Endpoint
from mmm.control.connection import tls
from tests.unit.worlds import cluster

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("prometheus_client")
pytest.importorskip("rich")

from mmm.config.model import Web  # noqa: E402
from mmm.control.watch import Watched  # noqa: E402
from mmm.web.feed import Feed  # noqa: E402
from mmm.web.serving import serving  # noqa: E402

LIMIT = 60.0
SHORT = 0.5
"""Seconds for a status."""


class Frozen:
    """A port that takes connections; `asked` counts who has sent a command."""

    def __init__(self) -> None:
        self.port = 0
        self.asked = 0
        self.came = asyncio.Event()

    async def hear(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        if await reader.readline():
            self.asked += 1
            self.came.set()
        await reader.read()  # until the other side gives up


@pytest.fixture
async def frozen() -> AsyncIterator[Frozen]:
    made = Frozen()
    server = await asyncio.start_server(made.hear, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(LIMIT):
        yield made
    server.close()


def endpoint(frozen: Frozen) -> Endpoint:
    return Endpoint("mmm_mon.conf", "127.0.0.1", frozen.port, {"type": "plain"})


@asynccontextmanager
async def session(frozen: Frozen) -> AsyncIterator[Any]:
    conf = cluster()
    assert conf.monitor is not None
    there = replace(conf.monitor, ip="127.0.0.1", port=frozen.port)
    async with (
        serving(replace(conf, monitor=there, web=Web(port=0)), status=SHORT) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as made,
    ):
        yield made


async def test_metrics_and_health_say_that_the_monitor_does_not_answer(frozen: Frozen) -> None:
    async with session(frozen) as asks:
        async with asks.get("/metrics") as answer:
            assert "mmm_up 0.0" in await answer.text()
        async with asks.get("/health") as answer:
            told = await answer.json()
    assert (answer.status, told["status"]) == (503, "UNKNOWN")
    assert "did not answer in time" in told["why"]


async def test_all_wait_for_one_question_and_who_goes_does_not_end_it(frozen: Frozen) -> None:
    feed = Feed(endpoint(frozen), tls({"type": "plain"}), lambda _: None, SHORT)
    goes, stays = asyncio.ensure_future(feed.fresh()), asyncio.ensure_future(feed.fresh())
    await frozen.came.wait()
    goes.cancel()
    await asyncio.gather(goes, return_exceptions=True)
    assert await feed.fresh() is None
    assert await stays is None
    assert frozen.asked == 1
    assert "did not answer in time" in feed.away


async def test_who_watches_is_told_that_the_monitor_does_not_answer(frozen: Frozen) -> None:
    watched = Watched(endpoint(frozen), tls({"type": "plain"}), SHORT)
    watched.start()
    assert await asyncio.to_thread(watched.answered.wait, LIMIT)
    assert "did not answer in time" in watched.away
