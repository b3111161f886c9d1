"""The binary log of this host's own server, as files, for the agent of another host once the server is dead.

The server tells where it is while it lives. That is kept below /run for an agent that starts later.
"""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from mmm.agent.act import promise_file
from mmm.mysql.server.log_home import LogHome, log_files, look_at_log_home
from mmm.mysql.session.connection import Connection
from mmm.wire.binlog import NO_LOG, PURGED, WRONG_SERVER, Asked, Piece

log = logging.getLogger(__name__)


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

    def read(self, asked: Asked) -> Piece:
        """Return the bytes that are asked for, fewer at the end of a file; raises LogRefusedError."""
        home = self._home
        if home is None or not home.index:
            why = "where it is was never learned" if home is None else "its server writes none"
            raise LogRefusedError(NO_LOG, f"no binary log: {why}")
        if asked.server_id and asked.server_id != home.server_id:
            text = f"the server here has server_id {home.server_id}, not {asked.server_id}"
            raise LogRefusedError(WRONG_SERVER, text)
        try:
            return _read(log_files(home), asked)
        except OSError as error:
            text = f"{error.filename or home.index}: {error.strerror or error}"
            raise LogRefusedError(NO_LOG, f"the binary log cannot be read: {text}") from error


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
        known = json.loads(text)
        return LogHome(
            str(known["index"]), str(known["folder"]), int(known["server_id"]), bool(known["mariadb"])
        )
    except (ValueError, TypeError, KeyError):
        return None
