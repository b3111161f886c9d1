"""Stops replication though only a part of a transaction was received, because its source has died (rule 10.10).

MySQL's coordinator waits for the rest of it for a minute when it is to stop, and its worker keeps the rows locked as
long. The rest never comes: the coordinator is ended, and what was applied of the transaction is rolled back. MariaDB
stops at once.
"""

from mmm.mysql.server.replication import replica_status, stop_replica
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, connect

SOON = 0.3
"""Seconds after which MySQL is taken to wait for the rest of a transaction."""
LOGIN_LIMIT = 1.0
"""Seconds that the server may take to let the agent in."""
_WAITS = """
    SELECT ID AS id FROM information_schema.PROCESSLIST
    WHERE USER = 'system user' AND STATE LIKE '%has read all relay log%'"""
_APPLIES = """
    SELECT PROCESSLIST_ID AS id FROM performance_schema.threads WHERE THREAD_ID IN (
        SELECT THREAD_ID FROM performance_schema.replication_applier_status_by_coordinator WHERE CHANNEL_NAME = %s
        UNION SELECT THREAD_ID FROM performance_schema.replication_applier_status_by_worker
        WHERE CHANNEL_NAME = %s AND WORKER_ID = 0)"""
"""The thread of a channel that waits for events, with workers or without."""


def end_waiting(connection: Connection, channel: str) -> bool:
    """End the thread that waits for more of a transaction while the channel is to stop; tells whether it was found.

    Where there are other channels it may be the thread of one of these, whose own is just at work: then the server has
    to say whose each is, for which it needs performance_schema and the account SELECT on it. Else none is ended. Raises
    MysqlError.
    """
    if connection.flavour.mariadb:
        return False
    waiting = {row["id"] for row in connection.query(_WAITS)}
    if len(waiting) > 1 or len(connection.query(connection.flavour.replica_status)) > 1:
        waiting &= _of_channel(connection, channel)
    if len(waiting) != 1:
        return False
    connection.execute(f"KILL {int(waiting.pop() or 0)}")
    return True


def _of_channel(connection: Connection, channel: str) -> set[str | None]:
    try:
        return {row["id"] for row in connection.query(_APPLIES, (channel, channel))}
    except MysqlError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        return set()


def stop_soon(connection: Connection, timeout: float | None = None) -> None:
    """Stop replication as `stop_replica` does, and without waiting for the rest of a transaction; raises MysqlError."""
    status = None if connection.flavour.mariadb else replica_status(connection)
    if status is not None and status.idle and not status.all_applied:
        with connect(connection.address, LOGIN_LIMIT) as other:
            try:
                stop_replica(other, SOON)
            except MysqlError as error:
                if error.kind is not ErrorKind.TIMED_OUT:
                    raise
                end_waiting(connection, status.channel)
    stop_replica(connection, timeout)
