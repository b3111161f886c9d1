"""Orders an agent to have its host rebuilt by `mmm_rejoin` (rule 4): no sockets.

    request   REJOIN|1|HOST[|FROM:DONOR][|METHOD:METHOD][|LOSE_EXTRA:HOST][|DRY_RUN]
              REJOIN|1|HOST|ABORT                           a job that was broken off is taken back
    reply     OK: …|SAID:TEXT|SAID:TEXT|…                   it has begun; with DRY_RUN: what it would do, line by line
              ERROR: …|REFUSAL:CODE,CODE|SAID:TEXT|WHY:not_rebuilt     why it has not
              ERROR: …|WHY:rebuild_not_allowed              nothing shows that the order comes from the cluster

The codes of refusals are those of `mmm.tools.rejoin.checks`. Agents of MMM 2.x answer ERROR to it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mmm.wire.agent import Reply, Request, WireError, sayable

REJOIN = "REJOIN"
DRY_RUN = "DRY_RUN"
ABORT = "ABORT"
REWIND, CLONE = METHODS = ("rewind", "clone")
"""What only the host has is undone, or it gets a copy of all data."""
NOT_REBUILT = "not_rebuilt"
"""The tool has refused, or could not begin."""
NOT_ALLOWED = "rebuild_not_allowed"
"""The order came neither by TLS nor signed, and the conf of the host does not allow it all the same."""

_LONGEST, _MOST = 500, 40
_FROM, _LOSE, _METHOD = "FROM", "LOSE_EXTRA", "METHOD"
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_SAID = re.compile(r"SAID:([^|]*)")
_REFUSAL = re.compile(r"REFUSAL:([a-z_]{1,40}(?:,[a-z_]{1,40}){0,19})")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is ordered."""

    donor: str = ""
    """Who is to give the copy; empty: whoever is fit."""
    dry_run: bool = False
    lose_extra: str = ""
    """The host's name, once more, where what only it has may be lost if it cannot be saved."""
    abort: bool = False
    """A job that was broken off is to be taken back."""
    method: str = ""
    """By which means alone, of METHODS; empty: by whatever is fit."""


@dataclass(frozen=True, slots=True)
class Came:
    """What an order came to."""

    begun: bool
    """It has begun, or a dry run was made."""
    lines: tuple[str, ...]
    """What the tool said."""
    codes: tuple[str, ...] = ()
    """Why it has refused."""


def order(host: str, wanted: Wanted) -> Request:
    """Return the request."""
    names = ((_FROM, wanted.donor), (_LOSE, wanted.lose_extra), (_METHOD, wanted.method))
    named = [f"{key}:{name}" for key, name in names if name]
    return Request(REJOIN, host, (*named, *([DRY_RUN] * wanted.dry_run), *([ABORT] * wanted.abort)))


def ordered(request: Request) -> Wanted:
    """Return what is ordered, parameters that are not known ignored.

    Raises WireError for what is no host's name, and for a method that there is not.
    """
    donor, lose_extra, method = (_named(request, key) for key in (_FROM, _LOSE, _METHOD))
    if method and method not in METHODS:
        raise WireError(f"{method[:60]!r} is no method")
    return Wanted(donor, DRY_RUN in request.params, lose_extra, ABORT in request.params, method)


def _named(request: Request, key: str) -> str:
    found = next((each for each in request.params if each.startswith(f"{key}:")), None)
    if found is None:
        return ""
    name = found.partition(":")[2]
    if not _NAME.fullmatch(name):
        raise WireError(f"{found[:60]!r} names no host")
    return name


def came_fields(came: Came) -> tuple[str, ...]:
    """Return the reply fields that tell what it came to."""
    codes = (f"REFUSAL:{','.join(came.codes)}",) if came.codes else ()
    return (*codes, *_said(came.lines))


def _said(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"SAID:{sayable(line)[:_LONGEST]}" for line in list(lines)[:_MOST])


def came(reply: Reply) -> Came:
    """Return what the order came to, as the reply tells."""
    lines = tuple(match[1] for field in reply.fields if (match := _SAID.fullmatch(field)))
    codes = next((match[1] for field in reply.fields if (match := _REFUSAL.fullmatch(field))), "")
    return Came(reply.ok, lines or (reply.said,), tuple(codes.split(",")) if codes else ())
