"""The page of mmm_web, in a real Chromium where there is one: it shows what the monitor says, and when it does not."""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mmm.monitor.world.host import State
from tests.unit.test_web import Monitor, monitor, served
from tests.unit.worlds import NOW, READER1, READER2, READER3, WRITER, checks, with_host, world

__all__ = ["monitor"]
aiohttp = pytest.importorskip("aiohttp")
PAGE = Path(__file__).parents[2] / "mmm/web/page"
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")


def test_nothing_is_fetched_from_elsewhere_and_no_script_or_style_stands_in_the_page() -> None:
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for file in PAGE.iterdir():
        assert not re.search(
            r"(https?:)?//\w", re.sub(r"^\s*//.*", "", file.read_text(), flags=re.MULTILINE)
        ), file
    assert "innerHTML" not in (PAGE / "page.js").read_text(), "what servers say is text"


class Tab:
    """A tab of a headless Chromium, by its DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **given: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": given})
        while True:
            answer = await self._socket.receive_json()
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"]))
            if answer.get("id") == number:
                return answer["result"]

    async def value(self, expression: str) -> Any:
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until the expression is true in the page."""
        while not (found := await self.value(expression)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return found

    async def shows(self, text: str) -> None:
        await self.until(f"document.body.innerText.includes({json.dumps(text)})")

    async def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)


@contextlib.asynccontextmanager
async def opened(session: Any, folder: Path) -> AsyncIterator[Tab]:
    """Give a tab that shows the page."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        active = folder / "DevToolsActivePort"
        while not (active.exists() and active.read_text().count("\n")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        base = f"http://127.0.0.1:{active.read_text().split()[0]}"
        async with session.get(f"{base}/json/list") as answer:
            where = next(each for each in await answer.json() if each["type"] == "page")[
                "webSocketDebuggerUrl"
            ]
        async with session.ws_connect(where, max_msg_size=0) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Runtime", "Log"):
                await tab.call(f"{domain}.enable")
            await tab.call("Page.navigate", url=str(session._base_url))
            yield tab
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@needs_chromium
async def test_the_page_shows_the_cluster_a_failover_as_it_happens_and_that_the_monitor_is_away(
    monitor: Monitor, tmp_path: Path
) -> None:
    quiet = world({WRITER: "db1", READER1: "db1", READER2: "db2", READER3: "db3"})
    monitor.world = quiet
    async with served(monitor) as session, opened(session, tmp_path / "profile") as tab:
        await tab.shows("writer on db1 · 3 of 3 hosts ONLINE")
        nested = "[...document.querySelectorAll('#hosts .tree details')].map(box => box.dataset.host).join()"
        assert await tab.value(nested) == "db2,db3", "they replicate from db1"
        assert await tab.value("document.title") == "MMM OK: writer on db1"

        await tab.press("Tab", 9)
        assert await tab.value("document.activeElement.innerText.split('\\n')[0].startsWith('db1')"), (
            "by keyboard"
        )
        await tab.press("Enter", 13)
        await tab.until(
            "document.querySelector('details[data-host=db1]').open || document.activeElement.click()"
        )

        monitor.world = with_host(
            world({WRITER: "db2", READER2: "db2", READER3: "db3"}, {"db1": State.HARD_OFFLINE}),
            "db1", checks=checks(mysql=NOW),
        )  # fmt: skip
        monitor.moves()
        await tab.shows("writer(10.0.0.80): db1 -> db2, 30 ms")
        await tab.shows("writer on db2 · 2 of 3 hosts ONLINE")
        assert await tab.value("document.querySelector('details[data-host=db1]').open"), (
            "it stays as the reader left it"
        )
        assert await tab.value("document.activeElement.closest('details').dataset.host") == "db1"

        await tab.call(
            "Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True
        )
        assert await tab.value("document.documentElement.scrollWidth") <= 360, "nothing is cut off on a phone"
        light = await tab.value("getComputedStyle(document.body).backgroundColor")
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        await tab.call("Emulation.setEmulatedMedia", features=dark)
        assert await tab.value("getComputedStyle(document.body).backgroundColor") != light
        assert not tab.complaints, tab.complaints

        await monitor.stop()
        await tab.shows("As of ")
        await tab.shows("is mmm_mond running?")
        await tab.shows("writer on db2")
        await monitor.start()
        await tab.until("document.getElementById('away').hidden")
