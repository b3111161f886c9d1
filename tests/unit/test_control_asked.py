"""mmm_control as a process: which monitor it was told to ask, and what it says when it is broken off."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_control_client import COMMAND, LIMIT, Client

BY_HAND = (
    *COMMAND[:-1],
    f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {COMMAND[-1]}",
)
"""As in a terminal, also where the tests run in the background, with SIGINT ignored."""


@pytest.mark.parametrize("command", ["show", "follow", "set_offline db1"])
def test_another_monitor_than_that_of_the_conf_is_not_taken_for_it(tmp_path: Path, command: str) -> None:
    client = Client(tmp_path)
    client.write_conf(1)
    done = client.run("--config", str(client.conf), "--monitor", "10.77.0.9", *command.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mmm_control: --monitor 10.77.0.9: there is 127.0.0.1\n"


def test_the_only_monitor_may_be_named(tmp_path: Path) -> None:
    done, received = Client(tmp_path).ask("ACTIVE", "--monitor", "127.0.0.1", "mode")
    assert (done.returncode, done.stdout, received) == (0, "ACTIVE\n", b"mode\nquit\n")


@pytest.mark.parametrize("command", ["show", "set_online db1"])
def test_who_breaks_it_off_sees_no_traceback(tmp_path: Path, command: str) -> None:
    client = Client(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LIMIT)
        client.write_conf(silent.getsockname()[1])
        asking = subprocess.Popen(
            [*BY_HAND, "--config", str(client.conf), *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(LIMIT)
            assert connection.recv(100).startswith(command.encode())
            os.kill(asking.pid, signal.SIGINT)
            assert asking.communicate(timeout=LIMIT)[0] == b""
    assert asking.returncode == -signal.SIGINT, "so that a script that runs it ends too"
