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
from functools import partial

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
    TAGGED_GTID,
    XA_PREPARE,
    XID,
    DamagedError,
    EncryptedError,
    Event,
    events_in,
)
from mmm.binlog.tagged import tagged_gtid, tagged_set
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
_LOAD = 18
"""LOAD DATA, logged as a statement."""
_SAY = frozenset({QUERY_COMPRESSED, PAYLOAD, XA_PREPARE, _LOAD})
_OF_TRANSACTIONS = ENDS | {b"BEGIN", b"START TRANSACTION"}
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
    said: bool = False
    """It holds a statement, or may: not all of it is rows."""


def contents(pieces: Iterable[bytes]) -> Iterator[Before | Logged]:
    """Return what a file holds, in its order, as it comes in pieces; raises UnusableError where it cannot be read."""
    try:
        yield from contents_of(events_in(pieces))
    except EncryptedError as error:
        raise UnusableError(Problem.ENCRYPTED, str(error)) from error
    except (DamagedError, LookupError, ValueError) as error:
        raise UnusableError(Problem.DAMAGED, str(error)) from error


def contents_of(events: Iterator[Event]) -> Iterator[Before | Logged]:
    """Return the same of events that are read already, with the errors of whoever reads them besides."""
    began: Event | None = None
    many = said = False
    for event in events:
        if event.kind == INCIDENT:
            raise UnusableError(Problem.INCIDENT, f"an incident is noted at {event.next_position}")
        if event.kind == START_ENCRYPTION:
            raise UnusableError(Problem.ENCRYPTED, "it is encrypted")
        if event.kind in BEGINNINGS:
            began, many, said = event, False, False
        elif event.kind in BETWEEN:
            if event.kind in {GTID_LIST, PREVIOUS_GTIDS}:
                yield Before(_before(event))
        elif began is None:
            raise UnusableError(
                Problem.NO_GTIDS, "its server begins transactions without an event that says so"
            )
        else:
            said = said or _says(event)
            ended, many = _ends(event, began, many=many)
            if ended:
                yield Logged(_gtid(began), began.server_id, began.when, began.begin, event.end, said)


def _gtid(began: Event) -> AnyGtid | None:
    if began.kind == TAGGED_GTID:
        return tagged_gtid(began.body)
    return None if began.kind == ANONYMOUS_GTID else gtid_of(began)


def _says(event: Event) -> bool:
    """Tell whether an event is a statement, or may hold one."""
    return event.kind in _SAY or (event.kind == QUERY and statement_of(event) not in _OF_TRANSACTIONS)


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


def _before(event: Event) -> Executed:
    """Return what a list names that a file begins with."""
    return _mariadb_list(event.body) if event.kind == GTID_LIST else _mysql_set(event.body)


def _number(body: bytes, at: int, length: int = 8) -> int:
    """Return the number that stands there; raises ValueError where the body ends before it does."""
    if at + length > len(body):
        raise ValueError("a list of GTIDs is cut off")
    return int.from_bytes(body[at : at + length], "little")


def _mariadb_list(body: bytes) -> History:
    number = partial(_number, body)
    places = range(4, 4 + 16 * (number(0, 4) & _COUNT), 16)
    return History((), tuple(Gtid(number(at, 4), number(at + 4, 4), number(at + 8, 8)) for at in places))


def _mysql_set(body: bytes) -> GtidSet:
    number = partial(_number, body)
    if body[7]:
        return parse(",".join(tagged_set(body)))
    parts: list[str] = []
    at = 8
    for _ in range(number(0)):
        origin, intervals = str(uuid.UUID(bytes=body[at : at + 16])), number(at + 16)
        at += 24
        for _ in range(intervals):
            parts.append(f"{origin}:{number(at)}-{number(at + 8) - 1}")
            at += 16
    return parse(",".join(parts))
