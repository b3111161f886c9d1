"""Sets to 0 by how many seconds a replica is to stay behind, and keeps what it has received.

MySQL     stops the applying thread alone: the relay log stays while the receiving one runs
MariaDB   wants both stopped; with GTID their start throws the relay log away, to fetch all of it again from a source
          that may be gone. So the relay log is read to its end without GTID first:

    begin     one statement: no GTID, a delay of 1 s, the same place of the relay log; the applying thread alone starts
    wait      until the last GTID that was received is applied
    finish    one statement: by GTID again, no delay; both threads start

Between begin and finish the server says itself how far it is (`half_lifted`): whoever comes next goes on from there.
The place in the source's log is no measure then: right after `begin` the server takes what was received for applied.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from mmm.gtid import mariadb
from mmm.mysql.server.change_source import heartbeat, read_relay_log, set_delay
from mmm.mysql.server.replication import (
    HALF,
    Caught,
    ReplicaStatus,
    half_lifted,
    replica_status,
    start_replica,
    stop_replica,
    wait_applied,
    wait_applying,
)
from mmm.mysql.session.connection import Connection

_DOMAINS = ("Replicate_Do_Domain_Ids", "Replicate_Ignore_Domain_Ids")


def why_not_lifted(connection: Connection, status: ReplicaStatus) -> str:
    """Return why the delay cannot be set to 0 without a risk for what was received; empty when it can.

    Raises MysqlError.
    """
    if half_lifted(connection.flavour, status):
        return ""
    if not status.sql_running:
        return (
            "its applying thread is stopped, by hand or by a promotion that was broken off; what was received has to be"
            " applied first"
        )
    if not connection.flavour.mariadb:
        gone = "its receiving thread is stopped, so that MySQL would throw away what was received"
        return gone if status.io_running == "No" else ""
    if not status.uses_gtid:
        return "it replicates without GTID, so that nothing tells what of the relay log is applied"
    rows = connection.query(connection.flavour.replica_status)
    if any(row.get(name) for row in rows for name in _DOMAINS):
        return "it leaves out domains of GTIDs, which MariaDB can do by GTID only"
    domains = {gtid.domain for gtid in mariadb.parse(status.gtid_received)}
    workers = int(connection.query(connection.flavour.workers)[0]["workers"] or 0)
    if len(domains) > 1 and workers:
        return "its parallel threads need not be at one place of the relay log in all domains of GTIDs"
    return "" if domains else "it has received no GTID yet"


def lift_delay(
    connection: Connection,
    status: ReplicaStatus,
    timeout: float,
    between: Callable[[], object] = lambda: None,
) -> Caught:
    """Set the delay to 0 and wait until all that was received is applied, at most `timeout` seconds.

    Only where `why_not_lifted` says nothing. `between` as in `wait_applied`. Where that takes longer MariaDB is left
    half_lifted and goes on applying; the next call goes on from there. Raises MysqlError.
    """
    deadline = time.monotonic() + timeout
    if not connection.flavour.mariadb:
        connection.execute(connection.flavour.stop_applier, (status.channel,), timeout=timeout)
        try:
            connection.execute(*set_delay(connection.flavour, status.channel, {}))
        finally:
            connection.execute(connection.flavour.start_applier, (status.channel,))
        return wait_applied(connection, deadline - time.monotonic(), between)
    received = status.gtid_received
    if not half_lifted(connection.flavour, status):
        stop_replica(connection, timeout)
        stopped = replica_status(connection) or status
        received = stopped.gtid_received
        kept = heartbeat(connection, status.channel)
        connection.execute(
            *read_relay_log(connection.flavour, stopped.relay, {"DELAY": HALF, **kept}, status.channel)
        )
    connection.execute(connection.flavour.start_applier, (status.channel,))
    caught = wait_applying(connection, received, deadline - time.monotonic(), between)
    if caught is Caught.REACHED:
        _finish(connection, status.channel)
    return caught


def finish_lifting(connection: Connection) -> str:
    """Finish what `lift_delay` has begun; returns why not yet, empty when it is done. Raises MysqlError."""
    status = replica_status(connection)
    if status is None or not half_lifted(connection.flavour, status):
        return ""
    if lift_delay(connection, status, 0.0) is Caught.REACHED:
        return ""
    now = replica_status(connection)
    error = replace(now, io_errno=0).last_error if now else ""
    return error or f"not all up to {status.gtid_received} is applied yet"


def _finish(connection: Connection, channel: str) -> None:
    """Replicate by GTID again, all of the relay log being applied."""
    stop_replica(connection)
    connection.execute(*set_delay(connection.flavour, channel, heartbeat(connection, channel), by_gtid=True))
    start_replica(connection, channel)
