"""What waits to be told: another conf, and another start of the monitor, lose nothing of it; what is lost is said."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.config.model import Notify
from mmm.monitor.act.informing import Informing
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.notifying import Telling
from mmm.monitor.act.told import Told, decoded, encoded
from mmm.monitor.report.clock import Clock
from mmm.wire.follow import Position
from tests.unit.test_monitor_notifying import Hook, chronicle, got, hook, logged, said, telling, until
from tests.unit.worlds import CLOCK, cluster, world

__all__ = ["chronicle", "hook"]
LIMIT = 60.0
LATE = 3000.0
"""Seconds that a section waits: for ever here."""


@contextlib.asynccontextmanager
async def running(
    chronicle: Chronicle,
    folder: Path,
    *sections: Notify,
    clock: Clock = CLOCK,
    leads: Callable[[], bool | None] = lambda: True,
) -> AsyncIterator[Telling]:
    """Give what tells the sections of a monitor, which is stopped afterwards."""
    tasks: set[asyncio.Task[None]] = set()

    def start(work: object) -> "asyncio.Task[None]":
        assert asyncio.iscoroutine(work)
        task = asyncio.ensure_future(work)
        tasks.add(task)
        return task

    made = Telling(chronicle, clock, start, folder / "told", leads)
    take(made, *sections)
    try:
        async with asyncio.timeout(LIMIT):
            yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def take(telling: Telling, *sections: Notify) -> None:
    telling.by(replace(cluster(), notify={section.name: section for section in sections}))


async def told_up_to(folder: Path, **positions: Position) -> None:
    """Wait until the file says that the sections have been told so far."""
    path = folder / "told"
    await until(lambda: path.exists() and decoded(path.read_text()) == positions)


async def hosts(hook: Hook, count: int = 1) -> list[str]:
    """Return the hosts of the next events."""
    found: list[str] = []
    while len(found) < count:
        found += [event["event"]["fields"]["host"] for event in (await got(hook.received))["events"]]
    return found


def that_waits(folder: Path) -> tuple[Path, Path, str]:
    """Return what is there once a command has begun, what it waits to be written to, and the words of the command."""
    begun, says = folder / "begun", folder / "says"
    os.mkfifo(says)
    return begun, says, f"/bin/sh -c 'touch {begun}; cat {says} >> {folder}/out'"


async def test_another_conf_loses_nothing_that_waits(
    chronicle: Chronicle, tmp_path: Path, hook: Hook
) -> None:
    waits = Notify("chat", webhook="http://127.0.0.1:9/", after=LATE)
    async with running(chronicle, tmp_path, waits) as told:
        await told_up_to(tmp_path, chat=Position(0, 0))
        chronicle.noted(said(1))
        take(told, waits, Notify("other", webhook="http://127.0.0.1:9/", after=LATE))
        take(told, Notify("chat", webhook=hook.url))
        assert await hosts(hook) == ["db1"]
        chronicle.noted(said(2))
        assert await hosts(hook) == ["db2"], "and what was told is not told again"


async def test_what_is_under_way_when_another_conf_comes_is_told_once(
    chronicle: Chronicle, tmp_path: Path, hook: Hook
) -> None:
    begun, says, slow = that_waits(tmp_path)
    async with running(chronicle, tmp_path, Notify("run", command=slow, timeout=LIMIT)) as told:
        await told_up_to(tmp_path, run=Position(0, 0))
        chronicle.noted(said(1))
        await until(begun.exists)
        take(told, Notify("run", webhook=hook.url))
        await asyncio.to_thread(says.write_text, "one\n")
        await told_up_to(tmp_path, run=chronicle.newest)
        chronicle.noted(said(2))
        assert await hosts(hook) == ["db2"]
    assert (tmp_path / "out").read_text() == "one\n"


async def test_a_monitor_that_is_started_again_tells_what_was_not_told_and_nothing_twice(
    chronicle: Chronicle, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Notify("chat", webhook=hook.url)
    chronicle.noted(said(0))
    async with running(chronicle, tmp_path, chat) as told:
        await told_up_to(tmp_path, chat=chronicle.newest)
        chronicle.noted(said(1))
        assert await hosts(hook) == ["db1"]
        take(told, replace(chat, after=LATE))
        await told_up_to(tmp_path, chat=(first := chronicle.newest))
        for number in (2, 3):
            chronicle.noted(said(number))
        await asyncio.sleep(0)
    assert "notify chat: ends, 2 changes not told yet, the first: db2: its rejoin" in caplog.text
    assert decoded((tmp_path / "told").read_text()) == {"chat": first}
    again = Chronicle(tmp_path / "history", CLOCK)
    again.noted(said(4))
    async with running(again, tmp_path, chat):
        assert await hosts(hook, 3) == ["db2", "db3", "db4"]
        await told_up_to(tmp_path, chat=again.newest)


@pytest.mark.parametrize("place", [1, 2, 3])
async def test_a_monitor_that_comes_to_lead_tells_what_the_one_before_had_not(
    chronicle: Chronicle, tmp_path: Path, hook: Hook, place: int
) -> None:
    before = Chronicle(tmp_path / "before", CLOCK)
    for number in (1, 2, 3):
        before.noted(said(number))
    async with running(chronicle, tmp_path, Notify("chat", webhook=hook.url)):
        await told_up_to(tmp_path, chat=Position(0, 0))
        chronicle.noted(said(8))
        assert await hosts(hook) == ["db8"], "what happens while it stands by"
        chronicle.go_on(before.entries, {"chat": before.entries[place - 1].position})
        chronicle.noted(said(9))
        left = [f"db{number}" for number in range(place + 1, 4)]
        assert await hosts(hook, len(left) + 1) == [*left, "db9"]
        await told_up_to(tmp_path, chat=chronicle.newest)


async def test_what_happened_more_than_an_hour_before_the_start_is_not_told_and_that_is_said(
    tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(lambda moment: moment + 1_000_000.0, CLOCK.local)
    chronicle = Chronicle(tmp_path / "history", clock)
    (tmp_path / "told").write_text(encoded({"chat": Position(0, 0)}))
    for number, ago in ((1, 4000.0), (2, 3700.0), (3, 3000.0)):
        chronicle.noted(said(number))
        last = replace(chronicle.entries[-1], at=clock.wall(time.monotonic()) - ago)
        chronicle.entries = (*chronicle.entries[:-1], last)
    async with running(chronicle, tmp_path, Notify("chat", webhook=hook.url), clock=clock):
        assert await hosts(hook) == ["db3"]
    assert "notify chat: more than an hour ago, 2 changes not told, the first: db1: its rejoin" in caplog.text


async def test_what_happens_is_told_however_old_it_is_when_a_section_gets_to_it(
    tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    """Its receiver hung all night."""
    clock = Clock(lambda moment: moment + 1_000_000.0, CLOCK.local)
    chronicle = Chronicle(tmp_path / "history", clock)
    async with running(chronicle, tmp_path, Notify("chat", webhook=hook.url), clock=clock):
        await told_up_to(tmp_path, chat=Position(0, 0))
        chronicle.noted(said(1))
        last = replace(chronicle.entries[-1], at=clock.wall(time.monotonic()) - 20_000.0)
        chronicle.entries = (*chronicle.entries[:-1], last)
        assert await hosts(hook) == ["db1"]
    assert "more than an hour ago" not in caplog.text


async def test_a_section_of_the_same_name_begins_anew_after_a_start_without_any(
    chronicle: Chronicle, tmp_path: Path
) -> None:
    """It went from the conf while the monitor was stopped, and comes back with a reload."""
    chat, one = Notify("chat", webhook="http://127.0.0.1:9/", after=LATE), cluster()
    assert one.monitor is not None
    conf = replace(one, monitor=replace(one.monitor, status_path=str(tmp_path / "status")))
    path, now, tasks = tmp_path / "status.told", [replace(world(), conf=conf)], set[asyncio.Task[None]]()

    def start(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        tasks.add(task := asyncio.ensure_future(work))
        return task

    path.write_text(encoded({"chat": Position(0, 0)}))
    chronicle.noted(said(1))
    informing = Informing(lambda: now[-1], chronicle, CLOCK, start)
    informing.begin()
    assert not path.exists()
    now.append(replace(now[0], conf=replace(conf, notify={"chat": chat})))
    informing.go_by_conf()
    async with asyncio.timeout(LIMIT):
        await until(lambda: path.exists() and decoded(path.read_text()) == {"chat": chronicle.newest})
    assert informing.told() == {"chat": chronicle.newest}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_section_that_is_taken_from_the_conf_says_what_waited_and_begins_anew_when_it_comes_back(
    chronicle: Chronicle, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Notify("chat", webhook=hook.url)
    async with running(chronicle, tmp_path, replace(chat, after=LATE)) as told:
        await told_up_to(tmp_path, chat=Position(0, 0))
        chronicle.noted(said(1))
        await asyncio.sleep(0)
        take(told)
        await logged(caplog, "notify chat: ends, 1 change not told yet")
        await told_up_to(tmp_path)
        take(told, chat)
        await told_up_to(tmp_path, chat=chronicle.newest)
        chronicle.noted(said(2))
        assert await hosts(hook) == ["db2"]


async def test_what_ends_by_an_internal_error_holds_up_nothing(
    chronicle: Chronicle, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    async with telling(chronicle, Notify("chat", webhook=hook.url), told=told):
        await asyncio.sleep(0)
        monkeypatch.setattr("mmm.monitor.act.notifying.deliver", _fails)
        chronicle.noted(said(1))
        await until(lambda: told.positions.get("chat") == chronicle.newest)


async def _fails(*_: object) -> str:
    raise LookupError("an internal error")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"chat": "soon"}', '{"chat": null}'])
def test_a_file_that_says_nothing(text: str) -> None:
    assert decoded(text) == {}
