"""What an agent is asked about its server, its host, and the way to others (rule 4); MMM 2.x knows none of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmm.wire.agent import ABSENT, CLIENTS, DOCTOR, REACHABLE, Reply, Request, WireError, is_sayable, sayable

EVENTS, DISK_FULL, NO_SPACE = "events", "disk_full", "no_space"
"""Codes of notes: a MySQL event is ENABLED; threads wait for space on a disk; next to none is left there."""
_CLIENTS_FIELDS = 9
_NOTE = re.compile(r"([a-z][a-z0-9_]{0,39})=([0-9]{1,9})")
_REACH = {"": None, "0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an agent sees of its server; `seconds` is for how long, 0 where that is not known."""

    code: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Clients:
    """The client sessions of a server, as its agent would treat them when the writer role goes."""

    at_rest: int
    """Would be ended at once."""
    writing: int
    """Would get a grace period."""
    oldest: float = 0.0
    """Seconds that the oldest of these has been at its transaction or statement."""
    who: str = ""
    """That session: its number and user."""
    idle: int = 0
    """Sessions without a statement that hold a transaction open which has changed rows, or locks some."""
    idle_for: float = 0.0
    """Seconds that the one of these which has rested longest has been without a statement."""
    idle_who: str = ""
    """That session: its number, user and client, and what it has changed."""
    waiting: int = 0
    """Sessions that wait for a lock."""
    waited: float = 0.0
    """Seconds that the first of these has waited."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a host reaches another one (rule 11.2); None where that cannot be told."""

    mysql: bool
    """Its server let the agent in, or turned it away with an answer."""
    agent: bool
    ping: bool | None = None
    replicates: bool | None = None
    """The IO thread of this host's replica is connected to it; None where it replicates from another."""


def ask_clients(host: str, monitor_user: str) -> Request:
    """Return the request that asks about clients other than the monitor's own user."""
    return Request(CLIENTS, host, (monitor_user if is_sayable(monitor_user) else "",))


def clients_fields(clients: Clients) -> tuple[str, ...]:
    """Return the reply fields that tell of the clients."""
    known = (str(clients.at_rest), str(clients.writing), f"{clients.oldest:.1f}", sayable(clients.who))
    idle = (str(clients.idle), f"{clients.idle_for:.1f}", sayable(clients.idle_who))
    return (*known, *idle, str(clients.waiting), f"{clients.waited:.1f}")


def clients(reply: Reply) -> Clients:
    """Return what the reply to CLIENTS tells; raises WireError."""
    try:
        at_rest, writing, oldest, who = reply.fields[:4]
        known = Clients(_count(at_rest), _count(writing), _whole(oldest), who)
        if len(reply.fields) < _CLIENTS_FIELDS:  # of an older agent
            return known
        idle, idle_for, idle_who, waiting, waited = reply.fields[4:_CLIENTS_FIELDS]
        known = replace(known, idle=_count(idle), idle_for=_whole(idle_for), idle_who=idle_who)
        return replace(known, waiting=_count(waiting), waited=_whole(waited))
    except ValueError as error:
        raise WireError(
            f"CLIENTS answer {reply.fields!r:.80} is not at rest, writing, oldest, who"
        ) from error


def notes_fields(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return the reply fields that tell of them."""
    return tuple(f"{note.code}={note.seconds:.0f}" for note in notes)


def notes(reply: Reply) -> tuple[Note, ...]:
    """Return what the reply to NOTES tells, as far as it can be read."""
    found = (_NOTE.fullmatch(field) for field in reply.fields)
    return tuple(Note(match[1], float(match[2])) for match in found if match)


def reachable(host: str, other: str) -> Request:
    """Return the request that asks `host` whether it reaches `other`."""
    return Request(REACHABLE, host, (other,))


def asked_reachable(request: Request) -> str:
    """Return the host that is asked about; raises WireError."""
    if not request.params:
        raise WireError(f"{REACHABLE} needs the name of a host")
    return request.params[0]


def reach_fields(reach: Reach) -> tuple[str, ...]:
    """Return the reply fields that tell of it: ping, agent, mysql, replication, each 1, 0 or empty."""
    known = (reach.ping, reach.agent, reach.mysql, reach.replicates)
    return tuple("" if each is None else str(int(each)) for each in known)


def reach(reply: Reply) -> Reach:
    """Return what the reply to REACHABLE tells; raises WireError."""
    try:
        ping, agent, mysql, replicates = (_REACH[field] for field in reply.fields[:4])
    except (KeyError, ValueError) as error:
        raise WireError(
            f"{REACHABLE} answer {reply.fields!r:.80} is not ping, agent, mysql, replication"
        ) from error
    return Reach(bool(mysql), bool(agent), ping, replicates)


def absent(host: str, other: str, ip: str) -> Request:
    """Return the request that asks `host` whether nothing answers ARP for `other` and for the VIP `ip`."""
    return Request(ABSENT, host, (other, ip))


def asked_absent(request: Request) -> tuple[str, str]:
    """Return the host and the VIP that are asked about; raises WireError."""
    if len(request.params) < 2:
        raise WireError(f"{ABSENT} needs the name of a host and a VIP")
    return request.params[0], request.params[1]


def absent_fields(*, nobody: bool) -> tuple[str, ...]:
    """Return the reply field that tells whether nobody has answered."""
    return (str(int(nobody)),)


def is_absent(reply: Reply) -> bool:
    """Tell whether the reply to ABSENT says that nobody has answered."""
    return reply.ok and reply.fields[:1] == ("1",)


def looked_fields(look: str) -> tuple[str, ...]:
    """Return the reply field with a look, a text without line ends and `|`."""
    return (look,)


def looked(reply: Reply) -> str:
    """Return the look in the reply to DOCTOR; raises WireError."""
    if not reply.fields:
        raise WireError(f"{DOCTOR} answer without a look")
    return reply.fields[0]


def _whole(text: str) -> float:
    return float(_count(text.partition(".")[0]))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(text)
    return int(text)
