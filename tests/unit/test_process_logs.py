"""What a daemon logs, where, and what happens when it cannot: seen in its files, from outside."""

import logging
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmm.process import log_queue
from tests.fifo import full_fifo
from tests.unit.test_process_service import LIMIT, Daemons

STAMP = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d "

YAML = """
formatters:
  short: {format: "%(levelname)s=%(message)s"}
handlers:
  file: {class: logging.FileHandler, filename: FILE, formatter: short}
root: {level: DEBUG, handlers: [file]}
"""


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.close()


def lines(text: str) -> list[str]:
    return [re.sub(f"^{STAMP}", "", line) for line in text.splitlines()]


def test_each_line_has_time_level_and_message(daemons: Daemons) -> None:
    done = daemons.start("log", "--foreground")
    assert done.returncode == 0
    logged = daemons.log()
    assert all(re.match(f"{STAMP}(DEBUG|INFO|WARN|ERROR|FATAL) ", line) for line in logged.splitlines()[:-2])
    assert lines(logged)[1:5] == [
        "INFO an info line",
        r"WARN a warn line\nforged 2026/11/21 \x1b[31m",
        "ERROR an error line",
        "FATAL a fatal line",
    ]
    assert "UserWarning: an old function" in logged
    assert done.stdout == logged


def test_debug_stays_in_the_foreground_and_shows_debug_lines(daemons: Daemons) -> None:
    done = daemons.start("log", "--debug")
    assert "DEBUG a debug line" in lines(done.stdout)
    assert "DEBUG a debug line" not in lines(daemons.log())


def test_a_cluster_has_its_own_log(daemons: Daemons) -> None:
    daemons.start("log", "--foreground", "@C1")
    assert (daemons.folder / "log" / "mmm_testd_C1.log").exists()


def test_a_1x_log_block_sets_file_and_level(daemons: Daemons) -> None:
    path = daemons.folder / "elsewhere" / "mmm.log"
    daemons.start("log", "--foreground", f"block={path},warning")
    assert lines(path.read_text())[0].startswith("WARN a warn line")
    daemons.start("log", "--foreground", "block=relative.log,debug")
    assert "DEBUG a debug line" in lines((daemons.folder / "log" / "relative.log").read_text())


def test_an_unknown_level_of_a_1x_log_block_is_said(daemons: Daemons) -> None:
    done = daemons.start("log", "--foreground", "block=main.log,loud")
    assert "log main: level 'loud' is not one of" in done.stderr
    assert "INFO an info line" in lines((daemons.folder / "log" / "main.log").read_text())


@pytest.mark.parametrize("cluster", ["", "C1"])
def test_a_yaml_document_replaces_the_set_up(daemons: Daemons, cluster: str) -> None:
    path = daemons.folder / "own.log"
    name = f"mmm_test_log_{cluster}.conf" if cluster else "mmm_test_log.conf"
    (daemons.folder / name).write_text(YAML.replace("FILE", str(path)))
    done = daemons.start("log", "--foreground", *([f"@{cluster}"] if cluster else []))
    assert done.stderr == ""
    assert path.read_text().splitlines()[1:3] == ["DEBUG=a debug line", "INFO=an info line"]
    assert not (daemons.folder / "log").exists()


@pytest.mark.parametrize(
    "text",
    [
        "log4perl.logger = INFO, LogFile\nlog4perl.appender.LogFile.filename = /var/log/x\n",
        "a: [",
        "- list",
        "",
        "root: {handlers: [missing]}",
        "handlers: {a: {class: no.such.Class}}",
        "handlers: {a: {class: logging.FileHandler, filename: /no/such/folder/x}}",
        "version: 7",
        "formatters: 3",
        "\udcff\udcfe",
    ],
)
def test_a_bad_log_conf_is_one_warning_and_the_default(daemons: Daemons, text: str) -> None:
    (daemons.folder / "mmm_test_log.conf").write_bytes(text.encode(errors="surrogateescape"))
    done = daemons.start("log", "--foreground")
    assert done.returncode == 0
    warnings = [line for line in lines(daemons.log()) if "mmm_test_log.conf" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("WARN ")
    assert warnings[0].endswith("; the default logging is used")
    assert "INFO an info line" in lines(daemons.log())
    assert "Traceback" not in daemons.log() + done.stderr


def test_a_world_writable_log_conf_is_not_read(daemons: Daemons) -> None:
    conf = daemons.folder / "mmm_test_log.conf"
    conf.write_text(YAML.replace("FILE", str(daemons.folder / "own.log")))
    conf.chmod(0o666)
    assert "is world-writable and was not read" in daemons.start("log", "--foreground").stderr
    assert not (daemons.folder / "own.log").exists()


def next_line(daemons: Daemons, worker: int) -> str:
    os.kill(worker, signal.SIGUSR1)
    return f"INFO line {daemons.event()}"


def test_a_rotated_log_is_opened_anew_and_stderr_with_it(daemons: Daemons) -> None:
    daemons.start("log-at-usr1", "written", "failures=1")
    angel, worker = daemons.angel, daemons.worker()
    first = next_line(daemons, worker)
    daemons.log_path.rename(rotated := daemons.folder / "rotated")
    second = next_line(daemons, worker)
    assert lines(rotated.read_text())[-1] == first
    assert lines(daemons.log()) == [second]
    os.kill(worker, signal.SIGSEGV)
    daemons.await_end(angel)
    assert "Fatal Python error: Segmentation fault" in daemons.log()


def test_a_log_folder_that_vanishes_is_made_again(daemons: Daemons) -> None:
    daemons.start("log-at-usr1", "written")
    worker = daemons.worker()
    daemons.log_path.unlink()
    daemons.log_path.parent.rmdir()
    assert lines(daemons.log() if daemons.log_path.exists() else "") == []
    assert next_line(daemons, worker) in lines(daemons.log())


def test_a_log_that_becomes_unwritable_ends_nobody(daemons: Daemons) -> None:
    daemons.start("log-at-usr1", "written")
    worker = daemons.worker()
    daemons.log_path.unlink()
    daemons.log_path.parent.rmdir()
    daemons.log_path.parent.write_text("in the way")
    next_line(daemons, worker)
    daemons.log_path.parent.unlink()
    assert next_line(daemons, worker) in lines(daemons.log())


def test_hup_opens_the_files_of_a_yaml_document_anew(daemons: Daemons) -> None:
    path = daemons.folder / "own.log"
    (daemons.folder / "mmm_test_log.conf").write_text(YAML.replace("FILE", str(path)))
    daemons.start("log-at-usr1", "written")
    worker = daemons.worker()
    path.rename(daemons.folder / "rotated")
    os.kill(worker, signal.SIGHUP)
    assert next_line(daemons, worker).replace(" ", "=", 1) in path.read_text()


def test_the_angel_acts_though_nobody_takes_its_log(daemons: Daemons) -> None:
    descriptor = full_fifo(daemons.log_path)
    daemons.start("due:stopped")
    daemons.worker()
    assert daemons.event() == 0
    os.close(descriptor)


def test_a_daemon_works_and_ends_though_nobody_takes_its_log(daemons: Daemons) -> None:
    descriptor = full_fifo(daemons.log_path)
    daemons.start("log-at-usr1")
    angel, worker = daemons.angel, daemons.worker()
    for number in range(3):
        os.kill(worker, signal.SIGUSR1)
        assert daemons.event() == number + 1
    os.kill(angel, signal.SIGTERM)
    daemons.await_end(angel)
    os.close(descriptor)


def test_what_a_log_that_hung_has_missed_is_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queue, "BOUND", 3)
    goes_on, written = threading.Event(), queue.SimpleQueue[str]()

    class Hanging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            goes_on.wait(LIMIT)
            written.put(record.getMessage())

    log = logging.getLogger("hangs")
    log.setLevel(logging.INFO)
    log.addHandler(log_queue.Queued([Hanging()]))
    for number in range(6):  # the first is being written, three are kept
        log.info("line %d", number)
    goes_on.set()
    said = [written.get(timeout=LIMIT) for _ in range(5)]
    assert [text for text in said if text.startswith("line")] == ["line 0", "line 1", "line 2", "line 3"]
    assert "2 lines before this one are missing: the log hung" in said
    log.info("line 6")
    assert written.get(timeout=LIMIT) == "line 6"


def test_held_lines_are_written_together_in_their_order_and_no_later_than_the_next_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_queue, "HELD", LIMIT)
    written = queue.SimpleQueue[str]()

    class Written(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.put(record.getMessage())

    log, handler = logging.getLogger("held"), log_queue.Queued([Written()])
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    due: list[Callable[[], None]] = []
    log_queue.hold(lambda _, release: due.append(release))
    log.info("line 0")
    log.info("line 1")
    assert written.empty()
    due[0]()
    assert [written.get(timeout=LIMIT) for _ in range(2)] == ["line 0", "line 1"]
    handler.hold_lines(LIMIT)
    log.info("line 2")
    handler.hold_lines(0.0)
    log.info("line 3")  # nobody has released them
    assert [written.get(timeout=LIMIT) for _ in range(2)] == ["line 2", "line 3"]
    handler.hold_lines(LIMIT)
    log.info("line 4")
    assert handler.drain(LIMIT)  # the process ends
    assert written.get(timeout=LIMIT) == "line 4"


ON_SYSLOG = """
import logging, sys
from pathlib import Path
from mmm.process import logs
folder = Path(sys.argv[1])
logs._SYSLOG = folder / "syslog"
print(logs.set_up(logs.LogSetup("mmm_testd", folder / "none", log_dir=folder / "log")))
logging.warning("over there")
"""


def test_syslog_takes_over_when_the_log_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "syslog"))
        syslog.settimeout(LIMIT)
        done = subprocess.run(
            [sys.executable, "-c", ON_SYSLOG, tmp_path],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        )
        received = syslog.recv(4096).decode()
    assert "logging to syslog instead" in done.stdout
    assert re.fullmatch(r"<28>mmm_testd\[\d+\]: WARN over there\0?", received)
