"""Applies transactions of another server's binary log with their own GTIDs, each whole or not at all (rules 7, 10.10).

Replication has to stand still meanwhile, and nobody else may write. The statements are those of mariadb-binlog or
mysqlbinlog, see `mmm.binlog.replay`; a session of the agent's user sends them. On MariaDB that one needs BINLOG REPLAY,
on MySQL REPLICATION_APPLIER, INSERT, UPDATE and DELETE; and what statements that were logged as such, CREATE TABLE
say, need anywhere.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from mmm.binlog.replay import Batch
from mmm.gtid import mariadb
from mmm.gtid.mariadb import History
from mmm.gtid.place import LogPlace
from mmm.mysql.server.change_source import heartbeat, rename_source
from mmm.mysql.server.read_only import is_on
from mmm.mysql.server.replica_status import DETACHED, ReplicaStatus
from mmm.mysql.server.replication import history
from mmm.mysql.session.connection import OF_THE_SERVER, Address, Connection, ErrorKind, MysqlError, connect

LOGIN_LIMIT = 1.0
"""Seconds that the server may take to let the agent in."""
GONE_LIMIT = 2.0
"""Seconds that a session which was at work too long may take to end."""
_AT_WORK = """
    SELECT ID FROM information_schema.PROCESSLIST
    WHERE ID = %s AND NOT (COMMAND = 'Killed' AND COALESCE(STATE, '') LIKE 'roll%%')"""
"""A large transaction may take seconds to roll back; a session that was ended and has begun to will commit nothing."""
_NAP = 0.01


@dataclass(frozen=True, slots=True)
class Replayed:
    """How far it went."""

    count: int = 0
    """So many transactions."""
    problem: str = ""
    """Why not all was applied, in one line."""
    late: bool = False
    """The time was over."""
    denied: bool = False
    """The agent's user may not."""


def replay(address: Address, batches: Iterable[Batch], left: Callable[[], float]) -> Replayed:
    """Apply what `batches` holds in order on a session made for it, for as long as `left` tells, in seconds.

    Ends before the first transaction that cannot be applied, without a part of it. Raises MysqlError where the server
    does not let the agent in, or where a session that was stopped may still be at work.
    """
    with connect(address, LOGIN_LIMIT) as session, _writable_for_us(session):
        session.execute(OF_THE_SERVER)
        number = int(session.query("SELECT CONNECTION_ID() AS id")[0]["id"] or 0)
        done = Replayed()
        for transaction, statements in batches:
            try:
                for statement in statements:
                    seconds = left()
                    if seconds <= 0:
                        return _with(done, "the time is over", late=True)
                    session.send(statement, seconds)
            except MysqlError as error:
                late = error.kind is ErrorKind.TIMED_OUT
                _end(address, number)
                name = f"{transaction.name}: " if transaction else ""
                return _with(done, f"{name}{error.text}", late=late, denied=error.kind is ErrorKind.DENIED)
            if transaction is not None:
                done = Replayed(done.count + 1)
        return done


def _with(done: Replayed, problem: str, *, late: bool = False, denied: bool = False) -> Replayed:
    return Replayed(done.count, problem, late, denied)


class _writable_for_us:  # noqa: N801  # a context manager, read as a phrase
    """Let a user write that may in spite of read_only: MySQL's super_read_only would keep out everybody."""

    def __init__(self, session: Connection) -> None:
        self._session = session
        self._sealed = False

    def __enter__(self) -> None:
        if self._session.flavour.mariadb:
            return
        row = self._session.query("SELECT @@global.super_read_only AS sealed")[0]
        self._sealed = is_on(row["sealed"])
        if self._sealed:
            self._session.execute("SET GLOBAL super_read_only=0")

    def __exit__(self, *_: object) -> None:
        if self._sealed:
            with suppress(MysqlError), connect(self._session.address, LOGIN_LIMIT) as session:
                session.execute("SET GLOBAL super_read_only=1")


def _end(address: Address, number: int) -> None:
    """See that a session is gone, or is rolling back what it was at; raises MysqlError where it may still commit."""
    with connect(address, LOGIN_LIMIT) as session:
        with suppress(MysqlError):
            session.execute(f"KILL CONNECTION {number}")
        deadline = time.monotonic() + GONE_LIMIT
        while session.query(_AT_WORK, (number,)):
            if time.monotonic() > deadline:
                text = f"MySQL at {address}: session {number}, which was stopped, is still at work"
                raise MysqlError(ErrorKind.TIMED_OUT, 0, text)
            time.sleep(_NAP)


def go_on_behind(
    replica: Connection,
    status: ReplicaStatus,
    last: LogPlace | None,
    origin: int,
    gtids: Iterable[mariadb.Gtid] = (),
) -> None:
    """Have the stopped replica go on behind what it has of its source otherwise than by replication.

    `last` is the place in the source's log up to which it has all, None: that is not known; `gtids` are the last
    ones of each domain up to there. `origin` is the source's server_id. Doing it again changes nothing. Raises
    MysqlError.
    """
    if replica.flavour.mariadb and (behind := _behind(history(replica), origin, gtids)):
        replica.execute("SET GLOBAL gtid_slave_pos=%s", (mariadb.text(behind),))
    if last is not None and not status.uses_gtid and not status.executed.reaches(last):
        more = heartbeat(replica, status.channel)
        host = f"{DETACHED if status.detached else ''}{status.source_ip}"
        replica.execute(*rename_source(replica.flavour, host, last, more, status.channel))


def _behind(has: History, origin: int, gtids: Iterable[mariadb.Gtid]) -> tuple[mariadb.Gtid, ...]:
    """Return gtid_slave_pos with the source's own last transaction that is logged here; empty where it says that.

    So too with `gtids`, which are of other servers where these once replicated to the source.
    """
    newest = {gtid.domain: gtid for gtid in has.applied}
    for gtid in (*(each for each in has.logged if each.server == origin), *gtids):
        known = newest.get(gtid.domain)
        if known is None or gtid.sequence > known.sequence:
            newest[gtid.domain] = gtid
    behind = tuple(newest[domain] for domain in sorted(newest))
    return () if set(behind) == set(has.applied) else behind
