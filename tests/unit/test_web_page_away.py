"""The page of mmm_web, in a real Chromium, where mmm_web is frozen or dead behind a tunnel, or nobody looks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mmm.control.connection import GLANCE, STATUS_LIMIT
from tests.browser import Tab, needs_chromium, opened
from tests.unit.test_web import Monitor, monitor, served

__all__ = ["monitor"]
aiohttp = pytest.importorskip("aiohttp")
HIDES = """
Object.defineProperty(document, "hidden", { value: %s, configurable: true });
document.dispatchEvent(new Event("visibilitychange"));
"""


class Tunnel:
    """Passes on what browser and mmm_web say; while it is closed it takes all and passes nothing on."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._open = asyncio.Event()
        self._open.set()
        self._following = 0
        self._changed = asyncio.Event()

    def close(self, *, closed: bool = True) -> None:
        """Pass nothing on from now on, or all again."""
        if closed:
            self._open.clear()
        else:
            self._open.set()

    async def followed_by(self, count: int) -> None:
        """Wait until so many connections follow the changes."""
        while self._following != count:
            self._changed.clear()
            await self._changed.wait()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a browser's connection until one side ends it."""
        there, here = await asyncio.open_connection("127.0.0.1", self._to)
        ways = [
            asyncio.ensure_future(self._pass(reader, here)),
            asyncio.ensure_future(self._pass(there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            follows = any(result is True for result in await asyncio.gather(*ways, return_exceptions=True))
            self._follow(-follows)
            for each in (here, writer):
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Return whether changes were followed over it."""
        follows = False
        with contextlib.suppress(asyncio.CancelledError, OSError):
            said = b"-"
            while said:
                said = await reader.read(65536)
                await self._open.wait()  # an end is not passed on either
                if b"GET /api/follow " in said and not follows:
                    follows = True
                    self._follow(1)
                writer.write(said)
        return follows

    def _follow(self, change: int) -> None:
        self._following += change
        self._changed.set()


@contextlib.asynccontextmanager
async def tunnelled(session: Any) -> AsyncIterator[tuple[Tunnel, Any]]:
    """Give a tunnel to mmm_web, and a session through it."""
    tunnel = Tunnel(int(str(session._base_url).rstrip("/").rpartition(":")[2]))
    server = await asyncio.start_server(tunnel.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as through:
        yield tunnel, through
    server.close()


@contextlib.asynccontextmanager
async def seen_through_a_tunnel(monitor: Monitor, folder: Path) -> AsyncIterator[tuple[Tunnel, Tab]]:
    """Have the page of the monitor looked at by a browser that reaches mmm_web through a tunnel."""
    async with (
        served(monitor) as session,
        tunnelled(session) as (tunnel, through),
        opened(through, folder / "profile") as tab,
    ):
        yield tunnel, tab


@needs_chromium
async def test_it_says_so_when_mmm_web_takes_its_questions_and_answers_none(
    monitor: Monitor, tmp_path: Path
) -> None:
    async with seen_through_a_tunnel(monitor, tmp_path) as (tunnel, tab):
        await tab.shows("writer on db1")
        assert await tab.value("LIMIT") > 1000 * (GLANCE + STATUS_LIMIT), "mmm_web is waited for"
        tunnel.close()
        await tab.shows("mmm_web does not answer.")
        await tab.shows("As of ")
        await tab.shows("writer on db1")
        tunnel.close(closed=False)
        await tab.until("document.getElementById('away').hidden")


@needs_chromium
async def test_a_tab_that_nobody_sees_follows_nothing_and_is_up_to_date_when_it_is_looked_at(
    monitor: Monitor, tmp_path: Path
) -> None:
    async with seen_through_a_tunnel(monitor, tmp_path) as (tunnel, tab):
        await tab.shows("writer on db1")
        await tunnel.followed_by(1)
        await tab.value(HIDES % "true")
        await tunnel.followed_by(0)
        monitor.moves()
        await tab.value(HIDES % "false")
        await tunnel.followed_by(1)
        await tab.shows("writer(10.0.0.80): db1 -> db2, 30 ms")
        assert not tab.complaints, tab.complaints
