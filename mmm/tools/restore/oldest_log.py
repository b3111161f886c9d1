"""Whether a server still has the log of all that came after a backup: asked before hours of copying. Edge."""

import re

from mmm.gtid import mariadb, mysql
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question

_STATE = re.compile(r"\d+-\d+-\d+")


def begins_after(server: Connection, has: str) -> Question[str]:
    """Ask for what is in no log of the server any more, and not in a copy at `has` either; empty: nothing is.

    MariaDB's oldest log begins with what came before it; MySQL counts what it has purged.
    """
    if not server.flavour.mariadb:
        rows = yield "SELECT @@global.gtid_purged AS purged"
        purged = mysql.parse(str(rows[0]["purged"] or "").replace("\n", ""))
        return str(purged.minus(mysql.parse(has)) or "")
    logs = yield "SHOW BINARY LOGS"
    if not logs:
        return "all that it has"
    events = yield f"SHOW BINLOG EVENTS IN '{logs[0]['Log_name']}' LIMIT 3"
    lists = [str(row["Info"] or "") for row in events if row["Event_type"] == "Gtid_list"]
    before = {
        gtid.domain: gtid for gtid in mariadb.parse(",".join(_STATE.findall(lists[0] if lists else "")))
    }
    there = {gtid.domain: gtid.sequence for gtid in mariadb.parse(has)}
    lacks = [gtid for domain, gtid in before.items() if domain not in there or there[domain] < gtid.sequence]
    return mariadb.text(tuple(lacks))
