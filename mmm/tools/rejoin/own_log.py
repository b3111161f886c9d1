"""What the log of a MariaDB server on a copy begins with: whose transactions are in the copy. Edge.

The copy's position names the newest transaction of a domain alone. Where the donor's log does not have them in the
order of their numbers, that proves nothing of other servers' transactions before it, and a host without any log of them
would be refused as one that skips them (rule 10.1).
"""

from pathlib import Path

from mmm.gtid import mariadb
from mmm.gtid.mariadb import History
from mmm.mysql.server.read_only import is_on
from mmm.mysql.server.replication import history
from mmm.mysql.session.connection import Connection
from mmm.tools.fetch import files


def of_donor(donor: Connection) -> str:
    """Return the last transaction of each server that the donor has now; empty on MySQL. Raises MysqlError."""
    return mariadb.text(mariadb.newest_of_each(history(donor))) if donor.flavour.mariadb else ""


def of_copy(before: str, after: str, position: str) -> str:
    """Return the last transaction of each server that a copy has at least, whose donor had these before and after it.

    Of what came meanwhile that is in it which the position has passed, in the order of numbers. The writer before a
    move may have written it, and nothing that comes to the copy's log later would tell of that.
    """
    place = History(mariadb.parse(position), ())
    passed = tuple(gtid for gtid in mariadb.parse(after) if place.has_passed(gtid))
    return mariadb.text(mariadb.newest_of_each(History((), (*mariadb.parse(before), *passed))))


def state_file(server: Connection | None) -> str:
    """Return the name of the file in its data folder from which it takes, without any log, what this goes on behind.

    Empty where there is none: MySQL, no log, one outside of the data folder, and a server that does not run. Raises
    MysqlError.
    """
    if server is None or not server.flavour.mariadb:
        return ""
    row = server.query("SELECT @@global.log_bin_basename AS log, @@global.datadir AS folder")[0]
    log, folder = Path(str(row["log"] or "")), Path(str(row["folder"]))
    return f"{log.name}.state" if row["log"] and log.parent.resolve() == folder.resolve() else ""


def prepare(path: Path, at_least: str, position: str) -> None:
    """Have a server begin its log behind these by that file; raises OSError.

    Told so by `begin`, once it runs, it waits for InnoDB for up to a second.
    """
    if at_least:
        files.add(path, "".join(f"{gtid}\n" for gtid in _begins_behind(at_least, position)))


def begin(server: Connection, at_least: str, position: str) -> None:
    """Have the server's log say that it goes on behind these, unless it has said something; raises MysqlError."""
    if not server.flavour.mariadb or not at_least:
        return
    row = server.query("SELECT @@global.log_bin AS log, @@global.gtid_binlog_state AS state")[0]
    if not is_on(row["log"]) or row["state"]:
        return
    behind = mariadb.text(_begins_behind(at_least, position))
    server.execute("SET GLOBAL gtid_binlog_state=%s", (behind,))
    server.execute("FLUSH BINARY LOGS")  # a file begins with that; the first one was begun before


def _begins_behind(at_least: str, position: str) -> tuple[mariadb.Gtid, ...]:
    known = History(mariadb.parse(position), mariadb.parse(at_least))
    return mariadb.newest_of_each(known)
