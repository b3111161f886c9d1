"""A question that an agent answers when the process of its server has ended (rule 4): no sockets.

    request   WATCH|1|HOST                          stays open, for HOLD seconds at most
    reply     OK: …|EXITED:PID                      that process has ended
              OK: …|RUNS:PID                        it has not: to be asked again
              ERROR: …|WHY:not_watched              no process is known that could be watched

Agents of MMM 2.x serve one client at a time: while a question stays open there, nobody else is heard. So it is sent
only to agents that have shown by a token that they are not of MMM 2.x.
"""

import re

from mmm.wire.agent import WATCH, Reply, Request

HOLD = 30.0
"""Seconds after which it is answered though nothing has happened: whoever asked may be gone."""

_EXITED = re.compile(r"EXITED:([1-9][0-9]{0,9})")
_RUNS = re.compile(r"RUNS:[1-9][0-9]{0,9}")


def watch(host: str) -> Request:
    """Return the request that waits for the end of the server's process on `host`."""
    return Request(WATCH, host)


def exited_fields(pid: int) -> tuple[str, ...]:
    """Return the reply field that tells that the server's process has ended."""
    return (f"EXITED:{pid}",)


def runs_fields(pid: int) -> tuple[str, ...]:
    """Return the reply field that tells that it has not."""
    return (f"RUNS:{pid}",)


def exited(reply: Reply) -> int | None:
    """Return the pid of the process that has ended, as the reply to WATCH tells; None where it does not."""
    found = (match for field in reply.fields if (match := _EXITED.fullmatch(field)))
    match = next(found, None)
    return int(match[1]) if reply.ok and match is not None else None


def runs(reply: Reply) -> bool:
    """Tell whether the reply to WATCH says that the process has not ended."""
    return reply.ok and any(_RUNS.fullmatch(field) for field in reply.fields)
