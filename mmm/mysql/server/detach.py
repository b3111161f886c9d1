"""Detaches a master from its source: nothing arrives from there by itself, not even after a restart of the server.

A server that starts begins to replicate at once. So stopping is not enough: the source gets a host name that cannot be
reached, `//` and its own, as Orchestrator does it. Whatever looks at the server sees that it is detached, and from
whom; nobody has to remember it. User, password, TLS options and GTID mode stay, and without GTID the place.
"""

from mmm.mysql.server.await_applied import Caught, wait_applied
from mmm.mysql.server.change_source import heartbeat, leave_relay_log, rename_source
from mmm.mysql.server.half_received import stop_soon
from mmm.mysql.server.replica_status import DETACHED, ReplicaStatus
from mmm.mysql.server.replication import replica_status, start_replica, stop_replica
from mmm.mysql.server.resume import go_on_from_own
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError

STOP_LIMIT = 1.0
"""Seconds that receiving may take to stop. MySQL needs 2 s where it tries to connect to a host that is silent."""

APPLY_LIMIT = 1.0
"""Seconds that the rest of what was received may take to be applied."""
ATTACH_LIMIT = 1.0
"""Seconds that a source may take to get what it lacks of what is here."""


def stop_receiving(connection: Connection) -> bool:
    """Take nothing more from the source; what was received is still applied.

    Returns whether the receiving thread has ended. Where it has not, the server was told: it looks at that before it
    takes what it reads, and the connection is closed. Raises MysqlError.
    """
    status = replica_status(connection)
    if status is None or status.detached or status.io_running == "No":
        return True
    try:
        connection.execute(connection.flavour.stop_receiver, (status.channel,), timeout=STOP_LIMIT)
    except MysqlError as error:
        if error.kind is not ErrorKind.TIMED_OUT:
            raise
        return False
    return True


def detach(connection: Connection, *, throw_away: float | None = None) -> str:
    """Make the source unreachable once all that was received is applied; returns why not, empty when it is done.

    Waits `APPLY_LIMIT` for that: what is not applied would be thrown away, and may be nowhere else. With `throw_away`
    it is, if the transaction at work ends within that number of seconds. Raises MysqlError.
    """
    status = replica_status(connection)
    if status is None or status.detached:
        return ""
    if throw_away is None and wait_applied(connection, APPLY_LIMIT) is not Caught.REACHED:
        return f"not all that was received of {status.source_ip} is applied, and that would be thrown away"
    _rename(connection, status, f"{DETACHED}{status.source_ip}", throw_away)
    return ""


def attach(connection: Connection, source: Connection | None = None) -> str:
    """Replicate from the source again; returns why not yet, empty when it is done. Raises MysqlError.

    It goes on from where replication was. With a connection to that `source` it is seen to that its log reaches back to
    there, also when its data were copied from this server, see mmm.mysql.server.resume.
    """
    status = replica_status(connection)
    if status is None or not status.detached:
        return ""
    stop_replica(connection)
    if source is not None and (why_not := go_on_from_own(connection, status, source, ATTACH_LIMIT)):
        return why_not
    _rename(connection, status, status.source_ip)
    start_replica(connection, status.channel)
    return ""


def _rename(connection: Connection, status: ReplicaStatus, host: str, timeout: float | None = None) -> None:
    stop_soon(connection, timeout)
    stopped = replica_status(connection) or status
    place = None if status.uses_gtid or not stopped.executed.file else stopped.executed
    more = heartbeat(connection, status.channel)
    if status.lifting:  # without the relay log there is nothing more to read to its end
        connection.execute(*leave_relay_log(connection.flavour, host, more, status.channel))
    else:
        connection.execute(*rename_source(connection.flavour, host, place, more, status.channel))
