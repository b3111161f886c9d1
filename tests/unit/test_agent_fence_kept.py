"""Writes that were to be denied at the end of a lease, and could not: whoever is started next goes on with it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act import fence as fence_module
from mmm.agent.act import fence_note, promise_file
from mmm.agent.act.agent import Agent
from mmm.agent.act.fence import fence
from mmm.agent.act.fence_note import FenceNote
from mmm.config.model import Cluster
from mmm.network.arp import Announcer
from tests.unit.agents import (
    GIVEN_UP,
    LENGTH,
    LIMIT,
    ROLE,
    WRITER,
    Frames,
    Machine,
    Rig,
    at_work,
    conf,
    running,
)


def note(folder: Path) -> Path:
    return folder / "a.pid.fence"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is, the note is awaited where it is to be there first."""
    monkeypatch.setattr(fence_note, "SETTLE", LIMIT)


def kept(folder: Path) -> FenceNote:
    return FenceNote(f"{folder}/a.pid")


async def is_noted(rig: Rig) -> bool:
    """Tell what is noted once all is."""
    ours = rig.agent._shell._memory.fence
    await asyncio.to_thread(ours.settle)
    return ours.is_there()


def agent(folder: Path, machine: Machine, length: float = LENGTH) -> Rig:
    """Return one that keeps what its successor is to know."""
    known = conf(folder, length)
    here = replace(known.hosts["db1"], pid_path=f"{folder}/a.pid")
    known = replace(known, hosts={**known.hosts, "db1": here})
    network: Any = machine
    frames: Any = Frames(machine)
    announcer = Announcer(frames)
    return Rig(Agent(known, network, announcer), machine, announcer, known)


async def dies(rig: Rig) -> None:
    """End the agent with no word to anybody, as far as that is possible in one process."""
    shell = rig.agent._shell
    shell._watching = False
    for task in (*shell._tasks,):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await rig.announcer.close()


class Server:
    """One that cannot be made read_only at first."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.hangs, self.asked = machine, True, asyncio.Event()
        self.fails = 0
        self.loop = asyncio.get_running_loop()

    def deny(self, *_: object) -> str:
        self.loop.call_soon_threadsafe(self.asked.set)
        if self.fails:
            self.fails -= 1
            return "Too many connections"
        if self.hangs:
            return "no answer within 1 s"
        return self.machine.fence()


async def test_an_agent_that_is_started_again_denies_what_the_one_before_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knew nothing of it: the server that hung at the end of the lease was writable when it woke."""
    async with running(tmp_path, monkeypatch, stands_still=True) as outer:
        server = Server(outer.machine)
        monkeypatch.setattr("mmm.agent.act.lease_jobs.deny", server.deny)
        first = agent(tmp_path, outer.machine)
        first.agent._shell.watch(None)
        assert (await first.order(ROLE)).ok
        assert not await is_noted(first)
        outer.machine.time.now += LENGTH
        async with asyncio.timeout(LIMIT):
            await server.asked.wait()
        assert await is_noted(first)
        await dies(first)
        assert outer.machine.writable
        server.hangs = False
        second, noted = agent(tmp_path, outer.machine), asyncio.Event()
        monkeypatch.setattr(second.agent._shell._memory.fence, "keep", lambda **_: noted.set())
        async with at_work(second.agent, second.announcer), asyncio.timeout(LIMIT):
            await noted.wait()
            assert second.agent._shell.core.watch.is_fenced
        assert not outer.machine.writable


@pytest.mark.parametrize(("problem", "leaves"), [("", False), ("no answer within 1 s", True), (None, True)])
def test_what_the_angel_could_not_deny_is_on_record_from_before_it_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str | None, *, leaves: bool
) -> None:
    """It took the note for its own where it had denied nothing, as its worker lived: that one had just written it."""
    known = conf(tmp_path)
    here = replace(known.hosts["db1"], pid_path=f"{tmp_path}/a.pid", cluster_interface="lo")
    known = replace(known, hosts={**known.hosts, "db1": here})

    def deny(_session: object, _conf: Cluster, _due: object) -> str | None:
        assert kept(tmp_path).is_there()
        return problem

    monkeypatch.setattr(fence_module, "deny", deny)
    monkeypatch.setattr(fence_module, "take_away", lambda *_: 0)
    assert fence(known) is not bool(problem)
    assert note(tmp_path).exists() is leaves


@pytest.mark.parametrize(
    ("length", "left", "boot", "denies"),
    [(1.0, 0.0, "", 1), (1.0, 600.0, "", 0), (0.0, 0.0, "", 0), (1.0, 0.0, "another", 0)],
)
async def test_a_record_of_the_past_takes_no_role_that_is_held_none_without_leases_and_none_after_a_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: float, left: float, boot: str, denies: int
) -> None:
    note(tmp_path).write_text(f"read_only {boot or promise_file.boot()}\n")
    async with running(tmp_path, monkeypatch) as outer:
        outer.machine.addresses |= {WRITER} if left else set()
        monkeypatch.setattr(outer.machine, "left", lambda _: left)
        started = agent(tmp_path, outer.machine, length)
        await started.agent.know_lease()
        assert started.agent._shell.core.watch.is_fenced is not bool(denies)
        await dies(started)


async def test_what_the_angel_has_noted_is_void_once_the_role_is_given_by_an_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed where the fence was broken off: whoever was started next denied writes that were granted anew."""
    async with running(tmp_path, monkeypatch, stands_still=True) as outer:
        rig = agent(tmp_path, outer.machine, 60.0)
        angel = kept(tmp_path)
        angel.keep(fenced=False)
        angel.settle()
        assert await is_noted(rig)
        assert (await rig.order("", 60)).ok
        assert await is_noted(rig)
        assert (await rig.order(ROLE, 60)).ok
        assert not await is_noted(rig)
        await dies(rig)


async def test_a_server_that_refuses_just_before_the_end_of_the_lease_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken to be done: the role went to another host, and this one stayed writable."""
    async with running(tmp_path, monkeypatch, stands_still=True) as outer:
        server = Server(outer.machine)
        server.hangs, server.fails = False, 2
        denied = asyncio.Event()
        monkeypatch.setattr("mmm.agent.act.lease_jobs.deny", server.deny)
        monkeypatch.setattr(
            outer.machine, "fence", lambda: server.loop.call_soon_threadsafe(denied.set) and ""
        )
        rig = agent(tmp_path, outer.machine)
        rig.agent._shell.watch(None)
        assert (await rig.order(ROLE)).ok
        outer.machine.time.now += GIVEN_UP
        async with asyncio.timeout(LIMIT):
            await denied.wait()
        await dies(rig)
