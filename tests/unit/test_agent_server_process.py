"""Whose end is told as the server's: a child process that listens stands for the server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act.server_kill import kill_server
from mmm.agent.act.server_process import NotWatchedError, ServerProcess, Told
from mmm.agent.act.step_error import StepError
from mmm.config.model import Host
from mmm.process import socket_owner
from tests.ports import kept_port

LIMIT = 30.0
_LISTENS = """
import os, socket, sys
listening = socket.socket(fileno=int(sys.argv[1]))
if sys.argv[2:]:
    listening.set_inheritable(True)
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "60"])
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def server(port: int = 0, *words: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run a process that listens on 127.0.0.1; gives it and its port. Others that have its socket end with it."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen()
        port = made.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", _LISTENS, str(made.fileno()), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[made.fileno()], start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    try:
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(LIMIT)
        assert process.stdin is not None
        process.stdin.close()
        process.stdout.close()


@asynccontextmanager
async def watching(port: int, pid_file: Path, hold: float = LIMIT) -> AsyncIterator[ServerProcess]:
    host = Host("db1", "127.0.0.1", "master", mysql_port=port, mysql_pidfile=str(pid_file))
    watch = ServerProcess(host, hold)
    watch._waiting = Waiting()  # type: ignore[assignment]
    try:
        async with asyncio.timeout(LIMIT):
            yield watch
    finally:
        watch.close()


class Waiting(dict[str, Any]):
    """Who waits, with a word for the test that one more does."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def __setitem__(self, who: str, answer: Any) -> None:
        super().__setitem__(who, answer)
        self.more.set()


def held_processes() -> int:
    """Return how many processes this one holds by a descriptor; whatever else is open, other tests may have left."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += link.readlink().name.startswith("anon_inode:[pidfd]")
    return found


async def asked(watch: ServerProcess, who: str = "monitor") -> "asyncio.Task[Told]":
    """Return the question once it waits."""
    waiting = watch._waiting
    assert isinstance(waiting, Waiting)
    waiting.more.clear()
    question = asyncio.create_task(watch.told(who))
    await waiting.more.wait()
    return question


STRANGER = str(os.getpid())


@pytest.mark.parametrize(
    "content",
    ["right", None, STRANGER, "", "garbage", "-1", "0", "9" * 30, "\x00\xff", "directory"],
    ids=["right", "missing", "stranger", "empty", "garbage", "-1", "0", "huge", "binary", "directory"],
)
async def test_the_end_of_who_listens_is_told_whatever_the_pid_file_says(
    tmp_path: Path, content: str | None
) -> None:
    pid_file = tmp_path / "mysqld.pid"
    with server() as (process, port):
        if content == "directory":
            pid_file.mkdir()
        elif content is not None:
            pid_file.write_text(f"{process.pid}\n" if content == "right" else content, "latin-1")
        async with watching(port, pid_file) as watch:
            question = await asked(watch)
            assert not question.done()
            process.kill()
            assert await question == Told(process.pid, ended=True)


async def test_a_strangers_end_is_not_the_servers(tmp_path: Path) -> None:
    pid_file = tmp_path / "mysqld.pid"
    with server() as (stranger, _), server() as (process, port):
        pid_file.write_text(f"{stranger.pid}\n")
        async with watching(port, pid_file, hold=0.2) as watch:
            question = await asked(watch)
            stranger.kill()
            stranger.wait(LIMIT)
            assert await question == Told(process.pid, ended=False)


async def test_a_pid_that_becomes_anothers_just_now_is_not_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has, looks = socket_owner._has, [True, False]
    monkeypatch.setattr(socket_owner, "_has", lambda pid, links: has(pid, links) and looks.pop(0))
    with server() as (process, port):
        pid_file = tmp_path / "mysqld.pid"
        pid_file.write_text(str(process.pid))
        before = held_processes()
        async with watching(port, pid_file) as watch:
            with pytest.raises(NotWatchedError, match=f"process {process.pid} has just ended"):
                await watch.told("monitor")
        assert held_processes() == before


async def test_where_several_have_the_socket_the_pid_file_says_who_is_the_server(tmp_path: Path) -> None:
    pid_file = tmp_path / "mysqld.pid"
    with server(0, "and a child") as (process, port):
        async with watching(port, pid_file) as watch:
            with pytest.raises(NotWatchedError, match="correct mysql_pidfile"):
                await watch.told("monitor")
            pid_file.write_text(str(process.pid))
            question = await asked(watch)
            process.kill()
            assert await question == Told(process.pid, ended=True)  # though the port is open still


async def test_of_two_servers_on_a_host_each_port_has_its_own(tmp_path: Path) -> None:
    with server() as (one, first), server() as (other, second):
        nowhere = tmp_path / "none"
        async with watching(first, nowhere) as watch, watching(second, nowhere) as watch2:
            questions = await asked(watch), await asked(watch2)
            one.kill()
            assert await questions[0] == Told(one.pid, ended=True)
            other.kill()
            assert await questions[1] == Told(other.pid, ended=True)


async def test_nobody_is_watched_where_nobody_listens(tmp_path: Path) -> None:
    with kept_port() as port:
        async with watching(port, tmp_path / "none") as watch:
            with pytest.raises(NotWatchedError, match=f"nothing listens at 127.0.0.1:{port}"):
                await watch.told("monitor")


async def test_an_end_that_nobody_was_waiting_for_is_told_to_who_asks_next_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = asyncio.Event()
    with server() as (process, port):
        async with watching(port, tmp_path / "none", hold=0.01) as watch:
            assert await watch.told("monitor") == Told(process.pid, ended=False)
            let_go = watch._let_go

            def notice() -> None:
                let_go()
                asyncio.get_running_loop().call_soon(noticed.set)

            monkeypatch.setattr(watch, "_let_go", notice)
            process.kill()
            await noticed.wait()
            assert await watch.told("monitor") == Told(process.pid, ended=True)
            with pytest.raises(NotWatchedError):
                await watch.told("monitor")


async def test_a_server_that_was_started_again_is_watched_anew(tmp_path: Path) -> None:
    with kept_port() as kept, server(kept) as (process, port):
        async with watching(port, tmp_path / "none") as watch:
            question = await asked(watch)
            process.kill()
            await question
            with server(port) as (again, _):
                question = await asked(watch)
                again.kill()
                assert await question == Told(again.pid, ended=True)


async def test_a_client_has_one_question_open_and_all_are_told(tmp_path: Path) -> None:
    with server() as (process, port):
        async with watching(port, tmp_path / "none") as watch:
            first, other = await asked(watch), await asked(watch, "another")
            second = await asked(watch)
            assert await first == Told(process.pid, ended=False)
            process.kill()
            assert await second == await other == Told(process.pid, ended=True)


async def test_who_waits_is_answered_when_the_agent_ends(tmp_path: Path) -> None:
    with server() as (process, port):
        async with watching(port, tmp_path / "none") as watch:
            question = await asked(watch)
            watch.close()
            assert await question == Told(process.pid, ended=False)


async def test_what_is_found_after_the_agent_has_ended_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as (_, port):
        before = held_processes()
        async with watching(port, tmp_path / "none") as watch:
            found, looks, goes_on = watch._found, threading.Event(), threading.Event()

            def slow(known: Any) -> Any:
                looks.set()
                goes_on.wait(LIMIT)
                return found(known)

            monkeypatch.setattr(watch, "_found", slow)
            question = asyncio.create_task(watch.told("monitor"))
            await asyncio.to_thread(looks.wait, LIMIT)
            watch.close()
            goes_on.set()
            with pytest.raises(NotWatchedError, match="watches no more"):
                await question
            assert held_processes() == before


def test_who_listens_is_killed_though_it_is_frozen_and_nobody_else(tmp_path: Path) -> None:
    pid_file = tmp_path / "mysqld.pid"
    with server() as (stranger, _), server() as (process, port):
        pid_file.write_text(f"{stranger.pid}\n")
        process.send_signal(signal.SIGSTOP)
        host = Host("db1", "127.0.0.1", "master", mysql_port=port, mysql_pidfile=str(pid_file))
        assert f"process {process.pid} " in kill_server(host)
        assert process.wait(LIMIT) == -signal.SIGKILL
        assert stranger.poll() is None
        assert kill_server(host) == "nothing listens any more"


def test_where_several_listen_and_none_is_named_nobody_is_killed(tmp_path: Path) -> None:
    with server(0, "twice") as (process, port):
        host = Host("db1", "127.0.0.1", "master", mysql_port=port, mysql_pidfile=str(tmp_path / "none"))
        with pytest.raises(StepError, match="correct mysql_pidfile"):
            kill_server(host)
        assert process.poll() is None
