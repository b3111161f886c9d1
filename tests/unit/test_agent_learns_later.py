"""An agent of MMM 1.x that learns a VIP makes room for the next agent: not while that would break something off."""

import asyncio
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act.agent import Agent
from mmm.agent.act.rejoin_order import RejoinOrder
from mmm.config.model import Cluster
from mmm.network.arp import Announcer
from mmm.wire.rejoin import Came
from tests.unit.agents import LIMIT, MONITOR, ROLE, Frames, Machine, at_work, conf, running

NEW = "reader(10.88.0.97)"
ORDER = f"SET_STATUS|1|db1|ONLINE||db2|VIPS:{ROLE},{NEW}".encode()
FETCHER = MONITOR._replace(ip="10.88.0.2", port=900)


class Old:
    """An agent that learns, and what it has learned."""

    def __init__(self, folder: Path) -> None:
        self.learned: asyncio.Queue[Cluster] = asyncio.Queue()
        machine: Any = Machine()
        frames: Any = Frames(machine)
        self.announcer = Announcer(frames)
        by = replace(conf(folder, 0.0), roles_by_order=True, transfer="plain", allow_rebuild=True)
        self.agent = Agent(by, machine, self.announcer, learn=self.learn)

    def learn(self, by: Cluster) -> bool:
        self.learned.put_nowait(by)
        return True

    async def ask(self, line: bytes) -> bytes:
        async with asyncio.timeout(LIMIT):
            return await self.agent.answer(line, FETCHER)

    async def learns(self) -> None:
        """Have the order come again; nobody answers it but the agent that follows."""
        again = asyncio.create_task(self.agent.answer(ORDER, MONITOR))
        async with asyncio.timeout(LIMIT):
            assert NEW in map(str, (await self.learned.get()).vips)
        assert not again.done()
        again.cancel()


async def test_a_copy_that_is_announced_or_sent_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next agent has no copy: the one that was sent was killed, and the rebuild failed after hours."""
    caplog.set_level(logging.INFO)
    async with running(tmp_path, monkeypatch):
        old = Old(tmp_path)
        async with at_work(old.agent, old.announcer):
            announced = await old.ask(b"STREAM|1|db1|mariadb-backup|job1|900")
            assert announced.startswith(b"OK: Your next connection"), announced
            for _ in range(3):
                assert (await old.ask(ORDER)).startswith(b"OK: Status applied")
            assert old.learned.empty()
            said = [line for line in caplog.messages if line.startswith("not learned yet")]
            assert len(said) == 1
            assert NEW in said[0]
            assert "a copy of this host's data is being sent to 10.88.0.2" in said[0]
            monkeypatch.setattr(old.agent.streams, "_awaited", None)  # it has come to nothing
            await old.learns()


async def test_an_ordered_rebuild_begins_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered yet is asked of the next agent again: `mmm_rejoin` was started twice."""
    begins, answers = threading.Event(), threading.Event()

    def slow(*_: object) -> Came:
        begins.set()
        answers.wait(LIMIT)
        return Came(begun=True, lines=())

    monkeypatch.setattr(RejoinOrder, "_start", slow)
    async with running(tmp_path, monkeypatch):
        old = Old(tmp_path)
        async with at_work(old.agent, old.announcer):
            rebuilt = asyncio.create_task(old.agent.answer(b"REJOIN|1|db1|FROM:db2", MONITOR))
            assert await asyncio.to_thread(begins.wait, LIMIT)
            assert (await old.ask(ORDER)).startswith(b"OK: Status applied")
            assert old.learned.empty()
            answers.set()
            assert (await rebuilt).startswith(b"OK: Begun!")
            await old.learns()
