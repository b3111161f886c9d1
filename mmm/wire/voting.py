"""The question by which a monitor leads, LEAD, and what a voter answers (rule 14.2). No sockets.

    request   LEAD|1|HOST|EPOCH|SECONDS|RECORD|CONF:voters=DIGEST|SEEN:TOKEN   SECONDS 0: the epoch is over
              EPOCH `-`, SECONDS 0: only asks
    reply     OK: …|EPOCH|SECONDS|RECORD|HIGHEST:EPOCH|…                          agreed
              ERROR: …|EPOCH|SECONDS|RECORD|HIGHEST:EPOCH|REFUSES:CODE|…|WHY:lead   not agreed

EPOCH is NUMBER.ADDRESS.NONCE as in orders; in a reply the one that the voter follows, with the seconds for which it is
bound yet, `-` where there is none. RECORD is `SEQUENCE;MODE;CAUSE;HOST,…;HOST,…;EPOCH;IP,…`, `-` where there is none.
HIGHEST is the highest epoch that the voter has ever agreed to, `-` where there is none. One that has lost its
disk adds NEW, one whose conf has other voters than it has voted with CHANGED.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING, Record
from mmm.wire.agent import Reply, Request, WireError
from mmm.wire.lead import with_conf

LEAD = "LEAD"
NOT_LED = "lead"
"""Why an agent does not agree to a monitor, or does not obey one that it has not agreed to."""
_NOBODY = "-"
_NEW, _CHANGED = "NEW", "CHANGED"
_ADDRESS = r"[A-Za-z0-9_.:%\[\]-]{1,80}"
_EPOCH = re.compile(rf"([0-9]{{1,15}})\.({_ADDRESS})\.([A-Za-z0-9-]{{1,40}})")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_HIGHEST = re.compile(r"HIGHEST:(.{1,200})")
_SEEN = re.compile(r"SEEN:([A-Za-z0-9.-]{1,80})")
_RECORD = re.compile(r"([0-9]{1,15});([A-Z_]{0,40});([a-z_]{0,40});([^;|]*);([^;|]*);([^;|]*);([^;|]*)")


class Asked(NamedTuple):
    """A monitor asks to lead, or to lead on, for so many seconds; with 0 it says that it leads no more."""

    epoch: Lead | None
    """None: it only asks whom the voter follows."""
    length: float
    record: Record = NOTHING
    seen: str = ""
    """A token of the voter that the monitor has."""


class Said(NamedTuple):
    """What a voter is bound to."""

    follows: Lead | None
    left: float
    """Seconds for which it is."""
    record: Record
    new: bool = False
    """It does not know what it has agreed to."""
    changed: bool = False
    """It has voted with others than its conf names now, and does not count before it has heard a monitor that leads."""
    highest: Lead | None = None
    """The highest epoch that it has agreed to."""


def ask(host: str, asked: Asked, digests: Mapping[str, str]) -> Request:
    """Return the request to a voter."""
    seen = (f"SEEN:{asked.seen}",) if asked.seen else ()
    params = (_text(asked.epoch), f"{asked.length:g}", record_text(asked.record))
    request = with_conf(Request(LEAD, host, params), digests)
    return Request(LEAD, host, (*request.params, *seen))


def asked(request: Request) -> Asked:
    """Return what is asked with LEAD; raises WireError."""
    if len(request.params) < 3 or not _SECONDS.fullmatch(request.params[1]):
        raise WireError(f"{LEAD} needs an epoch, a number of seconds and a record")
    epoch = epoch_of(request.params[0])
    if epoch is None and request.params[0] != _NOBODY:
        raise WireError(f"{request.params[0][:80]!r} is no epoch")
    seen = next((match[1] for each in request.params[3:] if (match := _SEEN.fullmatch(each))), "")
    return Asked(epoch, float(request.params[1]), record_of(request.params[2]), seen)


def said_fields(said: Said) -> tuple[str, ...]:
    """Return the fields of a voter's answer."""
    follows = _text(said.follows)
    new = (*((_NEW,) if said.new else ()), *((_CHANGED,) if said.changed else ()))
    return (follows, f"{said.left:.3f}", record_text(said.record), f"HIGHEST:{_text(said.highest)}", *new)


def said(reply: Reply) -> Said | None:
    """Return what a voter says that it is bound to, None for an agent that does not vote; raises WireError."""
    if len(reply.fields) < 3 or not _SECONDS.fullmatch(reply.fields[1]):
        return None
    follows = epoch_of(reply.fields[0])
    named = next((match[1] for each in reply.fields if (match := _HIGHEST.fullmatch(each))), "")
    record = record_of(reply.fields[2])
    left, flags = float(reply.fields[1]), reply.fields[3:]
    return Said(follows, left, record, _NEW in flags, _CHANGED in flags, epoch_of(named))


def epoch_text(epoch: Lead) -> str:
    """Return an epoch as orders and votes name it."""
    return f"{epoch.number}.{epoch.address}.{epoch.nonce}"


def _text(epoch: Lead | None) -> str:
    return _NOBODY if epoch is None else epoch_text(epoch)


def epoch_of(text: str) -> Lead | None:
    """Return the epoch that a text names, None where it names none."""
    match = _EPOCH.fullmatch(text)
    return None if match is None else Lead(int(match[1]), match[2], match[3])


def record_text(record: Record) -> str:
    """Return a record as it is sent and kept."""
    if record.epoch is None:
        return _NOBODY
    offline, held, monitors = (
        ",".join(sorted(names)) for names in (record.offline, record.held, record.monitors)
    )
    epoch = epoch_text(record.epoch)
    return f"{record.sequence};{record.mode};{record.cause};{offline};{held};{epoch};{monitors}"


def record_of(text: str) -> Record:
    """Return the record that a text is; raises WireError."""
    if text in {_NOBODY, ""}:
        return NOTHING
    match = _RECORD.fullmatch(text)
    epoch = epoch_of(match[6]) if match else None
    if match is None or epoch is None:
        raise WireError(f"{text[:80]!r} is no record")
    offline, held, monitors = (frozenset(filter(None, match[place].split(","))) for place in (4, 5, 7))
    return Record(epoch, int(match[1]), match[2], match[3], offline, held, monitors)
