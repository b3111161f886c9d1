"""A tab of Debian's headless Chromium, driven by its DevTools protocol, and axe's look at what is in it."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import axe_core_python  # type: ignore[import-untyped]
import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
LIMIT = 60.0
"""Longest wait for anything, in seconds: far above what a loaded machine needs."""
PHONE = (390, 844)


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
        """Wait until the expression is true in the page, and return it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIMIT):
                while not (found := await self.value(expression)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                return found
        shown = await self.value("document.body.innerText")
        raise AssertionError(f"not within {LIMIT:g} s: {expression}, but\n{shown}")

    async def shows(self, text: str) -> None:
        await self.until(f"document.body.innerText.includes({json.dumps(text)})")

    async def sized(self, width: int, height: int, *, mobile: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip

    async def dark(self, *, on: bool = True) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self) -> bytes:
        """Return what is to be seen, as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    async def barriers(self) -> list[str]:
        """Return what axe finds that keeps people out, in the words of its rules."""
        await self.call("Runtime.evaluate", expression=AXE)
        asked = "axe.run().then(found => found.violations.map(each => `${each.id}: ${each.nodes[0].html}`))"
        told = await self.call("Runtime.evaluate", expression=asked, awaitPromise=True, returnByValue=True)
        return list(told["result"]["value"])

    async def click(self, selector: str) -> None:
        """Click on the middle of the first element that there is."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = await self.value(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({box})")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)


@contextlib.asynccontextmanager
async def opened(session: Any, folder: Path) -> AsyncIterator[Tab]:
    """Give a tab that shows the page that an aiohttp session is for."""
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
