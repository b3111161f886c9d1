"""Switch a replica to a new source, or refuse: never guess the place to go on from (rule 10.1).

by GTID       the new source is proved to have all that the replica has, and nothing before it that the replica
              lacks; the server finds the place itself
by position   both have applied the same place of the same old source and the new source is read-only, so
              the end of its log is the same moment
refuse        anything else, in one sentence that names the transactions; the old source stays
"""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum

from mmm.gtid import mariadb as gtid
from mmm.gtid.place import LogPlace
from mmm.gtid.transactions import Executed, Surplus, named, surplus
from mmm.mysql.server.await_applied import wait_applied
from mmm.mysql.server.change_source import change_login, change_source, execute, heartbeat
from mmm.mysql.server.half_received import stop_soon
from mmm.mysql.server.log_order import never_logged, passed_over
from mmm.mysql.server.read_only import writable
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import (
    binlog_position,
    executed,
    received_in,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError
from mmm.mysql.session.errors import of_client
from mmm.mysql.session.question import only

log = logging.getLogger(__name__)

_LOOK_AGAIN = 0.01
_SEARCH = 2.0  # seconds that the new source's log is searched for what would be skipped


class Followed(Enum):
    """What `follow` did."""

    ALREADY = "already following"
    """The right source, both threads running: nothing done."""
    STARTED = "started"
    """The right source; the threads were started."""
    SWITCHED = "switched"
    """The source was changed and the threads started."""


class FollowRefusedError(MysqlError):
    """Following would lose or double transactions, or nothing proves that it would not."""

    def __init__(self, replica: Connection, source: Connection, why: str) -> None:
        sentence = (
            f"{replica.address.ip} refuses to follow {source.address.ip}:{source.address.port}: {why}; rebuild its"
            " data from the active master"
        )
        super().__init__(ErrorKind.FAILED, 0, sentence)


class SourceBehindError(MysqlError):
    """The new source has received what it lacks of the replica's transactions, and has still to apply it."""

    def __init__(self, replica: Connection, source: Connection) -> None:
        sentence = (
            f"{replica.address.ip} waits: {source.address.ip}:{source.address.port} has received what this one has"
            " and it lacks, and has not applied it yet"
        )
        super().__init__(ErrorKind.FAILED, 0, sentence)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where to go on in the new source: by GTID, or at a place of its log."""

    place: LogPlace | None = None
    set_position: str = ""
    """MariaDB: what gtid_slave_pos has to become first.

    It lacks what this server wrote itself, and names what it applied last: the new source may have logged that earlier.
    """


def follow(replica: Connection, source: Address, at_source: Connection, timeout: float) -> Followed:
    """Make `source` (address, user and password of the replication user) the source of `replica`.

    `at_source` is a connection to that same server. Waits, within `timeout` seconds in all, for the event
    group at work and for a source that is still applying what the replica has already. Received events
    that are not applied yet are fetched again from the new source.

    Raises FollowRefusedError, or SourceBehindError where waiting helps, with the old source restored, and MysqlError
    where a server cannot be asked or the new source turns the replica away. A source that does not answer the replica
    yet is no error: the server goes on trying and `replica_status` says so.
    """
    deadline = time.monotonic() + timeout
    status = replica_status(replica)
    right = status and not status.detached
    if status and right and (status.source_ip, status.source_port) == (source.ip, source.port):
        if status.io_running != "No" and status.sql_running:
            return Followed.ALREADY
        start_replica(replica, status.channel)
        see_connected(replica, deadline)
        return Followed.STARTED
    if status:
        _see_no_surplus(replica, at_source, deadline)
        stop_soon(replica, timeout)
    try:
        start = _meeting_place(replica, at_source, deadline)
        channel = status.channel if status else ""
        _change_source(replica, source, start, channel, deadline)
    except MysqlError:
        if status and (status.sql_running or status.io_running != "No"):
            with suppress(MysqlError):
                start_replica(replica)
        raise
    start_replica(replica)
    _warn_of_own(replica, at_source)
    see_connected(replica, deadline)
    return Followed.SWITCHED


def renew_login(replica: Connection, source: Address, timeout: float) -> None:
    """Have the replica log in to the source that it has with this user and password; raises MysqlError."""
    deadline = time.monotonic() + timeout
    status = replica_status(replica)
    channel = status.channel if status else ""
    stop_replica(replica, timeout)
    try:
        change = change_login(replica.flavour, source, heartbeat(replica, channel), channel)
        execute(replica, *change, source, deadline)
    except MysqlError:
        with suppress(MysqlError):
            start_replica(replica, channel)
        raise
    start_replica(replica, channel)
    see_connected(replica, time.monotonic() + timeout)


def same_place(replica: ReplicaStatus | None, source: ReplicaStatus | None, source_writable: bool) -> str:  # noqa: FBT001
    """Return why two servers are not proved to be at one place of one old source; empty when they are."""
    if replica is None or source is None:
        return "without GTID both must have replicated from one old source"
    if source_writable:
        return "without GTID the new source must be read_only while replicas are switched to it"
    old = (replica.source_ip, replica.source_port, replica.source_server_id)
    if old != (source.source_ip, source.source_port, source.source_server_id):
        return (
            f"without GTID both must have replicated from one old source: this one from {replica.source_ip}:"
            f"{replica.source_port}, the new source from {source.source_ip}:{source.source_port}"
        )
    if not replica.executed.file or replica.executed != source.executed:
        return (
            f"without GTID both must have applied the same: this one {replica.executed}, the new source "
            f"{source.executed} of {replica.source_ip}:{replica.source_port}"
        )
    return ""


def _meeting_place(replica: Connection, source: Connection, deadline: float) -> _Start:
    """Return where the stopped replica may go on; raises FollowRefusedError."""
    if replica.flavour.mariadb != source.flavour.mariadb:
        raise FollowRefusedError(
            replica,
            source,
            f"it is {replica.flavour.family}, the new source is {source.flavour.family}: their GTIDs cannot be"
            " compared",
        )
    find = _by_gtid if _have_gtids(replica, source) else _by_position
    found = find(replica, source)
    if isinstance(found, str):  # the source may still be at work on what it has received
        wait_applied(source, max(0.0, deadline - time.monotonic()))
        found = find(replica, source)
    if isinstance(found, str):
        raise _refused(replica, source, found)
    return found


def _refused(replica: Connection, source: Connection, why: str) -> MysqlError:
    """Return why the replica does not follow now: what a source that is promoted has to apply yet it will have."""
    here, there = executed(replica), executed(source)
    if here is None or there is None:
        return FollowRefusedError(replica, source, why)
    status, own = replica_status(source), _origin(replica)
    if status is None or status.detached or _lacks(here, there, own) is None:
        return FollowRefusedError(replica, source, why)
    if _lacks(here, received_in(there, status), own) is None and not _leaves_it(source, status):
        return SourceBehindError(replica, source)
    return FollowRefusedError(replica, source, why)


def _leaves_it(source: Connection, status: ReplicaStatus) -> bool:
    """Tell whether a source takes writes and applies nothing: what it has received it will never have, as by force."""
    return not status.sql_running and writable(source)


def _lacks(here: Executed, there: Executed, own: str) -> Surplus | None:
    """Return what is here and not there, and would keep this one, whose own transactions `own` marks, from following.

    MySQL's auto-position does not mind what a replica has written itself: nobody else has such a transaction, and
    a slave never becomes writer.
    """
    if isinstance(here, gtid.History) and isinstance(there, gtid.History):
        return named(gtid.surplus(here, there), here, there)
    return surplus(here, there, not_of=own)


def _origin(server: Connection) -> str:
    """Return what the server's own transactions carry."""
    return str(server.ask(only(server.flavour.gtid_state))[0]["origin"])


def _warn_of_own(replica: Connection, source: Connection) -> None:
    """Name the transactions that the replica has written itself and follows in spite of; it does so already."""
    if replica.flavour.mariadb:
        return
    try:
        here, there = executed(replica), executed(source)
    except MysqlError as error:
        said = "%s follows %s, which was not asked whether it lacks transactions of the other's own: %s"
        log.warning(said, replica.address.ip, source.address.ip, error.text)
        return
    if here is None or there is None:
        return
    if own := surplus(here, there):
        log.warning(
            "%s has %s of its own that %s lacks: it follows anyway, its data may differ",
            replica.address.ip,
            own,
            source.address.ip,
        )


def _see_no_surplus(replica: Connection, source: Connection, deadline: float) -> None:
    """Refuse before replication is stopped for nothing where that much is clear: such an order comes again.

    Transactions that the new source lacks do not go away while this one goes on; those that it receives meanwhile
    do not count, for the other one may get them a little later. Raises FollowRefusedError.
    """
    if replica.flavour.mariadb != source.flavour.mariadb or not _have_gtids(replica, source):
        return
    here = executed(replica)
    if isinstance(_by_gtid(replica, source, here), str):
        wait_applied(source, max(0.0, deadline - time.monotonic()))
        found = _by_gtid(replica, source, here)
        if isinstance(found, str):
            raise _refused(replica, source, found)


def _have_gtids(*servers: Connection) -> bool:
    return all(executed(server) is not None for server in servers)


def _by_gtid(replica: Connection, source: Connection, has: Executed | None = None) -> _Start | str:
    """Return the start by GTID, or which transactions the source lacks of what the replica has, or had."""
    here, there = has or executed(replica), executed(source)
    lacking = _lacks(here, there, _origin(replica)) if here is not None and there is not None else None
    if lacking:
        return _lacking(lacking)
    if not (isinstance(here, gtid.History) and isinstance(there, gtid.History)):
        return _Start()
    skipped = passed_over(source, there, here, _SEARCH)
    if skipped is not None:
        return (
            f"it lacks {skipped}, which stands before this replica's last transaction in the new source's log, so"
            " that it would be skipped"
        )
    unknown = never_logged(replica, source, there, here, _SEARCH)
    if unknown is not None:
        return f"it has {unknown}, which the new source never had: its number was passed by later ones of that server"
    place = gtid.goes_on_behind(here, there)
    return _Start(set_position="" if place == tuple(sorted(here.applied)) else gtid.text(place))


def _lacking(more: Surplus) -> str:
    return f"it has {more} that the new source lacks"


def _by_position(replica: Connection, source: Connection) -> _Start | str:
    """Return the end of the source's log if it is proved to be the replica's moment, or why not."""
    before = replica_status(source)
    may_write = writable(source)
    end = binlog_position(source).place
    after = replica_status(source)
    if before is None or after is None or before.executed != after.executed:
        return "the new source is still applying"
    why_not = same_place(replica_status(replica), after, may_write)
    if not why_not and not end.file:
        return "the new source writes no binary log; set log_bin there"
    return why_not or _Start(place=end)


def _change_source(
    replica: Connection, source: Address, start: _Start, channel: str, deadline: float
) -> None:
    statement, args = change_source(
        replica.flavour, source, start.place, heartbeat(replica, channel), channel
    )
    if start.set_position:
        replica.execute("SET GLOBAL gtid_slave_pos=%s", (start.set_position,))
    execute(replica, statement, args, source, deadline)


def see_connected(replica: Connection, deadline: float) -> None:
    """Look until the replica is connected or finds nobody; raises MysqlError when it is turned away."""
    while True:
        status = replica_status(replica)
        if status is None or status.io_running == "Yes" or of_client(status.io_errno):
            return
        if status.io_errno:
            raise MysqlError(
                ErrorKind.FAILED,
                status.io_errno,
                f"{replica.address.ip} cannot replicate from {status.source_ip}:{status.source_port}: "
                f"{replace(status, sql_errno=0).last_error}",
            )
        if time.monotonic() + _LOOK_AGAIN > deadline:
            return
        time.sleep(_LOOK_AGAIN)
