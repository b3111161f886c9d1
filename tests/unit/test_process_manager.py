"""Daemons that systemd starts and waits for: what they tell it, by the protocol of sd_notify(3)."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.process.manager import Manager, started_by
from tests.unit.test_process_service import LIMIT, Daemons


class Systemd:
    """What listens where a service manager would."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(LIMIT)

    def hears(self) -> str:
        return self._socket.recv(4096).decode()

    def hears_nothing(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.close()


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify") if request.param == "file" else f"@mmm-test-{os.getpid()}")
    yield systemd
    systemd.close()


def test_systemd_hears_when_the_worker_is_ready_and_has_the_angel_as_main_process(
    daemons: Daemons, systemd: Systemd
) -> None:
    command = daemons.command("wait", "--foreground")
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert systemd.hears() == "READY=1"
        worker = daemons.worker()
        assert process.pid == daemons.angel != worker
        os.kill(worker, signal.SIGKILL)
        again = daemons.worker()
        assert again != worker
        assert systemd.hears() == "READY=1"
        process.terminate()
        process.communicate(timeout=LIMIT)
        daemons.await_end(again)
    assert process.returncode == 0
    assert not daemons.pid_path.exists()


def test_a_worker_that_was_never_ready_is_a_start_that_failed(daemons: Daemons, systemd: Systemd) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address}
    command = daemons.command("unready:1", "--foreground")
    done = subprocess.run(
        command, env=environment, timeout=LIMIT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "cannot listen, on purpose" in done.stdout
    assert systemd.hears_nothing()


def test_the_loop_itself_keeps_the_watchdog_quiet(systemd: Systemd) -> None:
    async def turn() -> list[str]:
        loop = asyncio.get_running_loop()
        with Manager(systemd.address, 0.03).fed():
            return [await loop.run_in_executor(None, systemd.hears) for _ in range(3)]

    async def be_stuck() -> None:
        with Manager(systemd.address, 0.03).fed():
            time.sleep(0.1)  # noqa: ASYNC251 - as a loop that is stuck

    assert asyncio.run(turn()) == ["WATCHDOG=1"] * 3
    while not systemd.hears_nothing():
        pass  # it may have been said once more before the end
    asyncio.run(be_stuck())
    assert systemd.hears_nothing()


def test_who_started_it_stands_in_the_environment_and_goes_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert started_by() == Manager("/run/systemd/notify", 60.0)
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    assert started_by() is None


def test_a_manager_that_is_gone_hinders_nobody(tmp_path: Path) -> None:
    Manager(str(tmp_path / "nobody")).tell("READY=1")
