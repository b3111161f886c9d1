"""An agent that systemd starts is ready when it answers, and knows of the lease that it was given before."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.unit.agent_host import LIMIT, WRITER, Agent, Host

pytestmark = [pytest.mark.netns, pytest.mark.mysql]


def test_who_is_ready_answers_and_refuses_what_the_lease_of_before_forbids(
    host: Host, tmp_path: Path
) -> None:
    with host.agent() as agent:
        assert agent.took(f"SET_STATUS|1|db1|ONLINE|writer({WRITER})|db1")
        agent.process.kill()
        agent.process.wait(LIMIT)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(LIMIT)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(
            host.command(), env=environment, stdout=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert systemd.recv(4096) == b"READY=1"
                # db2 may not be promised that this host keeps off the role, which it holds.
                assert Agent(process).raw("PROMISE|1|db1|db2|1|other.7").startswith("ERROR")
                assert Agent(process).raw("PING|1|db1").startswith("OK: Pinged!")
            finally:
                process.terminate()
                process.wait(LIMIT)
