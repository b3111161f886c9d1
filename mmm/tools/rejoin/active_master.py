"""Whom the host is to follow: the active master may change while a job runs. Edge.

Each step that changes something for good, on this host or on the active master, asks for it again. An agent that does
not answer says nothing: it may have been ended, and the job goes on towards the one that was.
"""

import time
from collections.abc import Callable

from mmm.config.model import Cluster
from mmm.gtid import mariadb
from mmm.gtid.mysql import parse
from mmm.gtid.transactions import Executed, surplus
from mmm.mysql.server.follow import FollowRefusedError, follow
from mmm.mysql.server.login import tools_at
from mmm.mysql.server.read_only import access
from mmm.mysql.server.replication import replica_status
from mmm.mysql.session.connection import Address, Connection, connect
from mmm.tools.rejoin.gtids import gtids_of
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.step_error import LeadsNowhereError, StepError

Ask = Callable[[], str | None]
"""Returns the active master that the host's agent knows; empty: it knows none, None: it does not answer."""
KNOWN_LIMIT = 10.0
"""Seconds for an agent that answers to know an active master: one that has just started is told by the monitor."""
_LOOK = 0.1
_LIMIT = 10.0


def still_the_same(journal: Journal, ask: Ask) -> None:
    """See that the active master is the one that the job is towards; raises StepError."""
    master = _now(journal, ask)
    if master != journal.source:
        raise StepError(_changed(journal, master))


def towards(journal: Journal, ask: Ask) -> Journal:
    """Return the journal towards the active master of now; raises StepError where something is to be done anew."""
    now = journal.towards(_now(journal, ask))
    if now.done != journal.done:
        raise StepError(_changed(journal, now.source))
    return now


def with_fit_copy(journal: Journal, ask: Ask, conf: Cluster) -> Journal:
    """Return the journal towards the active master of now, which has all that the copy has.

    Raises StepError where it lacks something of that, and MysqlError.
    """
    master = _now(journal, ask)
    if master == journal.source:
        return journal
    if master not in conf.hosts:
        raise StepError(f"{_changed(journal, master)}, which is not in the conf")
    with connect(tools_at(conf.hosts[master]), _LIMIT) as there:
        more = surplus(_of_the_copy(journal, there), gtids_of(there))
    if more:
        raise StepError(f"{_changed(journal, master)}, and the copy has {more} that {master} lacks")
    return journal.towards(master)


def follow_it(server: Connection, source: Address, there: Connection, limit: float) -> None:
    """Have the server follow the active master; raises LeadsNowhereError where its data do not fit, and MysqlError."""
    try:
        follow(server, source, there, limit)
    except FollowRefusedError as error:
        raise LeadsNowhereError(str(error)) from error


def followed(server: Connection) -> str:
    """Return the address that the server replicates from; empty: it does not. Raises MysqlError."""
    status = replica_status(server)
    return status.source_ip if status and status.sql_running and not status.detached else ""


def see_writable(there: Connection, name: str) -> None:
    """Raise StepError where the server of this name takes no writes, and MysqlError."""
    if not access(there).writable:
        raise StepError(f"{name} takes no writes: it is not the active master any more, or not yet again")


def _now(journal: Journal, ask: Ask) -> str:
    """Return the active master; raises StepError where the agent answers and knows none within KNOWN_LIMIT."""
    if not journal.source:  # it follows nobody
        return ""
    deadline = time.monotonic() + KNOWN_LIMIT
    while not (master := ask()):
        if master is None:
            return journal.source
        if time.monotonic() > deadline:
            raise StepError(f"there is no active master any more, as the agent of {journal.host} says")
        time.sleep(_LOOK)
    return master


def _changed(journal: Journal, master: str) -> str:
    return f"{master} is the active master now, not {journal.source}"


def _of_the_copy(journal: Journal, there: Connection) -> Executed:
    if there.flavour.mariadb:
        return mariadb.History(mariadb.parse(journal.position), mariadb.parse(journal.logged))
    return parse(journal.position)
