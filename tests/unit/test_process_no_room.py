"""A machine that has no room for another process for a while: the angel outlasts that, and does what it could not."""

import errno
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mmm.process import angel, companion, watchdog
from mmm.process.angel import Ended
from mmm.process.companion import Companion
from mmm.process.restart import Policy
from mmm.process.service import Service, serve
from mmm.process.watchdog import Ward

LIMIT = 30.0
FULL = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def fails(then: Callable[[], int], *, times: int) -> Callable[[], int]:
    """Return a fork that fails that often first."""
    left = iter(range(times))

    def fork() -> int:
        if next(left, None) is not None:
            raise FULL
        return then()

    return fork


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return what workers are sent."""
    found = list[tuple[int, int]]()
    monkeypatch.setattr(os, "kill", lambda *what: found.append(what))
    return found


def supervised(monkeypatch: pytest.MonkeyPatch, pids: Iterable[int], came: int | None = None) -> int:
    """Return the status of an angel whose workers fail but the last, and cannot be started (0) at times.

    That signal comes each time when it cannot start one.
    """
    left, signals = list(pids), list[int]()

    def fork() -> int:
        if not (pid := left.pop(0)):
            signals.extend(() if came is None else (came,))
            raise FULL
        return pid

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(angel, "_watch", lambda *_: Ended(3 if left else 0, False))
    monkeypatch.setattr(angel, "_next_signal", lambda *_: signals.pop() if signals else None)
    return angel.supervise(lambda: 0, Policy(delay=0.02), LIMIT, lambda: True, ())


def test_a_worker_that_cannot_be_started_again_is_started_later_and_hears_of_hup(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: list[tuple[int, int]]
) -> None:
    """The angel ended by it, and with it the fence of a writer whose worker was dead."""
    assert supervised(monkeypatch, (1, 0, 0, 2), signal.SIGHUP) == 0
    said = [line for line in caplog.messages if line.startswith("the worker cannot be started")]
    assert said == [f"the worker cannot be started: {FULL.strerror}; starting it again in 0.02 s"] * 2
    assert sent == [(2, signal.SIGHUP)]


def test_an_angel_that_waits_for_room_is_asked_to_end(
    monkeypatch: pytest.MonkeyPatch, sent: list[tuple[int, int]]
) -> None:
    assert supervised(monkeypatch, (1, 0, 2), signal.SIGTERM) == 0
    assert sent == []


def test_a_first_worker_that_cannot_be_started_ends_the_daemon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert supervised(monkeypatch, (0,)) == 1
    assert caplog.messages == [f"the worker cannot be started: {FULL.strerror}"]


def test_the_act_of_the_angel_is_tried_again_where_it_had_no_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(watchdog, "AGAIN", 0.0)
    monkeypatch.setattr(os, "fork", fails(os.fork, times=2))
    acted = tmp_path / "acted"

    def act(_: object) -> bool:
        acted.touch()
        return True

    ward = Ward(act)
    ward.set(0.0)
    for _ in range(3):
        ward.look()
    os.waitid(os.P_PID, ward._pid, os.WEXITED | os.WNOWAIT)
    ward.look()
    assert acted.exists()
    assert ward.wait() > LIMIT
    assert sum("has no process to act in" in line for line in caplog.messages) == 2


def test_what_runs_beside_the_worker_is_started_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(companion, "AGAIN", 0.0)
    monkeypatch.setattr(os, "fork", fails(os.fork, times=2))
    worked = tmp_path / "worked"

    def work() -> int:
        worked.touch()
        return 0

    beside = Companion("mmm_test", work)
    for _ in range(3):
        beside.look()
    os.waitid(os.P_PID, beside._pid, os.WEXITED | os.WNOWAIT)
    assert worked.exists()
    assert sum("mmm_test cannot be started" in line for line in caplog.messages) == 2
    beside.close()


def test_a_daemon_that_cannot_go_to_the_background_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "fork", fails(os.fork, times=1))
    service = Service("mmm_test", None, tmp_path / "pid", foreground=False, debug=False, conf_dir=tmp_path)
    assert serve(service, lambda _: 0) == 1
    assert capsys.readouterr().err == f"mmm_test: no process can be started: {FULL.strerror}\n"
