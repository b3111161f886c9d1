"""Whether a MariaDB server's log has a replica's transactions before all that the replica lacks (rule 10.1).

A replica goes on after its last transaction, at the place where the new source's log has that one. With
gtid_strict_mode the numbers of a domain only grow in a log, so nothing that the replica lacks stands before that
place. Without it something may: a master that took over while it was behind, wrote, and applied what the old
master still had only then. Its numbers say that it has everything; its log has its own transactions first.
"""

import time
from collections.abc import Iterator

from mmm.gtid.mariadb import Gtid, History, newest_everywhere, parse
from mmm.mysql.session.connection import Connection, Row
from mmm.mysql.session.question import whole

_EVENTS_AT_ONCE = 5000
_FIRST = 4  # where a file's first event stands
_HEAD = 4  # the list of what the older files have is among the first events of a file


def passed_over(source: Connection, there: History, here: History, timeout: float) -> Gtid | None:
    """Return a transaction that a replica with `here` would skip, for it stands before the replica's last one.

    None: there is none; or the log does not reach back so far, which the source will say itself; or it is too
    long to be searched within `timeout` seconds: then numbers are trusted. Looks at the log only where the states
    of the two leave it open. Raises MysqlError.
    """
    if _is_strict(source):
        return None
    deadline = time.monotonic() + timeout
    for last in newest_everywhere(here):  # where the replica goes on
        if any(_may_stand_before(gtid, last) and not here.proves(gtid) for gtid in there.logged):
            found = _before(source, last, here, deadline)
            if found is not None:
                return found
    return None


def never_logged(
    replica: Connection, source: Connection, there: History, here: History, timeout: float
) -> Gtid | None:
    """Return a last transaction of the replica that the source never logged, though it has later ones of that server.

    So it is where a server threw transactions away, with a copy of another's data, and went on to number its own past
    them: whoever still has one of these seems to be behind. A replica with gtid_strict_mode does not go on there; one
    without would skip all that stands before the later one. None as in `passed_over`. Raises MysqlError.
    """
    if _is_strict(replica):
        return None
    deadline = time.monotonic() + timeout
    for last in newest_everywhere(here):
        later = any(gtid[:2] == last[:2] and gtid.sequence > last.sequence for gtid in there.logged)
        if later and _leaves_out(source, last, deadline):
            return last
    return None


def _leaves_out(source: Connection, last: Gtid, deadline: float) -> bool:
    """Tell whether the log is seen to pass over it; False too where the log does not reach back, or time is over."""
    files = [str(row["Log_name"]) for row in source.query(source.flavour.binlog_files)]
    for file in reversed(files):
        older = _older(source, file)
        if last in older:
            return False
        if not any(gtid[:2] == last[:2] and gtid.sequence > last.sequence for gtid in older):
            events = _events(source, file, deadline)
            found = any(row["Event_type"] == "Gtid" and last in parse(str(row["Info"])) for row in events)
            return not found and time.monotonic() < deadline
    return False


def _is_strict(source: Connection) -> bool:
    return whole(source.query("SELECT @@global.gtid_strict_mode AS strict")[0]["strict"]) == 1


def _may_stand_before(gtid: Gtid, last: Gtid) -> bool:
    """Tell whether it could: what one server wrote is in order in any case."""
    return gtid.domain == last.domain and gtid.server != last.server


def _before(source: Connection, last: Gtid, here: History, deadline: float) -> Gtid | None:
    files = [str(row["Log_name"]) for row in source.query(source.flavour.binlog_files)]
    for file in reversed(files):
        older = _older(source, file)
        if not any(gtid[:2] == last[:2] and gtid.sequence >= last.sequence for gtid in older):
            return _in_file(source, file, older, last, here, deadline)
    return None


def _older(source: Connection, file: str) -> tuple[Gtid, ...]:
    """Return the last transactions of each server in the files before this one."""
    rows = source.query(source.flavour.binlog_events, (file, _FIRST, _HEAD))
    lists = (str(row["Info"]) for row in rows if row["Event_type"] == "Gtid_list")
    return tuple(gtid for text in lists for gtid in parse(text))


def _in_file(
    source: Connection, file: str, older: tuple[Gtid, ...], last: Gtid, here: History, deadline: float
) -> Gtid | None:
    """Return the first one before `last` that has a higher number than one after it, and that is not `here`."""
    numbered = (gtid for gtid in older if gtid.domain == last.domain)
    highest = max(numbered, key=lambda gtid: gtid.sequence, default=None)
    for row in _events(source, file, deadline):
        if row["Event_type"] != "Gtid":
            continue
        for gtid in parse(str(row["Info"])):
            if gtid.domain != last.domain:
                continue
            if highest is not None and highest.sequence >= gtid.sequence and not here.proves(highest):
                return highest
            if gtid == last:
                return None
            if highest is None or gtid.sequence > highest.sequence:
                highest = gtid
    return None


def _events(source: Connection, file: str, deadline: float) -> Iterator[Row]:
    position = _FIRST
    while time.monotonic() < deadline:
        rows = source.query(source.flavour.binlog_events, (file, position, _EVENTS_AT_ONCE))
        yield from rows
        if len(rows) < _EVENTS_AT_ONCE:
            return
        position = whole(rows[-1]["End_log_pos"])
