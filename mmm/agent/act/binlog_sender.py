"""Answers another host's agent that asks for the binary log of the server here, which is dead (rules 4, 10.10)."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmm.agent.act.binlog_files import BinlogFiles, LogRefusedError
from mmm.agent.act.replies import Replies
from mmm.config.model import Host
from mmm.mysql.session.connection import Connection
from mmm.network.socket_table import listening
from mmm.wire import why
from mmm.wire.agent import Request, WireError
from mmm.wire.binlog import HAS_ROLE, Asked, asked_binlog

log = logging.getLogger(__name__)


class BinlogSender:
    """Serves the log of this host's server. `close` it."""

    def __init__(self, here: Host, replies: Replies, has_role: Callable[[], bool]) -> None:
        self._here = here
        self._replies = replies
        self._has_role = has_role
        self._files = BinlogFiles(Path(f"{here.pid_path}.binlog") if here.pid_path else None)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="binlog")

    def learn(self, server: Connection) -> None:
        """Ask the server where its log is, while it lives; raises MysqlError."""
        self._files.learn(server)

    async def answer(self, request: Request) -> bytes:
        """Return the reply, with its LF."""
        try:
            asked = asked_binlog(request)
        except WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        if self._has_role() and self._may_serve():
            text = f"{self._here.name} may be the active master still, and its server lives"
            return self._replies.error(HAS_ROLE, text)
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, asked)

    def close(self) -> None:
        """End the thread that reads."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _may_serve(self) -> bool:
        try:
            return bool(listening(self._here.mysql_port))
        except OSError:
            return True

    def _read(self, asked: Asked) -> bytes:
        try:
            fields = self._files.fields(asked)
        except LogRefusedError as error:
            return self._replies.error(error.code, str(error))
        if not asked.position:
            text = "%s: sends the binary log of its server, %s, to another host's agent"
            log.info(text, self._here.name, fields[0])
        return self._replies.reply("OK: Returning a part of the binary log!", fields)
