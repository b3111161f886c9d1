"""Sessions that keep replication, or the clients of a new writer, waiting for a lock, and how they are ended.

A lock on all tables or on one (FLUSH TABLES WITH READ LOCK, LOCK TABLES, a transaction that has read a table) does not
say who holds it: any session that waits for none itself may. So it is with a table that is being flushed. Of a lock on
rows InnoDB tells who holds some.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from mmm.mysql.server.processlist import (
    APPLIER,
    Fate,
    Session,
    fate,
    list_sessions,
)
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import only, whole

_TRANSACTIONS = """
    SELECT trx_mysql_thread_id AS id, trx_state AS state, trx_lock_structs AS locks
    FROM information_schema.INNODB_TRX"""
_WAITS_FOR_ROW = "LOCK WAIT"
_BEFORE_LOCK, _AFTER_LOCK = "Waiting for ", " lock"
"""How the server names the stages in which a session waits for a lock: of a table, a row of commits, all tables."""
_FLUSH = "Waiting for table flush"
"""MySQL: who opens a table that somebody flushes, and that one, who waits for those that read it; MariaDB: a lock."""
_MOST_NAMED = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Blocked:
    """Sessions that wait for a lock, and who may hold it; nobody waits: all are empty."""

    waiting: tuple[Session, ...] = ()
    holders: tuple[Session, ...] = ()
    """Sessions of clients."""
    kept: tuple[Session, ...] = ()
    """Sessions of users that are never ended."""


def blocked(connection: Connection, keep: frozenset[str], clients_for: float | None = None) -> Blocked:
    """Return what keeps the applying threads waiting. Raises MysqlError.

    With `clients_for`: what keeps any session waiting, if it has been at its command for that number of seconds.
    """
    sessions = list_sessions(connection)
    concerned = [each for each in sessions if clients_for is not None or each.user == APPLIER]
    waiting = {each.id: each for each in concerned if waits_for_lock(each) or each.state == _FLUSH}
    may_hold = {each.id for each in sessions if not waits_for_lock(each)} if waiting else set()
    rows = connection.ask(only(_TRANSACTIONS))
    for_rows = {whole(row["id"]) for row in rows if row["state"] == _WAITS_FOR_ROW}
    for each in concerned:
        if each.id in for_rows:
            waiting[each.id] = each
            may_hold |= {whole(row["id"]) for row in rows if whole(row["locks"])} - for_rows
    found = [
        each
        for each in sessions
        if each.id in may_hold and each.id not in waiting and each.seconds >= (clients_for or 0.0)
    ]
    return Blocked(
        tuple(waiting.values()),
        tuple(each for each in found if fate(each, keep) is not Fate.KEEP),
        tuple(each for each in found if each.user in keep and fate(each) is not Fate.KEEP),
    )


def waits_for_lock(session: Session) -> bool:
    """Tell whether a session is at a stage in which it waits for a lock."""
    return session.state.startswith(_BEFORE_LOCK) and session.state.endswith(_AFTER_LOCK)


def end_blockers(connection: Connection, keep: frozenset[str], clients_for: float | None = None) -> Blocked:
    """End the sessions that may hold what is waited for, each named in the log; returns what was found.

    Raises MysqlError.
    """
    found = blocked(connection, keep, clients_for)
    ended = [session for session in found.holders if _killed(connection, session)]
    for session in ended[:_MOST_NAMED]:
        log.warning("%s waits for a lock that %s may hold: it is ended", _whom(found.waiting), named(session))
    if len(ended) > _MOST_NAMED:
        log.warning("%d more sessions are ended for that", len(ended) - _MOST_NAMED)
    return found


def named(session: Session) -> str:
    """Return a session as people look for it."""
    at = session.state or session.command
    return f"session {session.id} of {session.user}@{session.client} ({at}, {session.seconds:.0f} s)"


def _whom(waiting: Iterable[Session]) -> str:
    return "replication" if any(each.user == APPLIER for each in waiting) else "a client"


def _killed(connection: Connection, session: Session) -> bool:
    try:
        connection.ask(only(f"KILL {session.id:d}"))
    except MysqlError as error:
        if not error.server_alive:
            raise
        log.debug("%s: %s", named(session), error.text)
        return False
    return True
