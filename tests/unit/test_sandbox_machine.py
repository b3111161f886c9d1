"""A machine of the sandbox ends as at a power cut, whatever is at work in it."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.machines.processes import Process, end_holders

pytestmark = pytest.mark.netns

_CLONE_NEWPID = 0x20000000
_send_signal = signal.pidfd_send_signal


def booted(folder: Path) -> Machine:
    machine = Machine(folder.name, folder)
    machine.etc.mkdir(parents=True)
    machine.boot(())
    return machine


def child_in(machine: Machine) -> "subprocess.Popen[bytes]":
    """Return a child of the tests in a machine's pid namespace, which does not end before it has been asked after."""

    def start() -> "subprocess.Popen[bytes]":
        with Path(f"/proc/{machine.pid}/ns/pid").open() as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), _CLONE_NEWPID) == 0
        return subprocess.Popen(["sleep", "1000"])

    with ThreadPoolExecutor(1) as pool:  # what a thread starts from then on is in there
        return pool.submit(start).result()


def pid_namespace(unshare: "subprocess.Popen[bytes]") -> int:
    """Return the number of the namespace that it has made; 0: it has not yet."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{unshare.pid}/ns/pid_for_children").stat().st_ino
    return 0


def test_it_ends_though_a_tool_that_entered_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = booted(tmp_path / "db1")

    def until_it_ends(fd: int, number: int) -> None:
        pid = Path(f"/proc/self/fdinfo/{fd}").read_text().partition("\nPid:")[2].split()[0]
        _send_signal(fd, number)
        while Path(f"/proc/{pid}/ns/pid_for_children").exists():
            pass

    monkeypatch.setattr(signal, "pidfd_send_signal", until_it_ends)
    tool = subprocess.Popen(machine.enter(["sleep", "1000"]))
    try:
        while not (
            inside := [each for each in machine.processes() if each.runs("sleep") and each.parent == tool.pid]
        ):
            assert tool.poll() is None
        stopped = Process(tool.pid, tool.pid, os.getpid(), "S", ())
        assert stopped.freeze(10)
        machine.halt()
        assert tool.wait(10) == -signal.SIGKILL, "the tool is told that its program was killed"
        assert all(each.gone for each in inside)
    finally:
        tool.send_signal(signal.SIGCONT)
        tool.kill()
        tool.wait(10)


def test_they_end_though_others_have_got_the_number_of_a_pid_namespace_meanwhile(tmp_path: Path) -> None:
    early, late = booted(tmp_path / "db1"), booted(tmp_path / "db2")
    number = Path(f"/proc/{early.pid}/ns/pid").stat().st_ino
    child, first = child_in(late), os.pidfd_open(early.pid)
    others: list[subprocess.Popen[bytes]] = []
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end_holders, str(tmp_path))
        try:
            select.select([first], [], [])
            os.close(first)  # it keeps the number
            while number not in map(pid_namespace, others) and len(others) < 100:
                assert not ending.done(), "db2 cannot end yet"
                others.append(
                    subprocess.Popen(["unshare", "--fork", "--pid", "--kill-child=SIGKILL", "sleep", "1000"])
                )
            child.wait(10)
            assert ending.result(10)
        finally:
            for each in others:
                each.kill()
                each.wait(10)
