"""Which transactions a file of a binary log holds, and which were in the log before it. Pure.

    for entry in contents(pieces_of_the_file):
        match entry:
            case Before(): ...
            case Logged(): ...

Unlike `mmm.binlog.transactions` it is about what is there, not about what can be applied elsewhere: a part of an XA
transaction, and one without a GTID, are as good as others. What a crash has cut off at the end is left out.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mmm.binlog.events import (
    ANONYMOUS_GTID,
    GTID_LIST,
    INCIDENT,
    MARIADB_GTID,
    PAYLOAD,
    PREVIOUS_GTIDS,
    QUERY,
    QUERY_COMPRESSED,
    START_ENCRYPTION,
    XA_PREPARE,
    XID,
    DamagedError,
    EncryptedError,
    Event,
    events_in,
)
from mmm.binlog.transactions import (
    BEGINNINGS,
    BETWEEN,
    ENDS,
    STANDALONE,
    AnyGtid,
    Problem,
    UnusableError,
    gtid_of,
    statement_of,
)
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.mysql import GtidSet, parse
from mmm.gtid.transactions import Executed

_COUNT = 0x0FFFFFFF
"""The bits of a MariaDB list's first number that count; the others are flags."""
_COMMITS = frozenset({XID, XA_PREPARE, PAYLOAD})


@dataclass(frozen=True, slots=True)
class Before:
    """What the log had when the file was begun; comes before the first transaction."""

    executed: Executed


@dataclass(frozen=True, slots=True)
class Logged:
    """A transaction that is in the file to its end."""

    gtid: AnyGtid | None
    """None: it has none."""
    server_id: int
    """Of the server that it was written on first."""
    when: int
    """When it was begun, in seconds since 1970."""
    begin: int
    end: int
    """Where it begins, and what follows it, in the file."""


def contents(pieces: Iterable[bytes]) -> Iterator[Before | Logged]:
    """Return what a file holds, in its order, as it comes in pieces; raises UnusableError where it cannot be read."""
    try:
        yield from _contents(events_in(pieces))
    except EncryptedError as error:
        raise UnusableError(Problem.ENCRYPTED, str(error)) from error
    except (DamagedError, IndexError, ValueError) as error:
        raise UnusableError(Problem.DAMAGED, str(error)) from error


def _contents(events: Iterator[Event]) -> Iterator[Before | Logged]:
    began: Event | None = None
    many = False
    for event in events:
        if event.kind == INCIDENT:
            raise UnusableError(Problem.INCIDENT, f"an incident is noted at {event.next_position}")
        if event.kind == START_ENCRYPTION:
            raise UnusableError(Problem.ENCRYPTED, "it is encrypted")
        if event.kind in BEGINNINGS:
            began, many = event, False
        elif event.kind in BETWEEN:
            if event.kind in {GTID_LIST, PREVIOUS_GTIDS} and (before := _before(event)) is not None:
                yield Before(before)
        elif began is None:
            raise UnusableError(
                Problem.NO_GTIDS, "its server begins transactions without an event that says so"
            )
        else:
            ended, many = _ends(event, began, many=many)
            if ended:
                gtid = None if began.kind == ANONYMOUS_GTID else gtid_of(began)
                yield Logged(gtid, began.server_id, began.when, began.begin, event.end)


def _ends(event: Event, began: Event, *, many: bool) -> tuple[bool, bool]:
    """Return whether the transaction is at its end, and whether it is one of many statements."""
    if event.kind in _COMMITS:
        return True, many
    if event.kind == QUERY_COMPRESSED:  # too long to be a COMMIT
        return began.kind == MARIADB_GTID and bool(began.body[12] & STANDALONE), many
    if event.kind != QUERY:
        return False, many
    text = statement_of(event)
    if began.kind == MARIADB_GTID:
        alone = bool(began.body[12] & STANDALONE) or text.startswith((b"XA COMMIT ", b"XA ROLLBACK "))
        return alone or text in ENDS, many
    begins = text == b"BEGIN" or text.startswith(b"XA START ") or text.endswith(b"START TRANSACTION")
    many = many or begins
    return not begins and (not many or text in ENDS), many


def _before(event: Event) -> Executed | None:
    """Return what a list names that a file begins with; None: it is in a form that is not known here."""
    return _mariadb_list(event.body) if event.kind == GTID_LIST else _mysql_set(event.body)


def _mariadb_list(body: bytes) -> History:
    def number(at: int, length: int) -> int:
        return int.from_bytes(body[at : at + length], "little")

    places = range(4, 4 + 16 * (number(0, 4) & _COUNT), 16)
    return History((), tuple(Gtid(number(at, 4), number(at + 4, 4), number(at + 8, 8)) for at in places))


def _mysql_set(body: bytes) -> GtidSet | None:
    def number(at: int) -> int:
        return int.from_bytes(body[at : at + 8], "little")

    if body[7]:  # it has tags
        return None
    parts: list[str] = []
    at = 8
    for _ in range(number(0)):
        origin, intervals = str(uuid.UUID(bytes=body[at : at + 16])), number(at + 16)
        at += 24
        for _ in range(intervals):
            parts.append(f"{origin}:{number(at)}-{number(at + 8) - 1}")
            at += 16
    return parse(",".join(parts))
