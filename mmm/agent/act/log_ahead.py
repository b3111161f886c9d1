"""Gets a dead writer's binary log before this host is told to take over: it is in memory when it is needed (rule 12.1).

It is only got. Nothing of it is applied before the order to take over, which comes once the old writer has let go: by
then its end is looked at again, and what has come since is got.
"""

import asyncio
import logging
import math
import ssl
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.binlog_fetch import MEGABYTE, Source, differs, fetch
from mmm.agent.act.binlog_known import NOTHING, Known
from mmm.config.model import Cluster
from mmm.gtid.place import LogPlace
from mmm.mysql.server.replication import replica_status
from mmm.mysql.session.connection import MysqlError, connect
from mmm.network.agent_port import AgentPort

log = logging.getLogger(__name__)

MOST = 64 * MEGABYTE
"""Bytes of a log that are kept; what stands behind them is got when it is needed."""
KEPT = 60.0
"""Seconds after the monitor has asked for it last until it is dropped."""
LIMIT = 60.0
"""Seconds in which it is got, or as much of it as comes."""
HANDED_OVER = 0.3
"""Seconds for which the order to take over waits for the piece that is just coming."""
LOGIN_LIMIT = 2.0
"""Seconds that the server here may take to say how far it is."""


@dataclass(frozen=True)
class _Work:
    """Getting the log of one host."""

    host: str
    enough: threading.Event
    """It is needed now, or not at all."""
    before: Known
    """What was here already."""
    known: "Future[Known]"


class LogAhead:
    """Keeps the end of one other host's log. `get` is for the loop, `known` and `forget` for any thread. `close` it."""

    def __init__(self, conf: Cluster, most: int = MOST) -> None:
        """`most` is how many bytes are kept."""
        self._conf = conf
        self._most = most
        self._agents = AgentPort(conf.auth_key)
        self._getter = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._lock = threading.Lock()
        self._work: _Work | None = None
        self._timer: asyncio.TimerHandle | None = None

    def use(self, tls: ssl.SSLContext | None) -> None:
        """Ask other agents over `tls` from now on."""
        self._agents.tls = tls

    def get(self, host: str) -> None:
        """Get what the log of a host has beyond what is here, or what has come since; returns at once."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(KEPT, self.forget)
        with self._lock:
            before = self._work
            if before is not None and before.host == host and not before.known.done():
                return
            if before is not None:
                before.enough.set()
            enough, known = threading.Event(), _done(before) if before and before.host == host else NOTHING
            self._work = _Work(host, enough, known, self._getter.submit(self._got, host, known, enough))

    def known(self, host: str) -> Known:
        """Return what is here of that host's log, and get no more of it; less than that where it is not at hand."""
        with self._lock:
            work = self._work
        if work is None or work.host != host:
            return NOTHING
        work.enough.set()
        with suppress(TimeoutError, CancelledError):
            return work.known.result(HANDED_OVER)
        return work.before

    def forget(self) -> None:
        """Drop what is here."""
        with self._lock:
            work, self._work = self._work, None
        if work is not None:
            work.enough.set()
            log.info("%s: forgets what was got of a binary log in advance", self._conf.this)

    def close(self) -> None:
        """Drop what is here, and get nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self.forget()
        self._getter.shutdown(wait=False, cancel_futures=True)

    def _got(self, host: str, known: Known, enough: threading.Event) -> Known:
        """Return what is here of a log once more of it is; never raises: a takeover goes on without."""
        try:
            return self._more(host, known, enough)
        except Exception:
            text = "%s: an internal error: the binary log of %s is not got in advance"
            log.exception(text, self._conf.this, host)
            return known

    def _more(self, host: str, known: Known, enough: threading.Event) -> Known:
        there, here = self._conf.hosts[host], self._conf.hosts[self._conf.this]
        try:
            with connect(agent_at(here), LOGIN_LIMIT) as server:
                status = replica_status(server)
        except MysqlError as error:
            log.info("%s: the binary log of %s is not got in advance: %s", here.name, host, error.text)
            return known
        if status is None or not status.executed.file or enough.is_set():
            return known
        source = Source(host, there.ip, there.agent_port, self._agents, status.source_server_id)
        if known.parts and differs(source, known, _patience):
            known = NOTHING
        since = LogPlace(known.parts[-1].file, known.parts[-1].end) if known.parts else status.executed
        most = max(0, self._most - known.size)
        got = fetch(source, since, _patience, most, math.inf, enough.is_set) if most else None
        if got is None or not got.size:
            return known
        more = known.with_more(got.parts)
        why = f": {got.why}" if got.why else ""
        text = "%s: got %.3f MB of the binary log of %s in advance%s"
        log.info(text, here.name, more.size / MEGABYTE, host, why)
        return more


def _patience() -> float:
    return LIMIT


def _done(work: _Work) -> Known:
    """Return what getting a log has come to, nothing where it has not ended well."""
    with suppress(Exception):
        return work.known.result(0.0)
    return NOTHING
