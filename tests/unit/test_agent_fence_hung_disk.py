"""A fence, by the worker and by its angel, while the disk of the pid file hangs: nothing waits for that."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer
from unittest.mock import Mock

import pytest

from mmm.agent.act import fence as fence_module
from mmm.agent.act import lease_jobs
from mmm.agent.act.fence import fence
from mmm.agent.act.taken import Taken
from mmm.process import watchdog
from mmm.process.pidfile import Keeper
from mmm.process.watchdog import AGAIN, Ward
from tests.unit.agents import LENGTH, LIMIT, ROLE, conf, running
from tests.unit.test_agent_fence_kept import agent, dies


@contextmanager
def hangs(file: Path) -> Iterator[Event]:
    """Have whoever writes the file wait until the block ends, but not for longer than LIMIT: then the event is set."""
    os.mkfifo(file)
    over = Event()

    def release() -> None:
        over.set()
        # it stays open: who has not begun yet is not to wait for ever
        os.open(file, os.O_RDONLY | os.O_NONBLOCK)

    late = Timer(LIMIT, release)
    late.start()
    try:
        yield over
    finally:
        late.cancel()
        if not over.is_set() and file.exists():
            release()


async def test_a_worker_gives_up_what_it_holds_though_nothing_can_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote the note first: VIP and writes stayed here for as long as the disk hung."""
    async with running(tmp_path, monkeypatch, stands_still=True) as outer:
        denied, loop = asyncio.Event(), asyncio.get_running_loop()

        def deny(*_: object) -> str:
            loop.call_soon_threadsafe(denied.set)
            return ""

        monkeypatch.setattr(lease_jobs, "deny", deny)
        rig = agent(tmp_path, outer.machine)
        rig.agent._shell.watch(None)
        assert (await rig.order(ROLE)).ok
        with hangs(tmp_path / "a.pid.fence.new") as over:
            outer.machine.time.now += LENGTH
            assert await outer.machine.fenced()
            async with asyncio.timeout(LIMIT):
                await denied.wait()
            assert not over.is_set()
        await dies(rig)


def test_an_angel_gives_up_what_its_worker_holds_though_nothing_can_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = conf(tmp_path)
    here = replace(known.hosts["db1"], pid_path=f"{tmp_path}/a.pid", cluster_interface="lo")
    known = replace(known, hosts={**known.hosts, "db1": here})
    deny, take_away, search = Mock(return_value=""), Mock(return_value=0), Mock()
    monkeypatch.setattr(fence_module, "deny", deny)
    monkeypatch.setattr(fence_module, "take_away", take_away)
    monkeypatch.setattr(Taken, "forget_others", search)
    with hangs(tmp_path / "a.pid.fence.new") as over:
        assert fence(known)
        assert not over.is_set()
    deny.assert_called_once()
    take_away.assert_called_once()
    search.assert_not_called()  # it would hang


def test_an_angel_looks_after_its_worker_though_its_pid_file_cannot_be_written(tmp_path: Path) -> None:
    """It wrote the file itself, and looked at nothing else until that was done."""
    keeper = Keeper(tmp_path / "a.pid", 0.0)
    with hangs(tmp_path / "a.pid.new") as over:
        for _ in range(2):
            keeper.look()
        assert not over.is_set()
    assert keeper._thread is not None
    keeper._thread.join(LIMIT)
    assert not keeper._thread.is_alive()


def test_an_attempt_that_cannot_end_is_left_and_another_one_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The angel looked at it for ever, without a pause, and tried no more."""
    begun, killed = list[int](), list[int]()

    def fork() -> int:
        begun.append(len(begun) + 1)
        return begun[-1]

    monkeypatch.setattr(watchdog, "LIMIT", 0.0)
    monkeypatch.setattr(watchdog, "AGAIN", 0.0)
    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    monkeypatch.setattr(os, "waitpid", lambda *_: (0, 0))
    ward = Ward(lambda _: True)
    ward.set(0.0)
    for _ in range(4):
        ward.look()
    assert (begun, killed) == ([1, 2], [1, 2])
    monkeypatch.setattr(watchdog, "AGAIN", AGAIN)
    assert AGAIN < ward.wait() <= 3 * AGAIN


@pytest.mark.parametrize("well", [True, False])
def test_what_an_attempt_has_come_to_is_known_though_it_cannot_end(
    monkeypatch: pytest.MonkeyPatch, *, well: bool
) -> None:
    reader, writer = os.pipe()

    def hang() -> None:
        os.write(writer, b"1")
        signal.pause()

    monkeypatch.setattr(watchdog, "shut_down", hang)
    ward = Ward(lambda _: well)
    ward.set(0.0)
    ward.look()
    (pid,) = (ward._pid,)
    assert os.read(reader, 1)
    assert ward.wait() > 0
    ward.look()
    assert (ward.wait() > LIMIT) is well
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    ward.look()
    assert ward._stuck == []
    os.close(reader)
    os.close(writer)


def test_an_act_under_way_is_not_put_off_but_one_that_is_over_is(tmp_path: Path) -> None:
    """A worker that woke, and was frozen again while it gave the role up, had broken off the fence by that."""

    def act(due: Callable[[], bool]) -> bool:
        ward.put_off(1e9)
        return due()

    ward = Ward(act)
    ward.put_off(0.0)
    ward.look()
    os.waitid(os.P_PID, ward._pid, os.WEXITED | os.WNOWAIT)
    ward.look()
    assert ward.wait() > 1e9, "it has succeeded"
    ward.put_off(1e8)
    assert LIMIT < ward.wait() < 1e9
