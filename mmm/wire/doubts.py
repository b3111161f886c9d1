"""What an agent's answers report besides: problems on its host that do no harm yet, but would be in the way of a role.

    reply     …|DOUBT:CODE:TEXT|DOUBT:CODE:TEXT|…      in answer to SET_STATUS, NOTES and PREPARE
              …|DOUBT:|…                               nothing is wrong

Agents and monitors of MMM 2.x neither send nor read it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mmm.wire.agent import Reply, sayable

GRANTS = "grants"
"""The agent's account lacks privileges without which the host cannot become the writer, or cease to be."""
GRANTS_WANTED = "grants_wanted"
"""It lacks privileges that are needed for less."""
NOT_LISTENING = "not_listening"
"""The server does not listen where it is to be reached."""
REPLICATION_LOGIN = "replication_login"
"""A server that this host is to replicate from turns the conf's replication user away."""
DISK_LOW = "disk_low"
"""A disk that server or agent write to is nearly full."""
CLAIMED = "claimed"
"""Somebody else on the network has a VIP that is held here."""

KNOWN = frozenset({GRANTS, GRANTS_WANTED, NOT_LISTENING, REPLICATION_LOGIN, DISK_LOW, CLAIMED})

_NONE = "DOUBT:"
_MOST = 12
_LONGEST = 500
_DOUBT = re.compile(r"DOUBT:([a-z][a-z0-9_]{0,39}):([^|]*)")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that is wrong on a host."""

    code: str
    text: str
    """What, where, and what to do, in one line."""


def doubt_fields(doubts: Iterable[Doubt]) -> tuple[str, ...]:
    """Return the reply fields that tell of them, or that there are none."""
    told = tuple(f"DOUBT:{doubt.code}:{sayable(doubt.text)[:_LONGEST]}" for doubt in list(doubts)[:_MOST])
    return told or (_NONE,)


def doubts_in(reply: Reply) -> tuple[Doubt, ...] | None:
    """Return what the reply tells of, None where it says nothing about it."""
    found = tuple(Doubt(match[1], match[2]) for field in reply.fields if (match := _DOUBT.fullmatch(field)))
    return found if found or _NONE in reply.fields else None
