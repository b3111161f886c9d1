"""Numbers of transactions that were thrown away are not to be used again (MariaDB).

The server that wrote 0-1-103, which was thrown away, goes on after the last number that it knows of the domain. Below
103 it would soon write another 0-1-103, and whoever has the first one would seem to have the second. So the active
master writes once above that number; everybody goes on behind it. MySQL's numbers belong to a server_uuid, and a server
that was set up anew has a new one.
"""

from collections.abc import Iterable

from mmm.gtid.mariadb import Gtid, newest_everywhere
from mmm.mysql.server.replication import history
from mmm.mysql.session.connection import Connection

_NOTHING = "FLUSH HOSTS"
"""Is logged and changes no data; needs RELOAD alone."""


def to_pass(thrown_away: Iterable[Gtid], newest: Iterable[Gtid]) -> tuple[Gtid, ...]:
    """Return those of the highest numbers thrown away that are not passed yet, by the newest of each domain."""
    reached = {gtid.domain: gtid.sequence for gtid in newest}
    return tuple(gtid for gtid in thrown_away if gtid.sequence >= reached.get(gtid.domain, 0))


def pass_by(server: Connection, thrown_away: Iterable[Gtid]) -> tuple[Gtid, ...]:
    """Have the active master write above these numbers where it has not; returns those it had to. Raises MysqlError."""
    found = to_pass(thrown_away, newest_everywhere(history(server)))
    for gtid in found:
        server.execute(f"SET SESSION gtid_domain_id={gtid.domain}")
        server.execute(f"SET SESSION gtid_seq_no={gtid.sequence + 1}")
        server.execute(_NOTHING)
    return found
