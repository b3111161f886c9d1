"""Another server as a master's source for a moment, up to what it has, and then the old source again (rule 10.10).

Its own source was lost, and the other one has got more of that. What was received is applied by now.
"""

import time
from dataclasses import replace

from mmm.mysql.server.change_source import change_source, execute, heartbeat
from mmm.mysql.server.follow import follow, see_connected
from mmm.mysql.server.replica_status import DETACHED
from mmm.mysql.server.replication import replica_status, start_replica, stop_replica
from mmm.mysql.session.connection import Address, Connection


def borrow_source(replica: Connection, source: Address, at_source: Connection, timeout: float) -> None:
    """Have `replica` get from `source`, by GTID, what it lacks.

    MySQL's auto-position asks for just that, whatever the replica has more; MariaDB goes on behind its last
    transaction, so that the source has to have all that is here: raises as `follow` does.
    """
    if replica.flavour.mariadb:
        follow(replica, source, at_source, timeout)
        return
    deadline = time.monotonic() + timeout
    channel = _stopped(replica, timeout)
    change = change_source(replica.flavour, source, None, heartbeat(replica, channel), channel)
    execute(replica, *change, source, deadline)
    start_replica(replica, channel)
    see_connected(replica, deadline)


def take_own_source(replica: Connection, source: Address, timeout: float, *, detached: bool) -> None:
    """Make `source`, with the user who replicates, the source of `replica` again, by GTID.

    `detached`: it is not to be reached, see mmm.mysql.server.detach; else replication is started. The event group at
    work may take `timeout` seconds. Raises MysqlError; of kind TIMED_OUT where that does not end.
    """
    deadline = time.monotonic() + timeout
    channel = _stopped(replica, timeout)
    there = replace(source, ip=f"{DETACHED}{source.ip}") if detached else source
    change = change_source(replica.flavour, there, None, heartbeat(replica, channel), channel)
    execute(replica, *change, source, deadline)
    if not detached:
        start_replica(replica, channel)


def _stopped(replica: Connection, timeout: float) -> str:
    """Stop replication; returns the name of its channel."""
    status = replica_status(replica)
    stop_replica(replica, timeout)
    return status.channel if status else ""
