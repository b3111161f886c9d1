"""A server's client sessions: who is replication, who writes, and how they are ended (rules 7, 10.12)."""

import re
import time
from dataclasses import dataclass
from enum import Enum

from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import only, whole
from mmm.wire.questions import Clients

_NO_SUCH_THREAD = 1094

_WRITERS_GONE = 1.0
_READERS_GONE = 0.5
"""A session that goes logs the end of its temporary tables: nobody may count on the log's end before it is gone."""
PATIENCE = 5.0
"""Seconds after the grace of those that write in which all are ended; a server does it in milliseconds."""
_LONG = 1
"""Seconds from which on a statement is long, and a transaction that writes nothing at the moment is at rest."""
_SHORT_NAP = 0.0003
_LONG_NAP = 0.02
TRANSACTIONS_AGE = 0.11
"""InnoDB answers from a copy of its transactions that grows old while it is asked more often than this."""

LOGGING_IN = "unauthenticated user"
APPLIER = "system user"
"""Whom the server names for the threads that replicate."""
_SERVER_USERS = frozenset({APPLIER, "event_scheduler", LOGGING_IN, "mysql.session"})
_SERVER_COMMANDS = ("Binlog Dump", "Daemon", "Slave_", "Replica_")
_TEXTS = ("user", "client", "command", "text", "state")
_RESTS = "Sleep"
_STATEMENTS = frozenset({"Query", "Execute"})
_READS = frozenset({"SELECT", "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "HELP", "USE"})
_BEFORE_FIRST_WORD = re.compile(r"(?:\s|\(|/\*.*?\*/|#[^\n]*\n|--\s[^\n]*\n)*", re.DOTALL)

_TRANSACTIONS = """
    SELECT trx_mysql_thread_id AS id, MAX(trx_rows_modified) AS modified
    FROM information_schema.INNODB_TRX GROUP BY trx_mysql_thread_id"""

_OPEN = """
    SELECT trx_mysql_thread_id AS id, MAX(trx_rows_modified) AS modified, MAX(trx_lock_structs) AS locks,
        MAX(TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(NOW(), @@session.time_zone, 'SYSTEM'))) AS age
    FROM information_schema.INNODB_TRX GROUP BY trx_mysql_thread_id"""


class Fate(Enum):
    """What becomes of a session when writes are denied."""

    KEEP = "keep"
    """Replication, the server's own, or a user to be kept."""
    END = "end"
    """It writes nothing at the moment: ended at once."""
    GRACE = "grace"
    """It is writing, or its transaction has written: ended after its grace, or when it rests."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the server lists it."""

    id: int
    user: str
    command: str
    text: str = ""
    """Its statement, the beginning of it."""
    modified: int = 0
    """Rows that its open transaction has changed."""
    seconds: float = 0.0
    """For how long it has been at its command."""
    statement: int = 0
    """A number that every statement of the server has anew, 0 where the server tells none."""
    client: str = ""
    """Where it comes from, `ADDRESS:PORT` or `NAME:PORT`; without a port when it is on the server's own host."""
    state: str = ""
    """The stage that it is at, in the server's words."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the client sessions."""

    ended: int
    """Ended at once."""
    ended_writers: int
    """Were writing and were ended when their grace was over."""
    finished: int
    """Were writing, had their answer in time, and were ended then or left by themselves."""
    remaining: int
    """Were ended and are not gone yet (a rollback takes its time), or could not be ended."""
    problem: str = ""
    """Why a session could not be ended, the first reason; empty when none."""
    denied: float = 0.0
    """Seconds until nobody could write any more."""
    stay: tuple[Session, ...] | None = None
    """Replication, the server's own, and users to be kept, as they were listed; None: nobody was looked for."""


def fate(session: Session, keep: frozenset[str] = frozenset()) -> Fate:
    """Return what becomes of a session; `keep` names users that are never ended."""
    if session.user in _SERVER_USERS or session.user in keep or session.command.startswith(_SERVER_COMMANDS):
        return Fate.KEEP
    if session.command == "Killed":
        return Fate.END
    if session.modified or (session.command in _STATEMENTS and _may_write(session.text)):
        return Fate.GRACE
    return Fate.END


def list_sessions(
    connection: Connection, modified: dict[int, int] | None = None, timeout: float | None = None
) -> list[Session]:
    """Return all sessions but this one; `modified` tells of open transactions. Raises MysqlError."""
    changed = modified or {}
    found = []
    for row in connection.ask(only(connection.flavour.sessions), timeout):
        number, statement = whole(row["id"]), whole(row["statement"])
        user, client, command, text, state = (row[name] or "" for name in _TEXTS)
        seconds, rows = float(row["seconds"] or 0), changed.get(number, 0)
        found.append(Session(number, user, command, text, rows, seconds, statement, client, state))
    return found


def open_transactions(connection: Connection) -> dict[int, int]:
    """Return how many rows each session's open transaction has changed. Raises MysqlError."""
    return {whole(row["id"]): whole(row["modified"]) for row in connection.ask(only(_TRANSACTIONS))}


@dataclass(frozen=True, slots=True)
class _Open:
    """A session's open transaction."""

    modified: int
    locks: int
    age: float


def survey(connection: Connection, *, keep: frozenset[str] = frozenset()) -> Clients:
    """Return how the client sessions stand, except for who waits; ends none of them. Raises MysqlError."""
    transactions = {
        whole(row["id"]): _Open(whole(row["modified"]), whole(row["locks"]), float(row["age"] or 0))
        for row in connection.query(_OPEN)
    }
    modified = {number: each.modified for number, each in transactions.items()}
    clients = [(each, fate(each, keep)) for each in list_sessions(connection, modified)]
    writing = [session for session, verdict in clients if verdict is Fate.GRACE]
    ages = [(_age(session, transactions.get(session.id)), session) for session in writing]
    oldest, who = max(ages, key=lambda each: each[0], default=(0.0, None))
    idle = [
        (session, transactions[session.id])
        for session, verdict in clients
        if verdict is not Fate.KEEP and rests(session) and _holds(transactions.get(session.id))
    ]
    longest = max(idle, key=lambda each: each[0].seconds, default=None)
    return Clients(
        at_rest=sum(verdict is Fate.END for _, verdict in clients),
        writing=len(writing),
        oldest=oldest,
        who=f"session {who.id} of {who.user}" if who else "",
        idle=len(idle),
        idle_for=longest[0].seconds if longest else 0.0,
        idle_who=_idle(*longest) if longest else "",
    )


def _age(session: Session, transaction: _Open | None) -> float:
    """Return for how many seconds a session has been writing."""
    at_work = session.seconds if session.command in _STATEMENTS else 0.0
    return max(transaction.age if transaction and transaction.modified else 0.0, at_work)


def rests(session: Session) -> bool:
    """Tell whether a session has been without a statement for longer than between two of one transaction."""
    return session.command == _RESTS and session.seconds >= _LONG


def _holds(transaction: _Open | None) -> bool:
    return transaction is not None and (transaction.modified > 0 or transaction.locks > 0)


def _idle(session: Session, transaction: _Open) -> str:
    rows = "1 row" if transaction.modified == 1 else f"{transaction.modified} rows"
    did = f"has changed {rows}" if transaction.modified else "holds locks on rows"
    return f"session {session.id} of {session.user}@{session.client}, whose transaction {did}"


class Ending:
    """The client sessions on their way out: those that write get until `deadline`, all others go at once.

    All of it ends PATIENCE after that deadline, for a server may be slow with each statement: who is left then is not
    told to go any more.

    Until `sweep(denied=True)` is told that nobody may write any more, a writer is let finish its transaction.
    From then on it is let finish its statement, and between two of them it is ended: a commit would be refused anyway.
    """

    def __init__(self, connection: Connection, keep: frozenset[str], deadline: float) -> None:
        self._connection = connection
        self._keep = keep
        self._deadline = deadline
        self._end = deadline + PATIENCE
        self._writers: dict[int, tuple[int, str] | None] = {}
        """Sessions that were writing, with what they were at when they were first seen after the denial."""
        self._killed: dict[int, bool] = {}
        """Sessions told to end; True for those that were writing at that moment."""
        self._modified: dict[int, int] = {}
        self._stay: dict[int, Session] = {}
        self._asked: float | None = None
        self._problem = ""

    def sweep(self, *, denied: bool, only: frozenset[int] | None = None) -> frozenset[int]:
        """End whoever is due, among `only` if given; return the client sessions that are still there."""
        late = time.monotonic() >= self._deadline
        there = set()
        if only is None:
            self._stay.clear()
        for session in self._sessions():
            verdict = fate(session, self._keep)
            if verdict is Fate.KEEP:
                self._stay[session.id] = session
            if verdict is Fate.KEEP or (only is not None and session.id not in only):
                continue
            there.add(session.id)
            if session.id in self._killed or self._is_over():
                continue
            writing = verdict is Fate.GRACE and not self._answered(session, denied=denied)
            if late or not writing or (denied and session.command == _RESTS):
                self._kill(session.id, writing=writing)
        return frozenset(there)

    def calm(self) -> None:
        """End who rests in a transaction that wrote, and let long statements finish, while all others go on writing.

        Nobody is kept waiting for these then once nobody may write.
        """
        awaited: frozenset[int] | None = None
        while awaited is None or awaited:
            at_work = set()
            for session in self._sessions():
                if session.id in self._killed or fate(session, self._keep) is not Fate.GRACE:
                    continue
                if rests(session) and not self._is_over():
                    self._kill(session.id, writing=True)
                elif session.command in _STATEMENTS and session.seconds >= _LONG:
                    at_work.add(session.id)
            awaited = frozenset(at_work) if awaited is None else awaited & at_work
            if time.monotonic() >= self._deadline:
                return
            if awaited:
                time.sleep(_LONG_NAP)

    def finish(self) -> Ended:
        """End the sessions that are there now, each in its time, and see them go; call it when writes are denied."""
        there = self.sweep(denied=True)
        told, last_kill, nap = len(self._killed), time.monotonic(), _SHORT_NAP
        while there and not self._is_over():
            patience = _WRITERS_GONE if any(self._killed.get(one) for one in there) else _READERS_GONE
            if there <= self._killed.keys() and time.monotonic() - last_kill > patience:
                break
            time.sleep(nap)
            nap = min(nap * 2, _LONG_NAP)
            told_all = there <= self._killed.keys()
            there = self._still(there) if told_all else self.sweep(denied=True, only=there)
            if len(self._killed) > told:
                told, last_kill, nap = len(self._killed), time.monotonic(), _SHORT_NAP
        cut_off = {one for one, was_writing in self._killed.items() if was_writing}
        return Ended(
            ended=len(self._killed.keys() - self._writers.keys()),
            ended_writers=len(cut_off),
            finished=len(self._writers.keys() - cut_off),
            remaining=len(there),
            problem=self._problem,
            stay=None if self._is_over() else tuple(self._stay.values()),
        )

    def _is_over(self) -> bool:
        """Tell whether there is no time left to end anybody; says so of those who are left."""
        if over := time.monotonic() >= self._end:
            self._problem = self._problem or "the server takes too long to end them"
        return over

    def _still(self, ids: frozenset[int]) -> frozenset[int]:
        """Return which of these sessions are still there, which is all that is left to know of those told to end."""
        wanted = ", ".join(f"{one:d}" for one in ids)
        statement = f"SELECT ID AS id FROM information_schema.PROCESSLIST WHERE ID IN ({wanted})"  # noqa: S608  (numbers)
        rows = self._connection.ask(only(statement))
        return frozenset(whole(row["id"]) for row in rows)

    def _answered(self, session: Session, *, denied: bool) -> bool:
        """Tell whether a writer has had the answer to a statement since writes are denied."""
        at = (session.statement, session.command)
        before = self._writers.setdefault(session.id, at if denied else None)
        if before is None and denied:
            self._writers[session.id] = at
        return before is not None and before != at and session.command == _RESTS

    def _sessions(self) -> list[Session]:
        if self._asked is None or time.monotonic() - self._asked > TRANSACTIONS_AGE:
            self._modified = open_transactions(self._connection)
            self._asked = time.monotonic()
        return list_sessions(self._connection, self._modified)

    def _kill(self, session: int, *, writing: bool) -> None:
        self._killed[session] = writing
        try:
            self._connection.ask(only(f"KILL {session:d}"))
        except MysqlError as error:
            if not error.server_alive:
                raise
            if error.number != _NO_SUCH_THREAD:
                self._problem = self._problem or error.text


def _may_write(statement: str) -> bool:
    """Tell whether a running statement may write: it is not one that clearly reads."""
    start = _BEFORE_FIRST_WORD.match(statement)
    rest = statement[start.end() if start else 0 :]
    return re.split(r"[\s(;/]", rest, maxsplit=1)[0].upper() not in _READS
