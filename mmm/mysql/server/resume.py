"""Where a MariaDB master goes on in a source whose data were copied from it (rule 10.1).

MariaDB goes on after gtid_slave_pos, the last transaction it got from others. A source that was set up anew from this
very server has a new binary log, which need not have that one: error 1236. What this server wrote itself after it is in
gtid_current_pos. To go on from there skips nothing where the source has that, and had nothing that is not here.

MySQL needs none of this: it asks by auto-position for what is not among all the transactions that it has.
"""

import time

from mmm.gtid import mariadb
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import history
from mmm.mysql.session.connection import Connection, MysqlError

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
