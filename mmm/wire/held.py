"""What outlasts an agent that is stopped in order while no monitor answers: that its VIP stays for good (rule 14.3).

    request   HELD|1|HOST|HOLDER|TOKEN             to the other hosts of the role: refuse it until this is void
    request   HELD|1|HOST|HOLDER|TOKEN|VOID        the holder does without: one of the others has not agreed
    reply     …|HELD:HOLDER=TOKEN,…                of every kind, by a host that refuses the role for that
    order     …|VOID:HOLDER=TOKEN,…                SET_STATUS: the monitor knows that these are void; often none is

A *stay* is named by the token of the moment at which it was asked for. Agents of MMM 2.x, and those of ours that are
older, answer ERROR to HELD: nobody stays by them. A monitor whose orders have no VOID would never free who agrees.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from mmm.wire.agent import HELD, Reply, Request, WireError

_VOID = "VOID"
_NAME, _TOKEN = r"[^=,|\s]{1,100}", r"[A-Za-z0-9.-]{1,80}"
_STAY = re.compile(rf"({_NAME})=({_TOKEN})")
_SHOWN, _ENDED = f"{HELD}:", f"{_VOID}:"


class Stay(NamedTuple):
    """A host whose VIP stays for good, and the token of when it asked for that."""

    host: str
    token: str


def asks_to_stay(host: str, stay: Stay, *, void: bool = False) -> Request:
    """Return the request that `host` refuses the writer role for a stay, or that the stay is `void`."""
    return Request(HELD, host, (*stay, _VOID) if void else tuple(stay))


def asked_to_stay(request: Request) -> tuple[Stay, bool]:
    """Return the stay that HELD is about, and whether it says that this is void; raises WireError."""
    match = _STAY.fullmatch("=".join(request.params[:2]))
    if match is None:
        raise WireError(f"{HELD} needs a holder and a token")
    return Stay(match[1], match[2]), _VOID in request.params[2:]


def held_fields(stays: Iterable[Stay]) -> tuple[str, ...]:
    """Return the field of a reply that shows for whom this host refuses the role; none where it does not."""
    said = _said(stays)
    return (f"{_SHOWN}{said}",) if said else ()


def held_in(reply: Reply) -> frozenset[Stay]:
    """Return for whom the agent that has answered refuses the role."""
    return next((_stays(field[len(_SHOWN) :]) for field in reply.fields if field.startswith(_SHOWN)), _NONE)


def void_field(stays: Iterable[Stay]) -> str:
    """Return the parameter of an order that names the stays which are void; it is there where none is, too."""
    return f"{_ENDED}{_said(stays)}"


def void_in(request: Request) -> frozenset[Stay] | None:
    """Return the stays that are void by an order, None where its monitor knows nothing of stays."""
    said = (param[len(_ENDED) :] for param in request.params if param.startswith(_ENDED))
    return next(map(_stays, said), None)


_NONE = frozenset[Stay]()


def _said(stays: Iterable[Stay]) -> str:
    return ",".join(f"{host}={token}" for host, token in sorted(stays))


def _stays(text: str) -> frozenset[Stay]:
    return frozenset(Stay(each[1], each[2]) for part in text.split(",") if (each := _STAY.fullmatch(part)))
