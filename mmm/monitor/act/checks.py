"""The four checks, run against a host (rules 6.3, 10.5). Each ends within its timeout, none raises."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

from mmm.config.model import Check, Cluster, Host
from mmm.gtid.place import Hidden, LogPlace, Tail, Unread
from mmm.gtid.semi_sync import said
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Transactions
from mmm.monitor.world.check_results import (
    CheckResult,
    Link,
    Look,
    PingChecked,
    Replica,
    ReplicaChecked,
    ServerChecked,
)
from mmm.monitor.world.checks import GOOD, NO_CAUSE, SOURCE_LACKS_LOG, Cause, Finding, Outcome
from mmm.mysql.server.accounts import look_at_missing_grant
from mmm.mysql.server.binlog_tail import read_tail
from mmm.mysql.server.read_only import look_at_read_only
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import look_at_replica
from mmm.mysql.server.settings import look_at_settings
from mmm.mysql.server.transactions import look_at_transactions
from mmm.mysql.session.connection import (
    Address,
    Connection,
    ErrorKind,
    MysqlError,
    connect,
)
from mmm.mysql.session.question import Question
from mmm.mysql.session.reused import RENEWED, Kept
from mmm.mysql.session.tls import tls_of
from mmm.network.icmp import Pinger

PING_TIMEOUT = 0.5
"""Seconds that a host has to answer an ICMP echo."""
_MOST_THREADS = 64
_MOST_ENCRYPTED = 256
"""Threads that log in, at most; where sessions are encrypted they also ask, one for each question."""
_LOGINS = 20.0
"""Times a second that the monitor logs in to servers at most, only to see that they let it in."""
_SELDOM = 6
"""Connections of the replica checks live this many times longer: they are renewed only to notice changed grants."""
_LOG_LIMIT = 5.0
"""Seconds for a look at a binary log; as long again for its last question."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at a replica found; `error` instead, where the server did not tell."""

    status: ReplicaStatus | None = None
    transactions: Transactions | None = None
    error: MysqlError | None = None
    grant: str = ""
    """The statement that would have let the monitor look."""
    settings: Settings | None = None
    """What the server is set to; None where it was not asked that now."""


class _Server:
    """A host's server as it is asked: on a connection for each kind of question, so that neither waits for the other.

    A look at the replica can hang in a server that is quick to answer everything else.
    """

    def __init__(self, host: Host, threads: Executor, renewed: float) -> None:
        self.ended = asyncio.Event()
        """The server has ended the connection of `alive` since the check that used it, or has `exited`."""
        self.exited = asyncio.Event()
        """Its process has ended since the last check began, as its agent tells."""
        self.address = address = monitor_address(host)
        self.alive = Kept(address, threads, renewed=renewed, ended=self.ended.set)
        self.replica = Kept(address, threads, renewed=_SELDOM * renewed)
        self.reading: asyncio.Future[Reading] | None = None
        self.read_began = -math.inf
        self._seen: Connection | None = None

    def is_new(self, session: Connection) -> bool:
        """Tell whether the session is another one than when this was asked last."""
        new, self._seen = self._seen is not session, session
        return new

    def close(self) -> None:
        """End its connections."""
        self.alive.close()
        self.replica.close()


class Checks:
    """Runs checks, all in the event loop but for logging in, so that a dead host delays nobody (rule 10.8)."""

    def __init__(self, conf: Cluster, pinger: Pinger) -> None:
        self._pinger = pinger
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="log")
        self._pools = [ThreadPoolExecutor(_threads(conf), thread_name_prefix="check")]
        """Threads that log in: the last ones for servers that are asked from now on."""
        self._servers: dict[str, _Server] = {}
        self._go_by(conf)

    def _go_by(self, conf: Cluster) -> None:
        self._conf = conf
        self._renewed = max(RENEWED, len(conf.hosts) / _LOGINS)
        self._masters = frozenset(master.name for master in conf.masters)
        both = [conf.checks[name].check_period for name in ("rep_threads", "rep_backlog")]
        self._fresh = min(both) / 2

    def take(self, conf: Cluster) -> None:
        """Go by another conf; the sessions stay with servers that are asked at the same place by the same user."""
        for name, server in tuple(self._servers.items()):
            if name not in conf.hosts or monitor_address(conf.hosts[name]) != server.address:
                self._servers.pop(name).close()
        if _threads(conf) > _threads(self._conf):
            self._pools.append(ThreadPoolExecutor(_threads(conf), thread_name_prefix="check"))
        self._go_by(conf)

    async def run(self, host: Host, name: str) -> CheckResult:
        """Return what the named check finds on the host; UNKNOWN where it cannot make sense of an answer."""
        try:
            return await self._run(host, name)
        except Exception as error:
            log.exception("%s: check %s ended by an internal error", host.name, name)
            return _internal(host.name, name, _error(error, Outcome.UNKNOWN))

    async def look_anew(self, host: Host) -> tuple[CheckResult, CheckResult]:
        """Return what both checks of the replica find now, not what a look has found that began before."""
        server = self._server(host)
        if server.reading is not None:
            await asyncio.wait([server.reading])
        server.read_began = -math.inf
        return await self.run(host, "rep_threads"), await self.run(host, "rep_backlog")

    async def read_log(self, host: Host, since: LogPlace) -> Tail:
        """Return what the binary log of a host's server has behind the place."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, read_log, host, since)

    def exited(self, host: Host) -> None:
        """Have the mysql check run at once: the process of the host's server has ended."""
        server = self._server(host)
        server.exited.set()
        server.ended.set()

    async def wait(self, host: Host, name: str, seconds: float, *, exit_only: bool = False) -> bool:
        """Wait that many seconds, but no longer than the mysql check's connection stands; returns whether it broke.

        A server that dies ends its connections at that moment, and there is no need to wait for the next check.
        With `exit_only` only the end of the server's process ends the wait.
        """
        if name != "mysql":
            await asyncio.sleep(seconds)
            return False
        server = self._server(host)
        try:
            async with asyncio.timeout(seconds):
                await (server.exited if exit_only else server.ended).wait()
        except TimeoutError:
            return False
        return True

    async def _run(self, host: Host, name: str) -> CheckResult:
        if name == "ping":
            return await self._ping(host)
        if name == "mysql":
            return await self._mysql(host, self._conf.checks[name])
        judge = {"rep_threads": judge_threads, "rep_backlog": _judge_backlog}[name]
        check = self._conf.checks[name]
        return replica_result(host, check, judge, await self._read(host, check))

    async def _ping(self, host: Host) -> PingChecked:
        if await self._pinger.ping(host.ip, PING_TIMEOUT) is not None:
            return PingChecked(host.name, GOOD)
        about = {"ip": host.ip, "seconds": PING_TIMEOUT}
        return PingChecked(host.name, Finding("no_echo", about, Outcome.ERROR))

    async def _mysql(self, host: Host, check: Check) -> ServerChecked:
        server = self._server(host)
        result = await self._asked(host, check, server)
        if result.finding.outcome is Outcome.OK and server.exited.is_set():  # it has answered before its end
            result = await self._asked(host, check, server)
        return result

    @staticmethod
    async def _asked(host: Host, check: Check, server: _Server) -> ServerChecked:
        server.ended.clear()
        server.exited.clear()
        return await check_mysql(host, check, server.alive)

    async def _read(self, host: Host, check: Check) -> Reading:
        """Return what the replica says now; both checks of it share a look where they are due together."""
        server, loop = self._server(host), asyncio.get_running_loop()
        at_work = server.reading is not None and not server.reading.done()
        if server.reading is None or not (at_work or loop.time() - server.read_began < self._fresh):
            server.read_began = loop.time()
            server.reading = loop.create_task(
                read_replica(
                    server.replica, check.timeout, master=host.name in self._masters, new=server.is_new
                )
            )
        return await asyncio.shield(server.reading)

    def _server(self, host: Host) -> _Server:
        found = self._servers.get(host.name)
        if found is None:
            # The first sessions are all made at once: the next ones are not to be.
            part = 0.75 + 0.5 * len(self._servers) / len(self._conf.hosts)
            found = self._servers[host.name] = _Server(host, self._pools[-1], part * self._renewed)
        return found

    def close(self) -> None:
        """End the threads as they come to their limits."""
        for threads in self._pools:
            threads.shutdown(wait=False, cancel_futures=True)
        self._readers.shutdown(wait=False, cancel_futures=True)
        for server in self._servers.values():
            server.close()


def _threads(conf: Cluster) -> int:
    """Return how many threads log in to servers; encrypted sessions are also asked in them."""
    asked_in_threads = any(monitor_address(host).tls for host in conf.hosts.values())
    return min(_MOST_ENCRYPTED if asked_in_threads else _MOST_THREADS, 2 * len(conf.hosts) + 2)


def monitor_address(host: Host) -> Address:
    """Return where the monitor user reaches the host's server."""
    return Address(host.ip, host.mysql_port, host.monitor_user, host.monitor_password, tls_of(host))


async def check_mysql(host: Host, check: Check, server: Kept) -> ServerChecked:
    """Connect and run a trivial query. Any error packet proves the server alive: UNKNOWN (rule 10.5)."""
    try:
        may_write = await server.ask(look_at_read_only, check.timeout)
    except MysqlError as error:
        outcome = Outcome.UNKNOWN if error.server_alive else Outcome.ERROR
        return ServerChecked(host.name, _error(error.text, outcome), cause=_cause(error))
    return ServerChecked(host.name, GOOD, writable=may_write)


def _internal(host: str, name: str, finding: Finding) -> CheckResult:
    """Return that the check has ended by an error of the monitor."""
    cause = Cause("internal")
    match name:
        case "ping":
            return PingChecked(host, finding)
        case "mysql":
            return ServerChecked(host, finding, cause=cause)
        case _:
            return ReplicaChecked(host, name, finding, cause=cause)


def _error(text: object, outcome: Outcome) -> Finding:
    return Finding("error", {"text": str(text)}, outcome)


def _cause(error: MysqlError, grant: str = "") -> Cause:
    return Cause(error.kind.name.lower(), error.number, grant)


def read_log(host: Host, since: LogPlace) -> Tail:
    """Return what the server's binary log has behind the place, or why that cannot be told, in some seconds."""
    seen = time.monotonic()
    try:
        with connect(monitor_address(host), _LOG_LIMIT) as connection:
            return read_tail(connection, since, _LOG_LIMIT)
    except MysqlError as error:
        return Tail(since, seen, unread=Unread(Hidden.NO_ANSWER, error=error.text))
    except (LookupError, TypeError, ValueError) as error:  # a proxy may answer anything
        return Tail(since, seen, unread=Unread(Hidden.SENSELESS, error=str(error)))


async def read_replica(
    server: Kept, limit: float, *, master: bool = True, new: Callable[[Connection], bool] = lambda _: False
) -> Reading:
    """Return what a server says of its replication and its transactions within `limit` seconds.

    The end of its binary log and its settings only count of one that may be `master`; the settings are read on a
    session that is `new`.
    """
    try:
        reading = await server.ask(lambda connection: _look(connection, new, master=master), limit)
    except MysqlError as error:
        return Reading(error=error)
    if reading.error is not None:
        server.close()  # only a new session sees a privilege that was granted meanwhile
    return reading


def _look(connection: Connection, new: Callable[[Connection], bool], *, master: bool) -> Question[Reading]:
    reading = yield from _look_at_replica(connection, with_end=master)
    if master and new(connection):
        reading = replace(reading, settings=(yield from _settings(connection)))
    return reading


def _look_at_replica(connection: Connection, *, with_end: bool) -> Question[Reading]:
    try:
        status = yield from look_at_replica(connection)
    except MysqlError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        return Reading(error=error, grant=(yield from look_at_missing_grant(connection)))
    return Reading(status, (yield from _transactions(connection, status, with_end=with_end)))


def replica_result(
    host: Host, check: Check, judge: Callable[[ReplicaStatus, Check], Finding], reading: Reading
) -> ReplicaChecked:
    """Return what a check of the replica makes of what was read."""
    if (error := reading.error) is not None:
        # Whatever keeps the monitor from looking says nothing of replication.
        cause, finding = _cause(error, reading.grant), _error(error.text, Outcome.UNKNOWN)
        return ReplicaChecked(host.name, check.name, finding, None, cause, reading.settings)
    status = reading.status
    if status is None:
        finding, look = Finding("not_configured", outcome=Outcome.ERROR), Look(None, reading.transactions)
        return ReplicaChecked(host.name, check.name, finding, look, settings=reading.settings)
    finding = judge(status, check)
    if status.detached:
        finding = Finding("detached", {"source": status.source_ip}, Outcome.ERROR)
    if check.name == "rep_threads" and finding == GOOD and reading.transactions is not None:
        state = said(reading.transactions.semi_sync)
        finding = Finding("semi_sync", {"state": state}) if state else GOOD
    look = Look(_replica(status), reading.transactions)
    return ReplicaChecked(host.name, check.name, finding, look, _lasting(status), reading.settings)


def _replica(status: ReplicaStatus) -> Replica:
    link = Link.CONNECTING if status.io_running == "Connecting" else Link.ATTACHED
    return Replica(
        status.source_ip,
        status.uses_gtid,
        status.seconds_behind,
        Link.DETACHED if status.detached else link,
        status.delay,
    )


def _transactions(
    connection: Connection, status: ReplicaStatus | None, *, with_end: bool
) -> Question[Transactions | None]:
    """Ask what the server has; the check does not depend on it."""
    try:
        return (yield from look_at_transactions(connection, status, with_end=with_end))
    except (MysqlError, LookupError, TypeError, ValueError):  # a proxy may answer anything
        return None


def _settings(connection: Connection) -> Question[Settings | None]:
    try:
        return (yield from look_at_settings(connection))
    except (MysqlError, LookupError, TypeError, ValueError):  # a proxy may answer anything
        return None


def judge_threads(status: ReplicaStatus, _: Check) -> Finding:
    """Return what rep_threads finds."""
    stopped = [("IO", status.io_error)] if status.io_running == "No" else []
    if not status.sql_running:
        stopped.append(("SQL", status.sql_error))
    if stopped:
        return Finding("threads_stopped", {"stopped": tuple(stopped)}, Outcome.ERROR)
    about = {"source": f"{status.source_ip}:{status.source_port}", "error": status.io_error}
    if status.refused:
        return Finding("refused_by_source", about, Outcome.ERROR)
    return Finding("connecting", about) if status.io_running == "Connecting" else GOOD


def _lasting(status: ReplicaStatus) -> Cause:
    """Return what a replica's error says that no waiting mends."""
    if status.refused or status.source_lacks_log:
        return Cause("refused_by_source" if status.refused else SOURCE_LACKS_LOG, status.io_errno)
    return Cause("rows_differ", status.sql_errno) if status.rows_differ else NO_CAUSE


def _judge_backlog(status: ReplicaStatus, check: Check) -> Finding:
    behind = status.seconds_behind
    if behind is None:
        return Finding("no_backlog", outcome=Outcome.UNKNOWN)
    if behind > check.max_backlog:
        return Finding("too_far_behind", {"seconds": behind, "limit": check.max_backlog}, Outcome.ERROR)
    return Finding("behind", {"seconds": behind}) if behind else GOOD
