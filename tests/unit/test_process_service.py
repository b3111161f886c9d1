"""Daemons as real processes: angel, worker, pid file, lock, signals, and what the starter is told."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmm.process.pidfile import lock_name

PROGRAM = Path(__file__).with_name("daemon_program.py")
LIMIT = 30


class Daemons:
    """Starts test daemons in one folder and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid_path = folder / "mmm_testd.pid"
        self.log_path = folder / "log" / "mmm_testd.log"
        os.mkfifo(folder / "events")
        self._events = os.open(folder / "events", os.O_RDWR)
        self._seen: dict[int, int] = {}

    def command(self, behaviour: str, *options: str) -> list[str]:
        return [sys.executable, str(PROGRAM), str(self.folder), behaviour, *options]

    def start(self, behaviour: str, *options: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(behaviour, *options), capture_output=True, text=True, timeout=LIMIT, check=False
        )
        self.watch(self.running)
        return done

    @property
    def angel(self) -> int:
        """The pid of what runs; a signal to 0 would go to the tests themselves."""
        pid = self.running
        assert pid, f"{self.pid_path} is not there"
        return pid

    @property
    def running(self) -> int:
        """The pid of what runs, 0 where nothing does."""
        with suppress(FileNotFoundError):
            return int(self.pid_path.read_text())
        return 0

    def event(self) -> int:
        ready, _, _ = select.select([self._events], [], [], LIMIT)
        assert ready, "nothing happened in time"
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._events, 1)
        return int(line)

    def worker(self) -> int:
        pid = self.event()
        self.watch(pid)
        return pid

    def watch(self, pid: int) -> None:
        if pid and pid not in self._seen:
            with suppress(ProcessLookupError):
                self._seen[pid] = os.pidfd_open(pid)

    def await_end(self, pid: int) -> None:
        self.watch(pid)
        if pid in self._seen:
            ready, _, _ = select.select([self._seen[pid]], [], [], LIMIT)
            assert ready, f"process {pid} did not end in time"

    def await_over(self) -> None:
        """Wait for the end of what ends by itself: its pid file may be gone before anybody has read it."""
        self.wait_logged(" INFO mmm_testd stopped")
        self.await_end(self.running)

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_logged(self, text: str) -> None:
        """Wait until the log has it: of a daemon that runs a thread writes the lines."""
        deadline = time.monotonic() + LIMIT
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def close(self) -> None:
        for descriptor in self._seen.values():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)
        os.close(self._events)


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.close()


def test_start_and_stop(daemons: Daemons) -> None:
    started = daemons.start("wait")
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    angel, worker = daemons.angel, daemons.worker()
    assert worker != angel
    assert os.getsid(angel) != os.getsid(0)
    assert Path(f"/proc/{worker}/cwd").readlink() == Path("/")
    os.kill(angel, signal.SIGTERM)
    daemons.await_end(angel)
    daemons.await_end(worker)
    assert sorted(path.name for path in daemons.folder.iterdir()) == ["events", "log"]


@pytest.mark.parametrize("status", [0, 1])
def test_a_worker_that_ends_before_it_is_ready_is_a_start_that_failed(daemons: Daemons, status: int) -> None:
    started = daemons.start(f"unready:{status}")
    assert started.returncode == 1
    first, second = started.stderr.splitlines()
    assert first == "mmm_testd: cannot listen, on purpose"
    assert second == f"mmm_testd: ended before it was ready; see {daemons.log_path}"
    daemons.await_end(daemons.running)  # it is told before the angel has ended
    assert not daemons.pid_path.exists()
    assert "not started" in daemons.log()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_other_signals_end_it_too(daemons: Daemons, number: signal.Signals) -> None:
    daemons.start("wait")
    angel, worker = daemons.angel, daemons.worker()
    os.kill(angel, number)
    daemons.await_end(angel)
    daemons.await_end(worker)
    assert not daemons.pid_path.exists()


def test_a_second_copy_is_refused(daemons: Daemons) -> None:
    daemons.start("wait")
    angel, worker = daemons.angel, daemons.worker()
    for options in ([], ["--foreground"]):
        second = daemons.start("wait", *options)
        assert second.returncode == 1
        assert second.stderr == f"mmm_testd: runs already, with pid {angel} ({daemons.pid_path})\n"
    assert daemons.angel == angel
    os.kill(worker, 0)


def test_a_wiped_run_lets_no_second_copy_run(daemons: Daemons) -> None:
    """Neither is there a file whose removal frees the lock: all but the logs and the FIFO goes."""
    daemons.start("wait", "keep=3600")
    angel = daemons.angel
    worker = daemons.worker()
    for path in daemons.folder.glob("mmm_testd*"):
        path.unlink()
    for options in ([], ["--foreground"]):
        second = daemons.start("wait", "lock=0.1", *options)
        assert second.returncode == 1
        assert second.stderr == f"mmm_testd: runs already, with pid {angel} ({daemons.pid_path})\n"
    os.kill(worker, 0)
    assert not daemons.pid_path.exists()


def test_a_pid_file_that_vanished_is_written_again(daemons: Daemons) -> None:
    folder = daemons.folder / "run"
    folder.mkdir()
    daemons.pid_path = folder / "mmm_testd.pid"
    daemons.start("wait", f"pid_path={daemons.pid_path}", "keep=0.05")
    angel = daemons.angel
    daemons.worker()
    folder.rename(folder.with_name("wiped"))  # at one moment, for the file may be back at any
    daemons.wait_logged(f" WARN {daemons.pid_path} had vanished: written again")
    assert daemons.angel == angel
    os.kill(angel, signal.SIGTERM)
    daemons.await_end(angel)
    assert list(folder.iterdir()) == []


def test_a_stale_pid_file_is_replaced_with_a_warning(daemons: Daemons) -> None:
    daemons.pid_path.write_text(f"{os.getpid()}\n")  # a process, but no daemon
    started = daemons.start("wait")
    assert started.returncode == 0
    assert "was stale" in started.stderr
    assert daemons.angel != os.getpid()
    daemons.wait_logged(f" WARN {daemons.pid_path} was stale")


@pytest.mark.parametrize("text", ["", "not a pid\n", "999999999999999999\n", "\udcff", "-1"])
def test_a_pid_file_with_anything_in_it_is_stale(daemons: Daemons, text: str) -> None:
    daemons.pid_path.write_text(text, errors="surrogateescape")
    assert daemons.start("wait").returncode == 0
    assert daemons.angel == int(daemons.pid_path.read_text())


SQUATS = """
import os, socket, sys
os.setuid(65534)
taken = socket.socket(socket.AF_UNIX)
taken.bind(chr(0) + sys.argv[1])
if sys.argv[2] == "listens":
    taken.listen()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["listens", "is silent"])
def test_another_user_who_takes_the_locks_name_keeps_no_daemon_away(daemons: Daemons, how: str) -> None:
    """Any user may take a name that stands in no folder; two copies never run all the same."""
    squatter = subprocess.Popen(
        [sys.executable, "-I", "-c", SQUATS, lock_name(daemons.pid_path), how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with squatter:
        assert squatter.stdout is not None
        assert squatter.stdin is not None
        assert squatter.stdout.readline() == b"taken\n"
        first = daemons.start("wait", "lock=0.1")
        assert (first.returncode, first.stderr) == (0, "")
        daemons.worker()
        assert "runs already" in daemons.start("wait", "lock=0.1").stderr
        squatter.stdin.close()
        squatter.wait()
    third = daemons.start("wait", "lock=0.1")
    assert f"runs already, with pid {daemons.angel}" in third.stderr


def test_a_daemon_that_runs_as_another_user_is_no_stranger(daemons: Daemons) -> None:
    """A monitor that runs as mmm, say, and root types its name: the pid file tells."""
    own = subprocess.Popen(
        [sys.executable, "-I", "-c", SQUATS, lock_name(daemons.pid_path), "listens"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with own:
        assert own.stdout is not None
        assert own.stdin is not None
        assert own.stdout.readline() == b"taken\n"
        daemons.pid_path.write_text(f"{own.pid}\n")
        assert f"runs already, with pid {own.pid}" in daemons.start("wait", "lock=0.1").stderr
        assert daemons.pid_path.read_text() == f"{own.pid}\n"
        own.stdin.close()


def test_a_perl_daemon_that_takes_no_lock_is_seen(daemons: Daemons) -> None:
    with subprocess.Popen(
        ["perl", "-e", "$|=1; print 1; sleep 60", "mmm_testd"], stdout=subprocess.PIPE
    ) as perl:
        assert perl.stdout is not None
        perl.stdout.read(1)
        daemons.pid_path.write_text(f"{perl.pid}\n")
        started = daemons.start("wait")
        perl.kill()
    assert started.returncode == 1
    assert f"with pid {perl.pid}" in started.stderr


def test_a_killed_worker_is_started_again_at_once(daemons: Daemons) -> None:
    daemons.start("wait", "delay=3600")
    angel, worker = daemons.angel, daemons.worker()
    os.kill(worker, signal.SIGKILL)
    assert daemons.worker() != worker
    assert daemons.angel == angel
    daemons.wait_logged("ERROR worker was killed by SIGKILL; starting it again at once")


def test_a_failing_worker_is_started_again_after_a_while(daemons: Daemons) -> None:
    daemons.start("exit:3", "delay=0.05")
    daemons.worker()
    daemons.worker()
    daemons.wait_logged("ERROR worker ended with status 3; starting it again in 0.05 s")


def test_the_angel_can_be_ended_while_it_waits(daemons: Daemons) -> None:
    daemons.start("exit:3", "delay=3600")
    angel, worker = daemons.angel, daemons.worker()
    daemons.await_end(worker)
    os.kill(angel, signal.SIGTERM)
    daemons.await_end(angel)
    assert not daemons.pid_path.exists()


@pytest.mark.parametrize("behaviour", ["exit:1", "crash"])
def test_too_many_failures_end_the_angel(daemons: Daemons, behaviour: str) -> None:
    daemons.start(behaviour, "delay=0.01", "failures=3")
    for _ in range(3):
        daemons.worker()
    daemons.await_over()
    assert not daemons.pid_path.exists()
    assert " FATAL worker " in daemons.log()
    assert "3 failures within 300 s: giving up" in daemons.log()


def test_a_worker_that_is_done_ends_the_angel(daemons: Daemons) -> None:
    assert daemons.start("exit:0").returncode == 0
    daemons.await_over()
    assert not daemons.pid_path.exists()


def test_a_worker_that_does_not_end_is_killed(daemons: Daemons) -> None:
    daemons.start("ignore-term", "stop=0.1")
    angel, worker = daemons.angel, daemons.worker()
    os.kill(angel, signal.SIGTERM)
    daemons.await_end(worker)
    daemons.await_end(angel)
    assert "did not end within 0.1 s: killing it" in daemons.log()


def test_a_worker_without_its_angel_ends_and_the_next_start_waits_for_that(daemons: Daemons) -> None:
    daemons.start("wait")
    angel, worker = daemons.angel, daemons.worker()
    os.kill(angel, signal.SIGKILL)
    again = daemons.start("wait")
    assert again.returncode == 0
    assert "was stale" in again.stderr
    daemons.await_end(worker)
    assert daemons.worker() != worker


def test_a_worker_that_stays_without_its_angel_keeps_a_new_start_away(daemons: Daemons) -> None:
    daemons.start("ignore-term")
    angel, worker = daemons.angel, daemons.worker()
    os.kill(angel, signal.SIGKILL)
    daemons.await_end(angel)
    again = daemons.start("wait", "lock=0.1")
    assert again.returncode == 1
    name = lock_name(daemons.pid_path)
    assert f"names no running process: find the process with 'ss -xlp | grep {name}'" in again.stderr
    found = subprocess.run(["ss", "-xlp"], capture_output=True, text=True, check=True).stdout
    assert f"pid={worker}," in next(line for line in found.splitlines() if name in line)
    os.kill(worker, 0)


def test_what_is_raised_is_logged_with_its_traceback(daemons: Daemons) -> None:
    daemons.start("raise", "delay=0.01", "failures=1")
    daemons.await_over()
    assert " FATAL ended by an internal error\nTraceback" in daemons.log()
    assert "ValueError: wrong on purpose" in daemons.log()


def test_what_is_printed_on_stderr_is_not_lost(daemons: Daemons) -> None:
    daemons.start("crash", "failures=1")
    daemons.await_over()
    assert "Fatal Python error: Segmentation fault" in daemons.log()
    assert "worker was killed by SIGSEGV" in daemons.log()


@pytest.mark.parametrize("pid_path", ["missing/mmm_testd.pid", "log"])
def test_a_pid_file_that_cannot_be_written_is_told(daemons: Daemons, pid_path: str) -> None:
    (daemons.folder / "log").mkdir()
    started = daemons.start("wait", f"pid_path={daemons.folder / pid_path}")
    assert started.returncode == 1
    assert started.stderr.startswith("mmm_testd: cannot write ")
    assert started.stderr.count("\n") == 1


def test_a_log_that_cannot_be_written_anywhere_is_told(daemons: Daemons) -> None:
    if Path("/dev/log").exists():
        pytest.skip("there is a syslog to fall back on")
    (daemons.folder / "log").write_text("not a folder")
    started = daemons.start("wait")
    assert started.returncode == 1
    assert f"cannot log to {daemons.log_path}: " in started.stderr
    assert started.stderr.count("\n") == 1
    assert not daemons.pid_path.exists()


def test_the_foreground_has_no_angel(daemons: Daemons) -> None:
    command = daemons.command("wait", "--foreground")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert daemons.worker() == process.pid == daemons.angel
        process.terminate()
        output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert f"INFO mmm_testd 3.0.0 started, pid {process.pid}\n" in output
    assert output == daemons.log()
    assert not daemons.pid_path.exists()


def test_it_starts_with_its_standard_streams_closed(daemons: Daemons) -> None:
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *daemons.command("wait")]
    assert subprocess.run(command, timeout=LIMIT, check=False).returncode == 0
    daemons.watch(daemons.angel)
    daemons.worker()
    os.kill(daemons.angel, signal.SIGTERM)
    daemons.await_end(daemons.running)


def test_ignored_signals_of_the_caller_do_not_matter(daemons: Daemons) -> None:
    command = ["nohup", *daemons.command("wait")]
    assert subprocess.run(command, timeout=LIMIT, check=False, capture_output=True).returncode == 0
    daemons.watch(daemons.angel)
    worker = daemons.worker()
    os.kill(daemons.angel, signal.SIGHUP)
    os.kill(daemons.angel, signal.SIGTERM)
    daemons.await_end(worker)
    daemons.await_end(daemons.running)


@pytest.mark.parametrize("then", ["stopped", "ended"])
def test_the_angel_acts_for_a_worker_that_is_stuck_or_dead(daemons: Daemons, then: str) -> None:
    daemons.start(f"due:{then}", "delay=30")
    daemons.worker()
    assert daemons.event() == 0
    daemons.wait_logged("dead or stuck: the angel acts in its place")


def test_the_angel_acts_again_until_it_succeeds(daemons: Daemons) -> None:
    daemons.start("due:stopped", "act-fails")
    daemons.worker()
    assert (daemons.event(), daemons.event()) == (-1, 0)


def test_the_angel_lets_a_worker_be_that_has_done_what_was_due(daemons: Daemons) -> None:
    daemons.start("due:settled")
    daemons.await_over()
    assert (daemons.folder / "waited").exists()
    assert not (daemons.folder / "acted").exists()
