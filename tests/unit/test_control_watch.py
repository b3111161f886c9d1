"""`mmm_control watch` in a terminal, against a monitor that says what it is told to."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mmm.control.connection import NoAnswerError
from mmm.monitor.report import answers
from mmm.monitor.report.history import Entry
from mmm.monitor.world.host import State
from tests.unit.test_control_client import COMMAND, CONF, LIMIT, Monitor
from tests.unit.worlds import CLOCK, NOW, READER1, WRITER, checks, with_host, world

COLUMNS, LINES = 150, 30


def status(**more: Any) -> str:
    """What a monitor answers of a cluster in which db3 has failed, five seconds ago."""
    broken = with_host(
        world({WRITER: "db1", READER1: "db2"}, {"db3": State.REPLICATION_FAIL}),
        "db3",
        checks=checks(rep_threads=NOW),
    )
    text = answers.answer(broken, ["status"], NOW, CLOCK, (Entry(NOW, "db3: ONLINE -> REPLICATION_FAIL"),))
    assert text is not None
    document = json.loads(text)
    now = time.time()
    for host in document["hosts"]:
        host["since"] = now - 3 * 3600
    document["history"][0]["at"] = now - 5
    return json.dumps({**document, "at": now, **more})


class Terminal:
    """mmm_control watch in a terminal of some size, and what can be read there."""

    def __init__(self, conf: Path) -> None:
        pyte = pytest.importorskip("pyte")
        pytest.importorskip("rich")
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)
        self._own, theirs = pty.openpty()
        self._size(COLUMNS, LINES)
        self.process = subprocess.Popen(
            [*COMMAND, "--config", str(conf), "watch"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        os.close(theirs)

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._size(columns, lines)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def wait(self, true: Callable[[], bool]) -> None:
        """Read what is drawn until that is so."""
        end = time.monotonic() + LIMIT
        while not true():
            assert time.monotonic() < end, self.text
            if select.select([self._own], [], [], 0.5)[0]:
                with suppress(OSError):  # the program has ended
                    self._stream.feed(os.read(self._own, 65536))

    def colour(self, host: str, word: str) -> str:
        """The colour in which a word stands in the line of a host."""
        lines = enumerate(self._screen.display)
        line, row = next((line, row) for row, line in lines if line.startswith(host) and word in line)
        return str(self._screen.buffer[row][line.index(word)].fg)

    def press(self, key: bytes) -> int:
        """Press a key and return the program's exit status."""
        os.write(self._own, key)
        self.wait(lambda: self.process.poll() is not None)
        return self.process.wait(LIMIT)

    @property
    def is_echoing(self) -> bool:
        return bool(termios.tcgetattr(self._own)[3] & termios.ECHO)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT)
        os.close(self._own)


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[tuple[Monitor, Path]]:
    made = Monitor(status().encode())
    conf = tmp_path / "mmm_mon.conf"
    conf.write_text(CONF.replace("PORT", str(made.port)))
    conf.chmod(0o640)
    yield made, conf
    made.close()


@pytest.fixture
def terminal(monitor: tuple[Monitor, Path]) -> Iterator[Terminal]:
    made = Terminal(monitor[1])
    yield made
    made.close()


def test_hosts_stand_in_colours_with_what_is_wrong_and_what_has_changed(terminal: Terminal) -> None:
    terminal.wait(lambda: "db3: ONLINE -> REPLICATION_FAIL" in terminal.text)
    row = next(line for line in terminal.text.splitlines() if line.startswith("db3 slave"))
    assert row.split()[2:5] == ["REPLICATION_FAIL", "3", "h"]
    assert "rep_threads failed" in row
    assert "writer on db1   2 of 3 hosts ONLINE" in terminal.text
    assert "WARNING: db3 is REPLICATION_FAIL" in terminal.text
    assert (terminal.colour("db1", "ONLINE"), terminal.colour("db3", "REPLICATION_FAIL")) == ("green", "red")


def test_q_ends_it_and_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.wait(lambda: "db1 master" in terminal.text and not terminal.is_echoing)
    assert terminal.press(b"q") == 0
    assert terminal.is_echoing


def test_a_signal_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.wait(lambda: "db1 master" in terminal.text and not terminal.is_echoing)
    terminal.process.send_signal(signal.SIGTERM)
    terminal.wait(lambda: terminal.process.poll() is not None)
    assert terminal.is_echoing


@pytest.mark.parametrize("answer", ['["hosts"]', '"hosts"', "7", '{"hosts"', "[" * 100_000])
def test_what_answers_no_status_is_said(answer: str) -> None:
    """Any other error would end the thread that asks, and nothing new be shown any more."""
    watch = pytest.importorskip("mmm.control.watch", exc_type=ImportError)
    with pytest.raises(NoAnswerError, match=r"^the monitor has no status: "):
        watch._status(answer)


def test_another_size_is_drawn_anew(terminal: Terminal) -> None:
    terminal.wait(lambda: "db1 master" in terminal.text)
    terminal.resize(60, 40)
    terminal.wait(lambda: "db3 slave" in terminal.text and "last 10 min" in terminal.text)
    assert max(map(len, terminal.text.splitlines())) <= 60
    terminal.resize(COLUMNS, LINES)
    terminal.wait(lambda: "WARNING: db3 is REPLICATION_FAIL: rep_threads" in terminal.text)


def test_a_monitor_that_goes_away_is_told_with_what_was_seen_last(
    monitor: tuple[Monitor, Path], terminal: Terminal
) -> None:
    terminal.wait(lambda: "db1 master" in terminal.text)
    monitor[0].close()
    terminal.wait(lambda: "as of " in terminal.text and "is mmm_mond running?" in terminal.text)
    assert "db1 master" in terminal.text
    assert terminal.press(b"q") == 0


def test_in_a_pipe_it_is_plain_text_and_each_state_stands_once(monitor: tuple[Monitor, Path]) -> None:
    pytest.importorskip("rich")
    with subprocess.Popen(
        [*COMMAND, "--config", str(monitor[1]), "watch"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [""]
        while "db3: ONLINE -> REPLICATION_FAIL" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        assert process.stdout.readline() == "\n"
        monitor[0].answer = figures_change(monitor[0].answer)
        while monitor[0].received.count(b"json status") < 4:
            time.sleep(0.05)
        process.terminate()
        more = process.stdout.read()
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith("db3 slave") and "REPLICATION_FAIL" in line for line in lines)
    assert more == "", "nothing has changed"


def figures_change(answer: bytes) -> bytes:
    """The same, a moment later: other checks have run, and a lease has become shorter."""
    document = json.loads(answer)
    document["at"] += 1
    for host in document["hosts"]:
        host["lease"] = {"left": 7.25}
        for check in host["checks"].values():
            check["took"] = 0.125
    return json.dumps(document).encode()


def test_without_rich_it_says_what_to_install(monitor: tuple[Monitor, Path]) -> None:
    program = "import sys; sys.modules['rich'] = None; from mmm.control.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config", str(monitor[1]), "watch"],
        capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "mmm_control: watch needs the library rich: apt install python3-rich, or pip install 'mysql-mmm[watch]'\n"
    )
