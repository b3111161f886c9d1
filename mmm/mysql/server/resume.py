"""Where a master goes on in a source whose data were copied from it (rule 10.1).

MariaDB goes on after gtid_slave_pos, the last transaction it got from others. A source that was set up anew from this
very server has a new binary log, which need not have that one: error 1236. What this server wrote itself after it is in
gtid_current_pos. To go on from there skips nothing where the source has that, and had nothing that is not here.

MySQL asks by auto-position for what is not among all the transactions that it has. It needs nothing but to ask again
where the log was begun anew while it read it, which is the same error.
"""

import time

from mmm.gtid import mariadb, mysql
from mmm.mysql.server.await_applied import Caught, wait_applied
from mmm.mysql.server.change_source import heartbeat, rename_source
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import (
    binlog_position,
    executed,
    history,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import only, whole

_CONFLICT = 1947  # in strict mode: this server has written since it was asked
_ATTEMPTS = 20
_NAP = 0.02


def go_on_from_own(replica: Connection, status: ReplicaStatus, source: Connection, limit: float) -> str:
    """Let the stopped `replica` go on in `source` after its own last transaction where that skips nothing.

    Otherwise the place stays: the source has transactions that are not here. Returns why the source is to be left
    alone for now, empty when it need not be: it has not got so far within `limit` seconds. Raises MysqlError.
    """
    if not (replica.flavour.mariadb and source.flavour.mariadb and status.uses_gtid):
        return ""
    deadline = time.monotonic() + limit
    # The replica is asked last: what the source gets from it meanwhile is here, too.
    if mariadb.surplus(history(source), history(replica)):
        return ""
    if why_not := _await(source, history(replica), deadline):
        return why_not
    _set_position(replica)
    return _await(source, history(replica), deadline)


def go_on_after_rebuild(replica: Connection, source: Connection, limit: float) -> str:
    """Let a replica whose source has no log from its place any more go on in the log that the source has now.

    Only where GTIDs prove that this skips nothing: all that was received is applied, and the source has no transaction
    that is not here. By GTID the replica goes on after its own last transaction, which must be in the source's log; by
    file and position at the end of that log. A MySQL replica asks again where a log has all that it lacks. Each wait
    takes at most `limit` seconds. Returns why not, empty when it is done or nothing is to be done. Raises MysqlError.
    """
    status = replica_status(replica)
    if status is None or status.detached or not status.source_lacks_log:
        return ""
    name = source.address.ip
    if not (replica.flavour.mariadb or source.flavour.mariadb) and status.uses_gtid:
        return _ask_again(replica, status, source)
    if not (replica.flavour.mariadb and source.flavour.mariadb):
        return f"{name} does not have the log that is asked for any more, and no other place is proved to be right"
    if wait_applied(replica, limit) is not Caught.REACHED:
        return f"not all that was received of {name} is applied, and that would be thrown away"
    if status.uses_gtid:
        return _go_on_after_own(replica, status, source, limit)
    return _go_on_at_the_end(replica, status, source)


def _ask_again(replica: Connection, status: ReplicaStatus, source: Connection) -> str:
    """Have MySQL ask for what it lacks of all; by no more than one question, for that is about another file then."""
    name, file = source.address.ip, status.read.file
    purged = mysql.parse(str(source.ask(only("SELECT @@global.gtid_purged AS purged"))[0]["purged"] or ""))
    has = executed(replica)
    if not isinstance(has, mysql.GtidSet) or (lost := purged.minus(has)):
        return f"{name} does not have the log of {lost or 'anything'} any more, which this server lacks"
    if any(str(log["Log_name"]) == file for log in source.ask(only("SHOW BINARY LOGS"))):
        return (
            f"{name} has all that is asked for, and the log {file}, but does not send it: {status.last_error}"
        )
    stop_replica(replica)
    start_replica(replica, status.channel)
    return ""


def _go_on_after_own(replica: Connection, status: ReplicaStatus, source: Connection, limit: float) -> str:
    if why_not := _has_more(source, history(source), history(replica)):
        return why_not
    here = history(replica)
    if why_not := _await(source, here, time.monotonic() + limit):
        return why_not
    logged = mariadb.History((), history(source).logged)
    if unlogged := [gtid for gtid in mariadb.newest_everywhere(here) if not logged.proves(gtid)]:
        return f"the binary log of {source.address.ip} does not have {mariadb.text(tuple(unlogged))}"
    stop_replica(replica)
    try:
        return go_on_from_own(replica, status, source, limit)
    finally:
        start_replica(replica, status.channel)


def _go_on_at_the_end(replica: Connection, status: ReplicaStatus, source: Connection) -> str:
    """Nothing is skipped: all before that end is here. Nothing comes twice: a server leaves out what it wrote itself.

    What a third server wrote must stand before the end, or it would be applied again.
    """
    before = history(source)
    end = binlog_position(source).place
    there, here = history(source), history(replica)
    if why_not := _has_more(source, there, here):
        return why_not
    two = {_number(replica), _number(source)}
    others = tuple(gtid for gtid in (*here.applied, *here.logged) if gtid.server not in two)
    if lacking := mariadb.missing(before, others):
        return f"{source.address.ip} has not applied {mariadb.text(lacking)} yet"
    stop_replica(replica)
    try:
        more = heartbeat(replica, status.channel)
        replica.execute(*rename_source(replica.flavour, status.source_ip, end, more, status.channel))
    finally:
        start_replica(replica, status.channel)
    return ""


def _has_more(source: Connection, there: mariadb.History, here: mariadb.History) -> str:
    """Return what the source has and the replica lacks, as a reason; `here` was asked last."""
    more, name = mariadb.surplus(there, here), source.address.ip
    return f"{name} has {mariadb.text(more)}, which this server lacks and may skip" if more else ""


def _number(server: Connection) -> int:
    return whole(server.ask(only(server.flavour.gtid_state))[0]["server_id"])


def _await(source: Connection, here: mariadb.History, deadline: float) -> str:
    """Wait until the source has all that is here; returns what it lacks when the time is over."""
    while missing := mariadb.surplus(here, history(source)):
        if time.monotonic() > deadline:
            return f"{source.address.ip} has not applied {mariadb.text(missing)} yet"
        time.sleep(_NAP)
    return ""


def _set_position(replica: Connection) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            replica.execute("SET GLOBAL gtid_slave_pos=@@global.gtid_current_pos")
        except MysqlError as error:
            if error.number != _CONFLICT or attempt == _ATTEMPTS - 1:
                raise
        else:
            return
