"""The whole transactions in a part of a binary log, and those of them that a server lacks. Pure.

A transaction begins with an event that names its GTID. It is whole once the event is there that commits it: what
follows the last such event was told to nobody, for a server writes it before it answers the client.
"""

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile

from mmm.binlog.events import (
    ANONYMOUS_GTID,
    CHECKPOINT,
    FORMAT,
    GTID,
    GTID_LIST,
    INCIDENT,
    MARIADB_GTID,
    PAYLOAD,
    PREVIOUS_GTIDS,
    QUERY,
    QUERY_COMPRESSED,
    ROTATE,
    START_ENCRYPTION,
    STOP,
    TAGGED_GTID,
    XA_PREPARE,
    XID,
    DamagedError,
    Event,
    Format,
    events,
)
from mmm.gtid import mariadb
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.mysql import GtidSet
from mmm.gtid.place import LogPlace
from mmm.gtid.transactions import Executed

STANDALONE, PREPARED_XA, COMPLETED_XA = 0x01, 0x40, 0x80
"""Flags in MariaDB's GTID event: one statement without a commit of its own; parts of an XA transaction."""
BEGINNINGS = frozenset({MARIADB_GTID, GTID, ANONYMOUS_GTID, TAGGED_GTID})
BETWEEN = frozenset({STOP, ROTATE, FORMAT, PREVIOUS_GTIDS, CHECKPOINT, GTID_LIST})
"""Events that are part of no transaction."""
ENDS = frozenset({b"COMMIT", b"ROLLBACK"})
_QUERY_HEAD = 13

AnyGtid = Gtid | tuple[str, int]


class Problem(StrEnum):
    """Why transactions of a log cannot be had, or cannot be applied."""

    DAMAGED = "damaged"
    """The log cannot be read from some place on."""
    ENCRYPTED = "encrypted"
    NO_GTIDS = "no_gtids"
    """A transaction without a GTID: nothing would keep it from being applied twice."""
    XA = "xa"
    """An XA transaction: it may be prepared now, and be committed by another one later."""
    INCIDENT = "incident"
    """The server itself notes there that something is missing in its log."""
    GAP = "gap"
    """It does not follow on what the other server has."""
    DIVERGED = "diverged"
    """The other server has written something else in its place."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A transaction that is there to its end."""

    gtid: AnyGtid
    """MariaDB's id, or MySQL's server_uuid and number."""
    data: memoryview
    """Its events, in what was read: it may be most of that, and is not copied."""
    end: LogPlace
    """Where it ends in its log."""

    @property
    def name(self) -> str:
        """Return its GTID as the server writes it."""
        return _name(self.gtid)


@dataclass(frozen=True, slots=True)
class Found:
    """What a part of a log holds."""

    transactions: tuple[Whole, ...] = ()
    problem: Problem | None = None
    """Why there is nothing behind the last of them that can be used; None: the part ends there."""
    why: str = ""
    """The same in words."""
    rest: int = 0
    """Bytes of a transaction that is not there to its end."""
    cut: AnyGtid | None = None
    """Its GTID, or that of the one with the problem, where it has one that can be used."""

    @property
    def cut_name(self) -> str:
        """Return that as the server writes it, empty where there is none."""
        return "" if self.cut is None else _name(self.cut)


class UnusableError(Exception):
    """A transaction, or what stands in a log's place for one, that cannot be used; `problem` is why."""

    def __init__(self, problem: Problem, why: str) -> None:
        super().__init__(why)
        self.problem = problem
        self.why = why
        self.gtid: AnyGtid | None = None
        """Of the transaction, where it has one and this is about one."""


def find(form: Format, file: str, data: bytes) -> Found:
    """Return the whole transactions in `data`, a part of `file` that begins with an event. Never raises."""
    found: list[Whole] = []
    try:
        rest, cut = _find(form, file, data, found)
    except UnusableError as error:
        return Found(tuple(found), error.problem, error.why, cut=error.gtid)
    except (DamagedError, IndexError, ValueError) as error:
        return Found(tuple(found), Problem.DAMAGED, str(error))
    return Found(tuple(found), rest=rest, cut=cut)


def _find(form: Format, file: str, data: bytes, found: list[Whole]) -> tuple[int, AnyGtid | None]:
    """Find them; returns the bytes that are left, and the GTID of the transaction that they begin."""
    began: Event | None = None
    view = memoryview(data)
    alone = False
    end = 0
    for event in events(data, checksums=form.checksums):
        if event.kind == INCIDENT:
            raise UnusableError(Problem.INCIDENT, f"an incident is noted at {file}:{event.next_position}")
        if event.kind == START_ENCRYPTION:
            raise UnusableError(Problem.ENCRYPTED, f"{file} is encrypted")
        if began is None:
            if event.kind in BEGINNINGS:
                began, alone = event, False
            elif event.kind not in BETWEEN:
                raise DamagedError(f"an event of kind {event.kind} between transactions")
            end = event.end if began is None else end
            continue
        if event.kind in BEGINNINGS:
            raise DamagedError(f"a transaction without an end before {file}:{event.next_position}")
        try:
            alone, ended = _ends(event, began, alone=alone)
        except UnusableError as error:
            error.gtid = _cut(began)
            raise
        if ended:
            found.append(
                Whole(gtid_of(began), view[began.begin : event.end], LogPlace(file, event.next_position))
            )
            began, end = None, event.end
    return len(data) - end, _cut(began)


def _cut(began: Event | None) -> AnyGtid | None:
    """Return the GTID of a transaction that is not there to its end, None where it has none that can be used."""
    with suppress(UnusableError, IndexError, ValueError):
        return None if began is None else gtid_of(began)
    return None


def _ends(event: Event, began: Event, *, alone: bool) -> tuple[bool, bool]:
    """Return whether the transaction is known to have a commit of its own, and whether this event is its end."""
    if event.kind == XA_PREPARE:
        raise UnusableError(Problem.XA, "an XA transaction is prepared")
    if event.kind in {XID, PAYLOAD}:
        return alone, True
    if event.kind not in {QUERY, QUERY_COMPRESSED}:
        return alone, False
    if began.kind == MARIADB_GTID:
        flags = began.body[12]
        if flags & (PREPARED_XA | COMPLETED_XA):
            raise UnusableError(Problem.XA, "a part of an XA transaction")
        return alone, bool(flags & STANDALONE) or (event.kind == QUERY and statement_of(event) in ENDS)
    text = statement_of(event)
    if text.startswith(b"XA "):
        raise UnusableError(Problem.XA, "a part of an XA transaction")
    begins = text == b"BEGIN" or text.endswith(b"START TRANSACTION")
    return alone or begins, not begins and (not alone or text in ENDS)


def statement_of(event: Event) -> bytes:
    """Return the statement of a Query event."""
    body = event.body
    database = body[8]
    return body[_QUERY_HEAD + int.from_bytes(body[11:13], "little") + database + 1 :]


def _name(gtid: AnyGtid) -> str:
    return str(gtid) if isinstance(gtid, Gtid) else f"{gtid[0]}:{gtid[1]}"


def gtid_of(event: Event) -> AnyGtid:
    """Return the GTID of the event that begins a transaction; raises UnusableError where it has none."""
    body = event.body
    if event.kind == MARIADB_GTID:
        number, domain = int.from_bytes(body[:8], "little"), int.from_bytes(body[8:12], "little")
        return Gtid(domain, event.server_id, number)
    if event.kind == GTID:
        return str(uuid.UUID(bytes=body[1:17])), int.from_bytes(body[17:25], "little")
    why = "it has a tag" if event.kind == TAGGED_GTID else "it has none"
    raise UnusableError(Problem.NO_GTIDS, f"a transaction whose GTID cannot be used: {why}")


def lacking(found: Found, has: Executed) -> Found:
    """Return what of `found` a server lacks, as far as that follows on what it `has`."""
    wanted: list[Whole] = []
    last: dict[str, int] = {}
    for transaction in found.transactions:
        if holds(has, transaction.gtid):
            continue
        line, number = _line(transaction.gtid)
        if (problem := _unjoined(has, transaction.gtid, last.get(line))) is not None:
            why = f"{transaction.name} does not follow on what is there"
            return Found(tuple(wanted), problem, why)
        last[line] = number
        wanted.append(transaction)
    return replace(found, transactions=tuple(wanted))


def joined(parts: Iterable[Found]) -> Found:
    """Return what parts of a log hold that follow each other, up to the first that cannot be read to its end."""
    transactions: list[Whole] = []
    last = Found()
    for part in parts:
        if last.rest:
            return Found(
                tuple(transactions), Problem.DAMAGED, "the log goes on in the middle of a transaction"
            )
        transactions += part.transactions
        last = part
        if part.problem is not None:
            break
    return replace(last, transactions=tuple(transactions))


def missing(found: Found, has: Executed) -> list[Whole]:
    """Return those of the transactions that are not there, whether they can be applied or not."""
    return [each for each in found.transactions if not holds(has, each.gtid)]


def reached(found: Found, has: Executed) -> LogPlace | None:
    """Return up to which place of its log a server has everything, None where it lacks the first already."""
    return next((each.end for each in reversed(_had(found, has))), None)


def gtids_reached(found: Found, has: Executed) -> tuple[Gtid, ...]:
    """Return the last of MariaDB's GTIDs in each domain up to that place, whichever server wrote it first."""
    last = {each.gtid.domain: each.gtid for each in _had(found, has) if isinstance(each.gtid, Gtid)}
    return tuple(last.values())


def _had(found: Found, has: Executed) -> tuple[Whole, ...]:
    """Return what a server has before the first that it lacks."""
    return tuple(takewhile(lambda each: holds(has, each.gtid), found.transactions))


def _line(gtid: AnyGtid) -> tuple[str, int]:
    """Return within what the numbers go on by one, and the number."""
    return (str(gtid.domain), gtid.sequence) if isinstance(gtid, Gtid) else gtid


def holds(has: Executed, gtid: AnyGtid) -> bool:
    """Tell whether a server that `has` these has the transaction, as far as can be told."""
    match has, gtid:
        case History(), Gtid():
            return has.holds(gtid)
        case GtidSet(), (str(origin), int(number)):
            return any(first <= number <= last for first, last in has.of.get(origin, ()))
    return False


def _unjoined(has: Executed, gtid: AnyGtid, last: int | None) -> Problem | None:
    """Return why a transaction cannot follow on what a server has, and the `last` before it; None: it can."""
    match has, gtid:
        case History(), Gtid():
            newest = (each.sequence for each in mariadb.newest_everywhere(has) if each.domain == gtid.domain)
            before = max(newest, default=0) if last is None else last
            if before >= gtid.sequence:
                return Problem.DIVERGED
            return None if before == gtid.sequence - 1 else Problem.GAP
        case GtidSet(), (str(origin), int(number)):
            joined = number == 1 or last == number - 1 or holds(has, (origin, number - 1))
            return None if joined else Problem.GAP
    return Problem.NO_GTIDS
