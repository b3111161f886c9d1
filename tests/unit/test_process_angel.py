"""What the angel does with signals, seen from inside: no real process hangs in the kernel at will."""

import math
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from mmm.process import angel
from mmm.process.angel import Ended
from mmm.process.restart import Policy

LIMIT = 30.0


class Signals:
    """What the angel is woken by, and what it sends; the child lives until it is let go."""

    def __init__(self, child: "subprocess.Popen[bytes]", *numbers: int) -> None:
        self._child = child
        self._kill = os.kill
        self._numbers = iter(numbers)
        self.limits = list[float]()
        self.sent = list[int]()

    def next(self, limit: float, _: object) -> int | None:
        """Return the next one; without one the limit is over, or, where there is none, the child ends."""
        self.limits.append(limit)
        number = next(self._numbers, None)
        if number is None and (limit == math.inf or len(self.limits) > 10):
            self._kill(self._child.pid, signal.SIGKILL)
            os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
            return signal.SIGCHLD
        return number

    def kill(self, pid: int, number: int) -> None:
        assert pid == self._child.pid
        self.sent.append(number)


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """Give a process that the angel waits for, and that has ended then."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.wait()  # nobody's child any more


def watched(
    signals: Signals, child: "subprocess.Popen[bytes]", stop_limit: float, patch: pytest.MonkeyPatch
) -> Ended:
    patch.setattr(angel, "_next_signal", signals.next)
    patch.setattr(os, "kill", signals.kill)
    return angel._watch(child.pid, stop_limit, ())


def test_a_worker_that_outlives_its_kill_is_killed_and_logged_once(
    child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that hangs in the kernel, on a dead NFS: the angel took a whole core and filled the disk of the log."""
    signals = Signals(child, signal.SIGTERM)
    ended = watched(signals, child, 0.0, monkeypatch)
    assert ended.asked
    assert signals.sent == [signal.SIGTERM, signal.SIGKILL]
    assert sum("killing it" in each.message for each in caplog.records) == 1


def test_who_asks_again_gives_the_worker_no_more_time(
    child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = Signals(child, *[signal.SIGTERM] * 4)
    watched(signals, child, LIMIT, monkeypatch)
    first, *later = signals.limits[1:5]
    assert all(limit <= first for limit in later)
    assert later == sorted(later, reverse=True)


@pytest.mark.parametrize(("came", "told"), [([signal.SIGHUP], [(2, signal.SIGHUP)]), ([], [])])
def test_a_hup_while_no_worker_runs_is_kept_for_the_next(
    came: list[int], told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conf that was mended while the angel waited was not taken, though the reload had said OK."""
    workers, ends, signals = iter((1, 2)), iter((Ended(3, False), Ended(0, False))), iter(came)
    sent = list[tuple[int, int]]()
    monkeypatch.setattr(angel, "_start", lambda _: next(workers))
    monkeypatch.setattr(angel, "_watch", lambda *_: next(ends))
    monkeypatch.setattr(angel, "_next_signal", lambda *_: next(signals, None))
    monkeypatch.setattr(os, "kill", lambda *what: sent.append(what))
    assert angel.supervise(lambda: 0, Policy(delay=0.02), LIMIT, lambda: True, ()) == 0
    assert sent == told


def test_a_hup_before_a_worker_takes_it_over_is_told_once() -> None:
    handler = angel.HANDLERS[signal.SIGHUP]
    assert callable(handler)
    assert not angel.hung_up()
    handler(signal.SIGHUP, None)
    assert angel.hung_up()
    assert not angel.hung_up()
