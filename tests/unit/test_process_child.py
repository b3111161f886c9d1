"""Programs of the admin's: they have ended when their process has; neither what they leave nor print is waited for."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.monitor.act.kill_host import kill_host
from mmm.process import child
from mmm.process.child import Ran, run, run_beside
from tests.unit.worlds import cluster

LIMIT = 60.0
LEAVES = "sleep 600 & echo $! > {file}; echo done >&2; exit {status}"


def beside(program: list[str], limit: float) -> Ran:
    return asyncio.run(run_beside(program, limit))


BOTH = pytest.mark.parametrize("ran", [run, beside])


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """Give a file for the pid of a child that a program leaves behind; it is killed."""
    file = tmp_path / "left"
    yield file
    if file.exists() and runs(int(file.read_text())):
        os.kill(int(file.read_text()), signal.SIGKILL)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@BOTH
@pytest.mark.parametrize("status", [0, 3])
def test_a_program_has_ended_though_a_child_of_it_goes_on(
    ran: Callable[[list[str], float], Ran], status: int, left: Path
) -> None:
    assert ran(["sh", "-c", LEAVES.format(file=left, status=status)], LIMIT)[0] == status
    assert runs(int(left.read_text()))


@BOTH
def test_what_a_program_prints_is_kept_up_to_a_bound(ran: Callable[[list[str], float], Ran]) -> None:
    said = ran(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2"], LIMIT)
    assert said.status == 0
    assert 0 < len(said.said) <= child.KEPT


@BOTH
def test_a_program_that_prints_without_end_is_killed_at_its_limit(
    ran: Callable[[list[str], float], Ran],
) -> None:
    assert ran(["sh", "-c", "exec yes >&2"], 0.3).status is None


@BOTH
def test_a_program_that_does_not_end_is_killed_with_what_it_has_begun(
    ran: Callable[[list[str], float], Ran], left: Path
) -> None:
    limit = 0.5
    while not (left.exists() and left.read_text()):  # a busy machine may not have come so far
        assert ran(["sh", "-c", f"sleep 600 & echo $! > {left}; wait"], limit).status is None
        limit *= 2
    while runs(int(left.read_text())):  # it was killed, and ends once it gets to run
        os.sched_yield()


@BOTH
def test_one_that_closes_what_it_prints_into_goes_on(ran: Callable[[list[str], float], Ran]) -> None:
    assert ran(["sh", "-c", "exec 1>&- 2>&-; sleep 0.2; exit 4"], LIMIT).status == 4


@BOTH
def test_a_program_that_is_not_there_is_an_error(ran: Callable[[list[str], float], Ran]) -> None:
    with pytest.raises(FileNotFoundError):
        ran(["/nowhere/program"], LIMIT)


def test_a_host_counts_as_killed_once_the_program_that_did_it_has_ended(tmp_path: Path, left: Path) -> None:
    program = tmp_path / "monitor" / "kill_host"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{LEAVES.format(file=left, status=0)}\n")
    program.chmod(0o755)
    monitor = cluster().monitor
    assert monitor is not None
    assert asyncio.run(kill_host(replace(monitor, bin_path=str(tmp_path)), "db1", pings=False)) == ""
    assert runs(int(left.read_text()))


@BOTH
def test_what_a_program_has_left_behind_may_print_when_nobody_reads_any_more(
    ran: Callable[[list[str], float], Ran], tmp_path: Path
) -> None:
    go, printed = tmp_path / "go", tmp_path / "printed"
    os.mkfifo(go)
    os.mkfifo(printed)
    script = f"(read -r _ < {go}; echo off; echo off >&2; echo all > {printed}) & exit 0"
    assert ran(["sh", "-c", script], LIMIT).status == 0
    go.write_text("on\n")
    assert printed.read_text() == "all\n"
