"""Which transactions a server has, asked on a connection that is there anyway (SPEC 10.1, 10.16)."""

import time

from mmm.gtid import mariadb, mysql
from mmm.gtid.place import NOWHERE, LogPlace
from mmm.gtid.transactions import Executed, Transactions
from mmm.mysql.connection import Connection, ErrorKind, MysqlError, Row
from mmm.mysql.replication import ReplicaStatus


def read_transactions(connection: Connection, status: ReplicaStatus | None) -> Transactions:
    """Return what the server has; `status` is its replica's status, read on this connection just before.

    Needs no privilege but for the end of the binary log: REPLICATION CLIENT, on MariaDB BINLOG MONITOR.
    Raises MysqlError.
    """
    seen = time.monotonic()
    state = connection.query(connection.flavour.gtid_state)[0]
    end = _end(connection)
    executed = _executed(state, mariadb_words=connection.flavour.mariadb)
    known = Transactions(seen, str(state["origin"]), executed, end)
    if status is None:
        return known
    return Transactions(
        seen,
        known.origin,
        executed,
        end,
        source_ip=status.source_ip,
        source_port=status.source_port,
        connected=status.io_running == "Yes",
        read=status.read,
        applied=status.executed,
        received=_received(executed, status.gtid_received),
    )


def _executed(state: Row, *, mariadb_words: bool) -> Executed | None:
    if mariadb_words:
        return mariadb.History(
            applied=mariadb.parse(str(state["slave_pos"] or "")),
            logged=mariadb.parse(str(state["binlog_state"] or "")),
        )
    return mysql.parse(str(state["executed"] or "")) if str(state["gtid_mode"]).upper() == "ON" else None


def _received(executed: Executed | None, received: str) -> Executed | None:
    match executed:
        case None:
            return None
        case mysql.GtidSet():
            return mysql.parse(received)
        case mariadb.History():
            return mariadb.History(applied=mariadb.parse(received), logged=())


def _end(connection: Connection) -> LogPlace:
    """Return the end of the server's binary log, NOWHERE where it has none or does not tell this user."""
    try:
        rows = connection.query(connection.flavour.binlog_status)
    except MysqlError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        return NOWHERE
    return LogPlace(str(rows[0]["File"]), int(rows[0]["Position"])) if rows else NOWHERE
