"""A log on a full disk costs lines, and nothing else: the file goes on as soon as there is room, or another file."""

import logging
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.process.log_queue import Queued
from mmm.process.logs import _LogFile
from tests.unit.test_process_service import LIMIT

FULL = Path("/dev/full")
"""Takes no byte: ENOSPC."""


class Written(logging.Handler):
    """What the thread that logs has come to, whatever happened to the file before."""

    def __init__(self) -> None:
        super().__init__()
        self.said = queue.SimpleQueue[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.put(record.getMessage())


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    logger = logging.getLogger(request.node.name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()


def on_full_disk(folder: Path) -> tuple[Path, _LogFile]:
    """Return the path of a log that cannot be written, and the handler that writes there."""
    path = folder / "mmm.log"
    path.symlink_to(FULL)
    return path, _LogFile(path, logging.INFO, takes_stderr=False)


def test_hup_on_a_full_disk_does_not_end_the_thread_that_logs(tmp_path: Path, log: logging.Logger) -> None:
    _, file = on_full_disk(tmp_path)
    written = Written()
    queued = Queued([file, written])
    log.addHandler(queued)
    log.info("line 0")
    queued.reopen()
    log.info("line 1")
    assert [written.said.get(timeout=LIMIT) for _ in range(2)] == ["line 0", "line 1"]
    queued.reopen()
    log.info("line 2")
    assert written.said.get(timeout=LIMIT) == "line 2"


def test_a_log_moved_away_on_a_full_disk_is_let_go(tmp_path: Path, log: logging.Logger) -> None:
    path, file = on_full_disk(tmp_path)
    log.addHandler(queued := Queued([file]))
    log.info("line 0")
    path.rename(tmp_path / "rotated")
    log.info("line 1")
    log.info("line 2")
    assert queued.drain(LIMIT)
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["1", "2"]
