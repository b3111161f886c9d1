"""What a new writer got of the binary log of the one before it, in its answer to SET_STATUS: no sockets.

    request   …|SALVAGE:HOST|…                get the rest of that host's binary log before writes are allowed
    reply     …|SALVAGED:KEY=VALUE,…|…        what came of it

    host=db1,count=3,first=0-1-4711,last=0-1-4713,bytes=1234,left=0,all=1,why=,ms=85,at=,at_bytes=0

Agents and monitors of MMM 2.x neither send nor read it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from mmm.wire.agent import Reply, Request

_SALVAGED = re.compile(r"SALVAGED:([^|]{1,2000})")
_SALVAGE = re.compile(r"SALVAGE:([A-Za-z0-9_.-]{1,255})")

_MEGABYTE = 1 << 20


class Cause(StrEnum):
    """Why not everything was got."""

    AGENT = "agent"
    """The agent of the old writer did not answer, or broke off."""
    HAS_ROLE = "has_role"
    """It may still have the role."""
    NO_LOG = "no_log"
    """The log cannot be read there, or where it is was never learned."""
    PURGED = "purged"
    """The log does not reach back to what is here."""
    WRONG_SERVER = "wrong_server"
    """The log there is another server's."""
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    INCIDENT = "incident"
    XA = "xa"
    """An XA transaction is in the way."""
    NO_GTIDS = "no_gtids"
    """The transactions have no GTIDs by which they would not be applied twice."""
    GAP = "gap"
    """What is in the log does not follow on what is here."""
    DIVERGED = "diverged"
    """This host has written something else in its place."""
    TOO_LARGE = "too_large"
    LATE = "late"
    """`salvage_timeout` or the lease ran out."""
    PROGRAM = "program"
    """mariadb-binlog or mysqlbinlog is missing, or failed."""
    DENIED = "denied"
    """The agent's MySQL user lacks the privilege."""
    NOT_APPLIED = "not_applied"
    """The server did not take a transaction."""
    SERVER = "server"
    """The server here could not be asked, or its replication could not be stopped."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of it: all numbers are of transactions."""

    host: str
    """Whose log it was."""
    count: int = 0
    """How many were applied, and are here."""
    first: str = ""
    last: str = ""
    size: int = 0
    """Bytes that were got of the log."""
    left: int = 0
    """How many were found whole in the log, and are not here."""
    cause: Cause | None = None
    """Why not everything is here; None: it is."""
    known: bool = False
    """The log was read to its end: nothing is missing but what is `left`."""
    seconds: float = 0.0
    at: str = ""
    """The first transaction that was seen in the log and is not here; empty where none was."""
    at_size: int = 0
    """Bytes that it has there; 0: that is not known."""

    @property
    def complete(self) -> bool:
        """Tell whether everything is here that the old writer had committed."""
        return self.cause is None and self.known and not self.left

    @property
    def names(self) -> str:
        """Return the first and the last that were applied, as people read it; empty without any."""
        return self.first if self.count < 2 else f"{self.first} to {self.last}"

    @property
    def at_named(self) -> str:
        """Return the first that is not here, with its size where that is worth a word; empty where none was seen."""
        return f"{self.at} ({self.at_size / _MEGABYTE:.0f} MB)" if self.at_size >= _MEGABYTE else self.at

    def __str__(self) -> str:
        got = f"{self.count} transaction{'' if self.count == 1 else 's'} got"
        names = f" ({self.names})" if self.names else ""
        if self.complete:
            return f"{got}{names}, nothing is missing"
        at = f" from {self.at_named} on" if self.at else ""
        return f"{got}{names}, {self.left}{'' if self.known else ' or more'} missing{at}: {self.cause}"


def salvage_field(host: str) -> str:
    """Return the parameter of SET_STATUS that names the host whose log is to be got."""
    return f"SALVAGE:{host}"


def ordered_salvage(request: Request) -> str:
    """Return the host that a SET_STATUS names so, empty where it names none."""
    found = (match[1] for each in request.params[3:] if (match := _SALVAGE.fullmatch(each)))
    return next(found, "")


def salvaged_fields(done: Salvaged | None) -> tuple[str, ...]:
    """Return the reply field that tells of it."""
    if done is None:
        return ()
    values = {
        "host": done.host,
        "count": done.count,
        "first": done.first,
        "last": done.last,
        "bytes": done.size,
        "left": done.left,
        "all": int(done.known),
        "why": done.cause or "",
        "ms": round(1000 * done.seconds),
        "at": done.at,
        "at_bytes": done.at_size,
    }
    return (f"SALVAGED:{','.join(f'{key}={value}' for key, value in values.items())}",)


def salvaged_in(reply: Reply) -> Salvaged | None:
    """Return what the reply tells of it, None where it tells nothing that can be read."""
    said = next((match[1] for each in reply.fields if (match := _SALVAGED.fullmatch(each))), "")
    values = {key: value for key, _, value in (part.partition("=") for part in said.split(","))}
    try:
        return Salvaged(
            values["host"],
            _count(values["count"]),
            values["first"],
            values["last"],
            _count(values["bytes"]),
            _count(values["left"]),
            _cause(values["why"]),
            values["all"] == "1",
            _count(values["ms"]) / 1000,
            values.get("at", ""),
            _count(values.get("at_bytes", "0")),
        )
    except (KeyError, ValueError):
        return None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError(text)
    return int(text)


def _cause(code: str) -> Cause | None:
    """Return the cause; one that a later version knows is any that leaves something behind."""
    if not code:
        return None
    return Cause(code) if code in set(Cause) else Cause.NOT_APPLIED
