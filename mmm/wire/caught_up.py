"""What a new writer got of other replicas before it took writes, in its answer to SET_STATUS: no sockets.

    request   …|CATCHUP:HOST,HOST|…        follow these hosts, one after the other, up to what they have
    reply     …|CAUGHTUP:KEY=VALUE,…|…     what came of it, a field for each host that had something

    host=db3,count=3,names=0-1-4711 to 0-1-4713,left=0,lacks=,exact=1,why=,ms=85

Agents and monitors of MMM 2.x neither send nor read it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from mmm.gtid.transactions import Surplus
from mmm.wire.agent import Reply, Request, sayable

_CATCH_UP = re.compile(r"CATCHUP:([A-Za-z0-9_.,-]{1,2000})")
_CAUGHT_UP = re.compile(r"CAUGHTUP:([^|]{1,2000})")
_NUMBER = re.compile(r"[0-9]{1,15}")
_MOST_NAMED = 3
_BETWEEN = "+"


class Cause(StrEnum):
    """Why not everything was got of a host."""

    SILENT = "silent"
    """Its server did not answer, or stopped answering."""
    NO_GTIDS = "no_gtids"
    """One of the two has no GTIDs."""
    FAMILY = "family"
    """One is MariaDB, the other MySQL."""
    NO_LOG = "no_log"
    """It does not write what it replicates into a binary log."""
    OWN = "own"
    """It has transactions that were written on it, and they would come along."""
    LOGIN = "login"
    """It does not let the replication user in."""
    PURGED = "purged"
    """Its binary log does not reach back to what is here."""
    BEYOND = "beyond"
    """It lacks something that is here, so that it cannot be followed."""
    STOPPED = "stopped"
    """A transaction could not be applied here, or the host ceased to send."""
    LATE = "late"
    """`sync_timeout` or the lease ran out."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What came of following a host; all numbers are of transactions."""

    host: str
    count: int = 0
    """How many came from it."""
    names: tuple[str, ...] = ()
    """Which, as ranges."""
    left: int = 0
    """How many it has that are not here, as far as it could be asked."""
    lacks: tuple[str, ...] = ()
    """Which."""
    exact: bool = True
    """False: the numbers are the most that it can be, see `mmm.gtid.transactions.Surplus`."""
    cause: Cause | None = None
    """Why not everything is here; None: it is."""
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.cause is None:
            return f"{self.got} got from {self.host}"
        left = self.missing if self.left else "what else it has"
        return f"{self.got} got from {self.host}, {left} not: {self.cause}"

    @property
    def got(self) -> str:
        """Return what came from it, in words."""
        return str(Surplus(self.count, self.exact, self.names))

    @property
    def missing(self) -> str:
        """Return what it has and is not here, in words."""
        return str(Surplus(self.left, self.exact, self.lacks))


def catch_up_field(hosts: tuple[str, ...]) -> str:
    """Return the parameter of SET_STATUS that names the hosts to follow, in order."""
    return f"CATCHUP:{','.join(hosts)}"


def ordered_catch_up(request: Request) -> tuple[str, ...]:
    """Return the hosts that a SET_STATUS names so, in order."""
    found = (match[1] for each in request.params[3:] if (match := _CATCH_UP.fullmatch(each)))
    return tuple(filter(None, next(found, "").split(",")))


def caught_up_fields(done: tuple[CaughtUp, ...]) -> tuple[str, ...]:
    """Return the reply fields that tell of it."""
    return tuple(f"CAUGHTUP:{','.join(f'{key}={value}' for key, value in _values(one))}" for one in done)


def _values(one: CaughtUp) -> tuple[tuple[str, object], ...]:
    return (
        ("host", one.host),
        ("count", one.count),
        ("names", _joined(one.names)),
        ("left", one.left),
        ("lacks", _joined(one.lacks)),
        ("exact", int(one.exact)),
        ("why", one.cause or ""),
        ("ms", round(1000 * one.seconds)),
    )


def _joined(names: tuple[str, ...]) -> str:
    some = names[: _MOST_NAMED + 1]  # that there are more is shown by one more
    return _BETWEEN.join(re.sub("[=,+]", " ", sayable(name)) for name in some)


def caught_up_in(reply: Reply) -> tuple[CaughtUp, ...]:
    """Return what the reply tells of it; fields that cannot be read are left out."""
    told = (match[1] for field in reply.fields if (match := _CAUGHT_UP.fullmatch(field)))
    return tuple(one for text in told if (one := _one(text)) is not None)


def _one(text: str) -> CaughtUp | None:
    of = {key: value for key, _, value in (part.partition("=") for part in text.split(","))}
    if not of.get("host") or not all(_NUMBER.fullmatch(of.get(name, "")) for name in ("count", "left", "ms")):
        return None
    names, lacks = (tuple(filter(None, of.get(name, "").split(_BETWEEN))) for name in ("names", "lacks"))
    cause = _cause(of.get("why", ""))
    exact, seconds = of.get("exact") == "1", int(of["ms"]) / 1000
    return CaughtUp(of["host"], int(of["count"]), names, int(of["left"]), lacks, exact, cause, seconds)


def _cause(code: str) -> Cause | None:
    """Return the cause; one that a later version knows is any that leaves something behind."""
    if not code:
        return None
    return Cause(code) if code in set(Cause) else Cause.STOPPED
