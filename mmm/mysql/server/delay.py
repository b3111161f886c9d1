"""Sets to 0 by how many seconds a replica is to stay behind, and keeps what it has received.

MySQL     stops the applying thread alone: the relay log stays while the receiving one runs
MariaDB   wants both stopped; with GTID their start throws the relay log away, to fetch all of it again from a source
          that may be gone. So the relay log is read to its end without GTID first:

    begin     one statement: no GTID, no delay, the same place of the relay log, and a source that cannot be reached,
              `///` and its address; the applying thread alone starts
    wait      until the last GTID that was received is applied
    finish    one statement: by GTID again, from the source; both threads start

Between begin and finish the source's name says how far it is (`lifting`): whoever comes next goes on from there, also
after a restart of the server, which starts both threads: what it would fetch then, by a place in the source's log, and
the GTIDs that it would ask for with that, would not be what it lacks. A server that was started does not know any more
which GTIDs it had received; then it is done when the relay log is read to its end.
The place in the source's log is no measure then: right after `begin` the server takes what was received for applied.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from mmm.gtid import mariadb
from mmm.mysql.server.await_applied import Caught, wait_applied, wait_applying
from mmm.mysql.server.change_source import heartbeat, leave_relay_log, read_relay_log, set_delay
from mmm.mysql.server.replica_status import LIFTING, ReplicaStatus
from mmm.mysql.server.replication import replica_status, start_replica, stop_replica
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import whole

_DOMAINS = ("Replicate_Do_Domain_Ids", "Replicate_Ignore_Domain_Ids")


def why_not_lifted(connection: Connection, status: ReplicaStatus) -> str:
    """Return why the delay cannot be set to 0 without a risk for what was received; empty when it can.

    Raises MysqlError.
    """
    if status.lifting:
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
    workers = whole(connection.query(connection.flavour.workers)[0]["workers"])
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
    `lifting` and goes on applying; the next call goes on from there. Raises MysqlError.
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
    if not status.lifting:
        stop_replica(connection, timeout)
        stopped = replica_status(connection) or status
        received = stopped.gtid_received
        begin_lifting(connection, stopped)
    connection.execute(connection.flavour.start_applier, (status.channel,))
    caught = wait_applying(connection, received, deadline - time.monotonic(), between)
    if caught is Caught.REACHED:
        _finish(connection, status)
    return caught


def begin_lifting(connection: Connection, stopped: ReplicaStatus) -> None:
    """Have a stopped MariaDB read its relay log to the end, without GTID and delay; raises MysqlError."""
    kept = heartbeat(connection, stopped.channel)
    source = f"{LIFTING}{stopped.source_ip}"
    connection.execute(*read_relay_log(connection.flavour, stopped.relay, source, kept, stopped.channel))


def finish_lifting(connection: Connection) -> str:
    """Finish what `lift_delay` has begun; returns why not yet, empty when it is done. Raises MysqlError."""
    status = replica_status(connection)
    if status is None or not status.lifting:
        return ""
    if lift_delay(connection, status, 0.0) is Caught.REACHED:
        return ""
    now = replica_status(connection)
    error = replace(now, io_errno=0).last_error if now else ""
    return error or f"not all{up_to(status)} is applied yet"


def up_to(status: ReplicaStatus) -> str:
    """Return the words for how far it was received; empty where that is not known any more."""
    return f" up to {status.gtid_received}" if status.gtid_received else " that was received"


def _finish(connection: Connection, status: ReplicaStatus) -> None:
    """Replicate by GTID again, all of the relay log being applied."""
    stop_replica(connection)
    more = heartbeat(connection, status.channel)
    connection.execute(*leave_relay_log(connection.flavour, status.source_ip, more, status.channel))
    start_replica(connection, status.channel)
