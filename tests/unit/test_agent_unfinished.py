"""A change that outlasts its agent: it grants nothing more, and holds up nothing that is done at the end."""

import asyncio
import logging
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act import ending, lease_jobs
from mmm.agent.act.agent import Agent
from mmm.agent.decide import lease_watch
from mmm.network.arp import Announcer
from mmm.process.service import Limits
from tests.unit.agents import LIMIT, READER, ROLE, Frames, Rig, conf, running


class Hung:
    """What a change waits for."""

    def __init__(self) -> None:
        self.begins, self.ends = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begins.set()
        self.ends.wait(LIMIT)

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.begins.wait, LIMIT)


def another(rig: Rig, folder: Path) -> Rig:
    """Return an agent beside that of the rig, which the test closes itself."""
    machine: Any = rig.machine
    frames: Any = Frames(machine)
    announcer, known = Announcer(frames), conf(folder)
    return Rig(Agent(known, machine, announcer), machine, announcer, known)


@pytest.mark.parametrize("where", ["catch_up", "allow"])
async def test_a_change_that_outlasts_the_reload_of_its_agent_allows_and_binds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """The next agent may have been told meanwhile that another host has the role: two were writable."""
    for limit in ("END_LIMIT", "LEAST"):
        monkeypatch.setattr(ending, limit, 0.01)
    async with running(tmp_path, monkeypatch) as rig:
        hung, own = Hung(), another(rig, tmp_path)
        step = getattr(own.machine, where)

        def slow(*args: Any) -> Any:
            hung()
            return step(*args)

        at = {"catch_up": "replication_steps.catch_up", "allow": "write_steps.allow_writes"}[where]
        monkeypatch.setattr(f"mmm.agent.act.{at}", slow)
        order = asyncio.create_task(own.order(ROLE, length=600))
        await hung.begun()
        await own.agent.close(for_good=False)
        assert [line for line in caplog.messages if "a change has not come to its end" in line]
        hung.ends.set()
        await asyncio.to_thread(own.agent._shell._changer.shutdown, wait=True)
        assert not own.machine.writable
        assert own.machine.addresses == set()
        order.cancel()
        with suppress(asyncio.CancelledError):
            await order


async def test_a_change_under_way_does_not_use_up_the_time_in_which_vips_are_left_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was waited for twice, and the angel killed the worker before the kernel was told."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(ending, "END_LIMIT", 0.5)
    monkeypatch.setattr(ending, "LEAST", 0.01)
    monkeypatch.setattr(lease_watch, "HEARTBEAT", -0.9)
    async with running(tmp_path, monkeypatch) as rig:
        hung, own = Hung(), another(rig, tmp_path)
        assert (await own.order(f"{ROLE},reader({READER})", length=600)).ok
        monkeypatch.setattr("mmm.agent.act.change.look", lambda *_: hung())
        own.agent._shell._core = replace(own.agent._shell.core, prepared=None)
        order = asyncio.create_task(own.order(f"{ROLE},reader({READER})", length=600))
        await hung.begun()
        own.machine.renewed.clear()
        async with asyncio.timeout(LIMIT):
            await own.agent.leave()
            await own.agent.close()
        assert not hung.ends.is_set()
        assert (READER, 0) in own.machine.renewed
        hung.ends.set()
        order.cancel()
        with suppress(asyncio.CancelledError):
            await order


def test_the_kernel_is_told_before_the_angel_kills_the_worker() -> None:
    assert Limits().stop > ending.END_LIMIT + ending.LEAST + lease_jobs.LEAVE_LIMIT
