"""Waits for replication, with a limit: until what was received, or what the source has, is applied (rules 7, 10.2)."""

import time
from collections.abc import Callable
from enum import Enum

from mmm.gtid import mariadb as gtid
from mmm.gtid.place import LogPlace
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import BinlogPosition, history, replica_status
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import only, whole

_WORKERS_AT_WORK = """
    SELECT ID AS id FROM information_schema.PROCESSLIST
    WHERE COMMAND = 'Slave_worker' AND STATE <> 'Waiting for work from SQL thread' LIMIT 1"""
_CHANNELS_AT_WORK = """
    SELECT ID AS id FROM information_schema.PROCESSLIST
    WHERE USER = 'system user' AND COALESCE(STATE, '') NOT LIKE '%has read all relay log%'
    AND COALESCE(STATE, '') <> 'Waiting for an event from Coordinator' AND COALESCE(STATE, '') NOT LIKE '% source%'
    AND COALESCE(STATE, '') NOT LIKE '% master%' AND COALESCE(STATE, '') NOT LIKE '%binlog dump%' LIMIT 1"""
"""MySQL: threads that apply, of whatever channel; one that receives says what it does with its source."""
_SETTLED = 0.5
"""Seconds for which nobody is seen at work before nobody is: on a busy machine a thread that has something to read yet
seems to wait, a worker may have been given work and not begun, and MySQL notes how far they are each 0.3 s."""
_SHORT_NAP = 0.001
_LONG_NAP = 0.02
_LOOK_BETWEEN = 0.2


class Caught(Enum):
    """How a wait for replication ended (rule 10.2)."""

    REACHED = "reached"
    NOT_IN_TIME = "not in time"
    NOT_RUNNING = "not running"


def wait_applied(
    connection: Connection, timeout: float, between: Callable[[], object] = lambda: None
) -> Caught:
    """Wait until every transaction received before this call is applied, at most `timeout` seconds.

    What is `between` is called now and then while it is not.

    A transaction of which the source sent only a part before it died does not count: it is no one's.
    NOT_RUNNING as soon as the applying thread stands still short of that. Raises MysqlError.
    """
    status = replica_status(connection)
    if status is None:
        return Caught.NOT_RUNNING
    if status.lifting:
        return wait_applying(connection, status.gtid_received, timeout, between)
    if status.uses_gtid:
        return _wait(connection, *_gtids(connection, status.gtid_received), timeout, between)
    target, cut_short = status.read, _Rest(connection)

    def reached() -> bool:
        now = replica_status(connection)
        return now is not None and (now.executed.reaches(target) or cut_short.is_all(now))

    return _wait(connection, reached, "", timeout, between)


class _Rest:
    """What was received and is not applied, by file and position: at the end it is a part of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        row = connection.query(connection.flavour.workers)[0]
        self._one_thread = whole(row["workers"]) == 0
        self._since: tuple[LogPlace, float] | None = None

    def is_all(self, now: ReplicaStatus) -> bool:
        """Tell whether nothing more can be applied: all is read, nobody is at work, and the source sends nothing."""
        return self.is_read(now, waits=now.sql_running and now.idle and now.io_running != "Yes")

    def is_read(self, now: ReplicaStatus, *, waits: bool) -> bool:
        """Tell whether the thread that reads the relay log `waits`, and nothing was applied for a while."""
        if not waits or (not self._one_thread and _is_at_work(self._connection)):
            self._since = None
            return False
        if self._since is None or self._since[0] != now.executed:
            self._since = (now.executed, time.monotonic())
        return time.monotonic() - self._since[1] >= _SETTLED


def _is_at_work(connection: Connection) -> bool:
    """Tell whether a parallel worker applies something."""
    asked = _WORKERS_AT_WORK if connection.flavour.mariadb else _CHANNELS_AT_WORK
    return bool(connection.ask(only(asked)))


def wait_for_source(
    connection: Connection,
    target: BinlogPosition,
    timeout: float,
    between: Callable[[], object] = lambda: None,
) -> Caught:
    """Wait until this replica has the source's transactions up to `target`, at most `timeout` seconds.

    `target` is what the source tells `to_reach`. By GTID where it has one, else by place in the log of the
    server that this one replicates from. NOT_RUNNING as soon as replication cannot get there.
    `between` as in `wait_applied`. Raises MysqlError.
    """
    if connection.flavour.mariadb or target.gtid:
        return _wait(connection, *_gtids(connection, target.gtid), timeout, between)

    def reached() -> bool:
        now = replica_status(connection)
        return now is not None and now.executed.reaches(target.place)

    return _wait(connection, reached, "", timeout, between)


def wait_applying(
    connection: Connection, received: str, timeout: float, between: Callable[[], object] = lambda: None
) -> Caught:
    """Wait until these GTIDs, which are in the relay log, are applied, at most `timeout` seconds.

    Where a server that has been started since does not know which they are, until all of the relay log is. NOT_RUNNING
    as soon as the applying thread stands still, whatever places of logs say. `between` as in `wait_applied`. Raises
    MysqlError.
    """
    runs: Callable[[ReplicaStatus | None], bool] = lambda status: status is not None and status.sql_running  # noqa: E731
    reached, awaited = _gtids(connection, received) if received else (_all_read(connection), "")
    return _wait(connection, reached, awaited, timeout, between, runs)


def _all_read(connection: Connection) -> Callable[[], bool]:
    """Return the question whether the whole relay log is applied."""
    rest = _Rest(connection)

    def asked() -> bool:
        now = replica_status(connection)
        return now is not None and rest.is_read(now, waits=now.idle)

    return asked


def has_all(connection: Connection, target: BinlogPosition) -> bool:
    """Tell whether this server has what another tells `to_reach`, where that has GTIDs. Raises MysqlError."""
    return _gtids(connection, target.gtid)[0]()


def _gtids(connection: Connection, wanted: str) -> tuple[Callable[[], bool], str]:
    """Return the question whether the server has the wanted GTIDs, and these as the server can await them."""
    if connection.flavour.mariadb:
        ids = gtid.parse(wanted)
        return lambda: not gtid.missing(history(connection), ids), gtid.text(ids)
    subset = "SELECT GTID_SUBSET(%s, @@global.gtid_executed) AS inside"
    return lambda: whole(connection.query(subset, (wanted,))[0]["inside"]) == 1, wanted


def _can_advance(status: ReplicaStatus | None) -> bool:
    """Tell whether waiting can help: something received is being applied, or more may come."""
    if status is None or not status.sql_running:
        return False
    return status.io_running != "No" or not status.all_applied


def _wait(
    connection: Connection,
    reached: Callable[[], bool],
    awaited: str,
    timeout: float,
    between: Callable[[], object],
    can_advance: Callable[[ReplicaStatus | None], bool] = _can_advance,
) -> Caught:
    """Ask `reached` until it is so; between, sleep in the server on the GTIDs `awaited`, else here."""
    deadline = time.monotonic() + timeout
    nap = _SHORT_NAP
    looks_at = time.monotonic() + _LOOK_BETWEEN
    while not reached():
        if time.monotonic() > looks_at:
            between()
            looks_at = time.monotonic() + _LOOK_BETWEEN
        status = replica_status(connection)
        if not can_advance(status):
            return Caught.REACHED if reached() else Caught.NOT_RUNNING
        left = deadline - time.monotonic()
        if left <= 0:
            return Caught.NOT_IN_TIME
        in_server = connection.flavour.wait_slice
        if awaited and left >= in_server:
            connection.query(
                connection.flavour.wait_gtid, (awaited, in_server), timeout=in_server + connection.timeout
            )
        else:
            time.sleep(min(nap, left))
            nap = min(nap * 1.5, _LONG_NAP)
    return Caught.REACHED
