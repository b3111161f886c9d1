"""Which transactions a server has, asked on a connection that exists anyway (rules 10.1, 10.16)."""

import time
from dataclasses import replace

from mmm.gtid import mariadb, mysql
from mmm.gtid.place import NOWHERE, LogPlace
from mmm.gtid.semi_sync import SemiSync
from mmm.gtid.transactions import Executed, Transactions
from mmm.mysql.server.read_only import is_on
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import executed_in, look_at_binlog_end
from mmm.mysql.server.semi_sync import ask_with_settings, look_at_semi_sync
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, Row
from mmm.mysql.session.question import Question, whole


def look_at_transactions(
    connection: Connection, status: ReplicaStatus | None, *, with_end: bool = True
) -> Question[Transactions]:
    """Ask what the server has; `status` is its replica's status, read on this connection just before.

    Needs no privilege but for the end of the binary log, which is NOWHERE without `with_end`: REPLICATION CLIENT, on
    MariaDB BINLOG MONITOR. Plugins of semi-sync that are loaded later are seen on a new connection.
    """
    seen = time.monotonic()
    state, semi_sync = yield from _state(connection)
    end = (yield from _end(connection)) if with_end else NOWHERE
    executed = executed_in(connection.flavour, state)
    known = Transactions(
        seen,
        str(state["origin"]),
        executed,
        end,
        writable=not is_on(state["read_only"]),
        semi_sync=semi_sync,
        server_id=whole(state["server_id"]),
    )
    if status is None:
        return known
    return replace(
        known,
        source_ip=status.source_ip,
        source_port=status.source_port,
        read=status.read,
        applied=status.executed,
        detached=status.detached,
        received=None if status.detached else _received(executed, status.gtid_received),
    )


def _state(connection: Connection) -> Question[tuple[Row, SemiSync]]:
    """Ask for `gtid_state` and semi-sync, in one statement where that can be."""
    statement = connection.flavour.gtid_state
    both = yield from ask_with_settings(connection, f"{statement}, ")
    state = both or (yield statement)[0]
    if connection.semi_sync_names == ():
        return state, SemiSync()
    return state, (yield from look_at_semi_sync(connection, both))


def _received(executed: Executed | None, received: str) -> Executed | None:
    match executed:
        case None:
            return None
        case mysql.GtidSet():
            return mysql.parse(received)
        case mariadb.History():
            return mariadb.History(applied=mariadb.parse(received), logged=())


def _end(connection: Connection) -> Question[LogPlace]:
    """Ask for the end of the server's binary log, NOWHERE where it has none or does not tell this user."""
    try:
        return (yield from look_at_binlog_end(connection))
    except MysqlError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        return NOWHERE
