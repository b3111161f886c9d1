"""What mmm_control says at a terminal while an order takes its time."""

import os
import pty
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from mmm.monitor.report import answers
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from tests.unit.test_control_client import COMMAND, LIMIT, Client, client
from tests.unit.worlds import CLOCK, NOW, WRITER, with_agent, world

__all__ = ["client"]
WAITS = with_agent(
    world({WRITER: "db2"}, {"db1": State.HARD_OFFLINE}), "db1", may_hold=frozenset({WRITER}), told=None
)
TAKES = with_agent(world({WRITER: "db2"}), "db2", told=None, may_hold=frozenset())


class Busy:
    """A monitor that answers an order once it was asked how it is as often as it has worlds to tell of."""

    def __init__(self, *worlds: World) -> None:
        self._worlds = list(worlds)
        self._told = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            words = connection.recv(4096).decode().partition("\n")[0].split()
            text: str | None = "OK: Role 'writer' has been moved from 'db1' to 'db2'."
            if words[:2] == ["json", "status"]:
                text = answers.answer(self._worlds.pop(0), words, NOW, CLOCK, ())
                if not self._worlds:
                    self._told.set()
            else:
                self._told.wait(LIMIT)
            connection.sendall((text or "").encode())

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def busy() -> Iterator[Busy]:
    monitor = Busy(WAITS, WAITS, TAKES, TAKES)
    yield monitor
    monitor.close()


def test_who_sits_at_a_terminal_is_told_once_what_an_order_waits_for(client: Client, busy: Busy) -> None:
    assert said_at_a_terminal(client, busy) == [
        "writer(10.0.0.80) goes to db2 once db1 has let it go",
        "db2 has been told to take writer(10.0.0.80)",
    ]


def test_who_waits_for_long_is_told_that_there_is_no_answer_yet_where_nothing_else_is_known(
    client: Client,
) -> None:
    quiet = Busy(*[world({WRITER: "db1"})] * 5)
    try:
        assert said_at_a_terminal(client, quiet) == ["the monitor has not answered yet"]
    finally:
        quiet.close()


def said_at_a_terminal(client: Client, monitor: Busy) -> list[str]:
    """Return what an order says there until it is answered OK."""
    client.write_conf(monitor.port)
    terminal, end = pty.openpty()
    order = ["--config", str(client.conf), "move_role", "writer", "db2"]
    with subprocess.Popen([*COMMAND, *order], stdout=subprocess.PIPE, stderr=end, text=True) as asked:
        os.close(end)
        printed, _ = asked.communicate(timeout=LIMIT)
    said = b""
    with suppress(OSError):  # so a terminal says that nobody has it open any more
        while chunk := os.read(terminal, 4096):
            said += chunk
    os.close(terminal)
    assert (asked.returncode, printed) == (0, "OK: Role 'writer' has been moved from 'db1' to 'db2'.\n")
    return [line.partition(" s: ")[2] for line in said.decode().splitlines()]


def test_a_script_is_told_nothing_of_it(client: Client, busy: Busy) -> None:
    client.write_conf(busy.port)
    for _ in range(4):
        answers_of(busy)
    done = client.run("--config", str(client.conf), "move_role", "writer", "db2")
    assert (done.returncode, done.stderr) == (0, "")


def answers_of(busy: Busy) -> None:
    with socket.create_connection(("127.0.0.1", busy.port), LIMIT) as connection:
        connection.sendall(b"json status\nquit\n")
        while connection.recv(65536):
            pass
