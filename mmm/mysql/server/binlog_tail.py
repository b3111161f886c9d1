"""What a server's binary log has behind a place: what it has written that a replica had not received (rule 10.16)."""

import time
from collections.abc import Iterator, Sequence

from mmm.gtid.place import Hidden, LogPlace, Tail, Unread, Written
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError
from mmm.mysql.session.question import whole

_EVENTS_AT_ONCE = 2000
_HEAD = 4  # bytes before the first event of a file
_BEGINNINGS = frozenset({"Anonymous_Gtid", "Gtid", "Gtid_tagged"})
"""Each transaction begins with one of these, whether the server has GTIDs or not."""

_File = tuple[str, int]
"""Name and bytes."""


def read_tail(connection: Connection, since: LogPlace, timeout: float) -> Tail:
    """Return what stands behind the place, as far as can be looked through within `timeout` seconds.

    Needs REPLICATION CLIENT to see how long the log is, REPLICATION SLAVE to see what is in it; on MariaDB BINLOG
    MONITOR for both. Raises MysqlError.
    """
    seen = time.monotonic()
    files = [
        (str(row["Log_name"]), whole(row["File_size"]))
        for row in connection.query(connection.flavour.binlog_files)
    ]
    names = [name for name, _ in files]
    if since.file not in names:
        return Tail(since, seen, unread=Unread(Hidden.TOO_OLD))
    rest = files[names.index(since.file) :]
    end = LogPlace(*rest[0])
    if not end.reaches(since):
        return Tail(since, seen, unread=Unread(Hidden.CUT_SHORT, end))
    of: dict[int, Written] = {}
    try:
        for server, at in _transactions(connection, since, rest):
            known = of.get(server, Written(0, at, at))
            of[server] = Written(known.count + 1, known.first, at)
            if time.monotonic() - seen > timeout:
                return Tail(since, seen, of, complete=False)
    except MysqlError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        more = sum(size for _, size in rest) - since.position
        return Tail(since, seen, unread=Unread(Hidden.DENIED, LogPlace(*rest[-1]), more, error.text))
    return Tail(since, seen, of)


def _transactions(
    connection: Connection, since: LogPlace, files: Sequence[_File]
) -> Iterator[tuple[int, LogPlace]]:
    """Return of every transaction from a place on the server_id that it was written on, and where it begins."""
    events = connection.flavour.binlog_events
    for name, size in files:
        position = since.position if name == since.file else _HEAD
        while position < size:
            rows = connection.query(events, (name, position, _EVENTS_AT_ONCE))
            for row in rows:
                if row["Event_type"] in _BEGINNINGS:
                    yield whole(row["Server_id"]), LogPlace(name, whole(row["Pos"]))
            if not rows:
                break
            position = whole(rows[-1]["End_log_pos"])
