"""The binary log of this host's own server, as files, for the agent of another host once the server is dead.

The server tells where it is while it lives. That is kept below /run for an agent that starts later.
"""

import json
import logging
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

from mmm.agent.act import promise_file
from mmm.binlog.events import BEGINNING, read_format
from mmm.binlog.heads import Read, logged
from mmm.binlog.transactions import UnusableError
from mmm.mysql.server.log_home import LogHome, log_files, look_at_log_home
from mmm.mysql.session.connection import Connection
from mmm.wire.binlog import (
    NO_LOG,
    PURGED,
    WRONG_SERVER,
    Asked,
    Extent,
    Piece,
    extent_field,
    piece_fields,
)
from mmm.wire.json_text import parsed

log = logging.getLogger(__name__)

LOOK_LIMIT = 0.25
"""Seconds in which the log is looked through: the other agent waits for a failover, and for this answer one second."""


class LogRefusedError(Exception):
    """The log cannot be read; the text says why, and `code` is one of `mmm.wire.binlog`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class BinlogFiles:
    """Reads the log; `file` keeps where it is, None: nothing does."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._home = _decoded(promise_file.load(file))

    def learn(self, server: Connection) -> None:
        """Ask the server where its log is; raises MysqlError."""
        home = server.ask(look_at_log_home(server))
        if home == self._home:
            return
        self._home = home
        try:
            promise_file.store(self._file, json.dumps(asdict(home)))
        except OSError as error:
            log.warning("where the server's binary log is cannot be kept in %s: %s", self._file, error)

    def fields(self, asked: Asked) -> tuple[str, ...]:
        """Return the reply fields to what is asked for, bytes or how much there is; raises LogRefusedError."""
        piece = self.read(asked)
        if asked.length:
            return piece_fields(piece)
        return *piece_fields(piece), extent_field(self.measure(replace(asked, file=piece.file)))

    def read(self, asked: Asked) -> Piece:
        """Return the bytes that are asked for, fewer at the end of a file; raises LogRefusedError."""
        files = self._files(asked)
        try:
            return _read(files, asked)
        except OSError as error:
            raise _unreadable(error, asked.file) from error

    def measure(self, asked: Asked) -> Extent:
        """Return how much there is from the place that is asked for on, as far as `LOOK_LIMIT` gets.

        Raises LogRefusedError.
        """
        files = self._files(asked)
        begins = list(files).index(asked.file) if asked.file in files else len(files)
        try:
            return _measured(list(files.values())[begins:], asked.position, time.monotonic() + LOOK_LIMIT)
        except OSError as error:
            raise _unreadable(error, asked.file) from error

    def _files(self, asked: Asked) -> dict[str, Path]:
        """Return the files of the log by name, the oldest first; raises LogRefusedError."""
        home = self._home
        if home is None or not home.index:
            why = "where it is was never learned" if home is None else "its server writes none"
            raise LogRefusedError(NO_LOG, f"no binary log: {why}")
        if asked.server_id and asked.server_id != home.server_id:
            text = f"the server here has server_id {home.server_id}, not {asked.server_id}"
            raise LogRefusedError(WRONG_SERVER, text)
        try:
            return log_files(home)
        except OSError as error:
            raise _unreadable(error, home.index) from error


def _unreadable(error: OSError, file: str) -> LogRefusedError:
    text = f"{error.filename or file}: {error.strerror or error}"
    return LogRefusedError(NO_LOG, f"the binary log cannot be read: {text}")


def _measured(files: list[Path], position: int, deadline: float) -> Extent:
    """Return how much the files hold, the first of them from `position` on; what cannot be read by then ends it."""
    first = count = 0
    for number, path in enumerate(files):
        with path.open("rb") as file, suppress(UnusableError, LookupError, ValueError):
            size = file.seek(0, 2)
            file.seek(0)
            form = read_format(file.read(BEGINNING))
            begin = len(form.head) if number else max(position, len(form.head))
            for each in logged(_reader(file, deadline), begin, size, checksums=form.checksums):
                first = first if number or count else each.end - begin
                count += 1
            continue
        return Extent(first, count, ended=False)
    return Extent(first, count, ended=True)


def _reader(file: BinaryIO, deadline: float) -> Read:
    def read(position: int, length: int) -> bytes:
        if time.monotonic() > deadline:
            raise ValueError("it is too long to be looked through")
        file.seek(position)
        return file.read(length)

    return read


def _read(files: dict[str, Path], asked: Asked) -> Piece:
    if not files:
        raise LogRefusedError(PURGED, "the binary log has no files")
    order = list(files)
    wanted = asked.file or order[-1]
    if wanted not in files:
        text = f"the binary log has no {wanted} any more: it begins with {order[0]}"
        raise LogRefusedError(PURGED, text)
    with files[wanted].open("rb") as file:
        size = file.seek(0, 2)
        if asked.position > size:
            raise LogRefusedError(PURGED, f"{wanted} ends at {size}, before {asked.position}")
        file.seek(asked.position)
        data = file.read(min(asked.length, size - asked.position))
    following = order[order.index(wanted) + 1 :]
    return Piece(wanted, asked.position, size, following[0] if following else "", data)


def _decoded(text: str) -> LogHome | None:
    try:
        known = parsed(text)
        return LogHome(
            str(known["index"]), str(known["folder"]), int(known["server_id"]), bool(known["mariadb"])
        )
    except (ValueError, TypeError, KeyError):
        return None
