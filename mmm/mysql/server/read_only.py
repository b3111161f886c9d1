"""Who may write: read_only, and the sessions that would go on in spite of it (rules 7, 10.11)."""

import time
from dataclasses import dataclass, replace

from mmm.mysql.server.processlist import (
    Ended,
    Ending,
    Fate,
    fate,
    list_sessions,
    open_transactions,
)
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, Row
from mmm.mysql.session.question import Question, only

_LOCK_WAIT_TIMEOUT = 1205
_STATEMENT_TIMEOUT = 1969
_FIRST_ATTEMPT = 0.05
_LONGEST_ATTEMPT = 0.4
_AFTER_GRACE = 3.0
_LOCK_WAIT = 1.0  # what an attempt takes where the server counts whole seconds


def writable(connection: Connection) -> bool:
    """Return whether ordinary users may write: read_only is off. Raises MysqlError."""
    return connection.ask(look_at_read_only(connection))


def look_at_read_only(_: Connection) -> Question[bool]:
    """Ask for the same."""
    row = (yield "SELECT @@global.read_only AS read_only")[0]
    return not is_on(row["read_only"])


@dataclass(frozen=True, slots=True)
class Access:
    """Who may write: ordinary users; and `sealed`, not even administrators, where the server can forbid it them."""

    writable: bool
    sealed: bool


def access(connection: Connection) -> Access:
    """Return who may write. Raises MysqlError."""
    return access_in(connection.ask(only(connection.flavour.write_locks))[0])


def access_in(row: Row) -> Access:
    """Return the same from an answer to `write_locks`, which may tell more."""
    locks = [row["read_only"], row.get("super_read_only", 1)]
    return Access(not is_on(locks[0]), all(map(is_on, locks)))


def allow_writes(connection: Connection) -> None:
    """Let ordinary users write; raises MysqlError, also when read_only is still on afterwards."""
    connection.execute(connection.flavour.allow_writes)
    if not writable(connection):
        raise MysqlError(ErrorKind.FAILED, 0, f"MySQL at {connection.address}: read_only stays on")


def calm(connection: Connection, *, grace: float, keep: frozenset[str] = frozenset()) -> None:
    """Before writes are denied, be rid of those for whom everybody would have to wait then; raises MysqlError.

    A transaction that has written and has been at rest for a second is ended. Statements that have been writing for
    that long are waited for, at most `grace` seconds. Nothing happens where ordinary users may not write.
    """
    if writable(connection):
        Ending(connection, keep, time.monotonic() + grace).calm()


def deny_writes(connection: Connection, *, grace: float, keep: frozenset[str] = frozenset()) -> Ended:
    """Set read_only, then end the client sessions, and return what became of them.

    Sessions that are writing get up to `grace` seconds in all, and those whose open transaction has written get them
    until read_only is set: what rests then is ended;
    sessions that hold read_only up count among these if they write, else they are ended at once. Users in
    `keep` (those of MMM itself: a replica that is just logging in is one of the replication user's) and
    everything of replication and of the server itself stay. New sessions find read_only and are let be.

    Where ordinary users are kept from writing already, only administrators are forbidden it too and nobody is ended.

    Without anybody to wait for this takes a few milliseconds; at most `grace` and about 5 s, or the
    connection's limit of a statement when the server stops answering.
    Raises MysqlError when read_only could not be set and read back.
    """
    began = time.monotonic()
    deadline = began + grace
    ending = Ending(connection, keep, deadline)
    only_seal = not writable(connection)
    _set_read_only(connection, ending, deadline + _AFTER_GRACE)
    denied = time.monotonic() - began
    ended = Ended(0, 0, 0, 0) if only_seal else ending.finish()
    return replace(ended, denied=denied)


def writers(connection: Connection, *, keep: frozenset[str] = frozenset()) -> frozenset[int]:
    """Return the sessions that are writing, or whose open transaction has written. Raises MysqlError."""
    sessions = list_sessions(connection, open_transactions(connection))
    return frozenset(session.id for session in sessions if fate(session, keep) is Fate.GRACE)


def _set_read_only(connection: Connection, ending: Ending, deadline: float) -> None:
    """Set read_only and read it back, in short attempts; what holds it up is swept aside between them.

    Short, because an attempt that waits for a statement keeps new ones waiting: where that statement waits
    for a row of a transaction whose next one is among these, nobody gets on until the attempt gives up.
    """
    attempt = _FIRST_ATTEMPT
    while not _forbid(connection, attempt):
        if time.monotonic() > deadline:
            raise MysqlError(
                ErrorKind.FAILED,
                _LOCK_WAIT_TIMEOUT,
                f"MySQL at {connection.address}: read_only could not be set: "
                "a session that may not be ended, or replication, holds locks; see SHOW PROCESSLIST",
            )
        if attempt > _FIRST_ATTEMPT:
            ending.sweep(denied=False)
        attempt = min(2 * attempt, _LONGEST_ATTEMPT)
    row = connection.ask(only(connection.flavour.write_locks))[0]
    still_off = [name for name, value in row.items() if not is_on(value)]
    if still_off:
        raise MysqlError(
            ErrorKind.FAILED, 0, f"MySQL at {connection.address}: {' and '.join(still_off)} stays off"
        )


def _forbid(connection: Connection, attempt: float) -> bool:
    """Set read_only, waiting about `attempt` seconds for what writes; return whether it is set."""
    try:
        connection.execute(
            connection.flavour.deny_writes, (attempt,), timeout=2 * _LOCK_WAIT + connection.timeout
        )
    except MysqlError as error:
        if error.number not in {_LOCK_WAIT_TIMEOUT, _STATEMENT_TIMEOUT}:
            raise
        return False
    return True


def is_on(value: object) -> bool:
    """Tell whether a switch is on; newer servers answer words, of which only OFF means off."""
    return str(value).upper() not in {"0", "OFF", "FALSE"}
