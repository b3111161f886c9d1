"""The sessions of certain clients, told apart by where they come from, and how they are ended (rule 10.13)."""

import ipaddress
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mmm.mysql.server.processlist import (
    LOGGING_IN,
    Fate,
    Session,
    fate,
    list_sessions,
)
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import only

Client = tuple[str, int]
"""A client's address and port."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of clients at the server: those to be left alone, and how many sessions were told to end."""

    kept: frozenset[Client]
    ended: int


def end_clients(
    connection: Connection, clients: Collection[Client], keep: frozenset[str], limit: float
) -> Told:
    """Tell the sessions of `clients` to end, but replication's and those of the users in `keep`.

    Takes at most `limit` seconds; raises MysqlError. What the server does not list yet, or cannot tell from
    others, is in neither part of the answer.
    """
    deadline = time.monotonic() + limit
    ids, kept = sort_out(list_sessions(connection, timeout=limit), clients, keep)
    ended = 0
    for number in ids:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            connection.ask(only(f"KILL {number:d}"), left)
            ended += 1
        except MysqlError as error:
            if not error.server_alive:
                raise
    return Told(kept, ended)


def sort_out(
    sessions: Iterable[Session], clients: Iterable[Client], keep: frozenset[str]
) -> tuple[list[int], frozenset[Client]]:
    """Return the sessions of `clients` that are to end, and the clients that are to be left alone.

    A server that looks up names lists a client by name and port. Where several have the port, it cannot be told
    which is meant: none is ended, and it is left alone when one of them would be.
    """
    by_port: dict[int, list[tuple[str, Session]]] = {}
    for session in sessions:
        place, _, digits = session.client.rpartition(":")
        if place and digits.isascii() and digits.isdigit():
            by_port.setdefault(int(digits), []).append((place, session))
    ids: list[int] = []
    kept: set[Client] = set()
    for ip, port in clients:
        there = by_port.get(port, [])
        found = [session for place, session in there if _address(place) == ip]
        found = found or [session for place, session in there if not _address(place)]
        if any(_stays(session, keep) for session in found):
            kept.add((ip, port))
        elif len(found) == 1:
            ids.append(found[0].id)
    return ids, frozenset(kept)


def _stays(session: Session, keep: frozenset[str]) -> bool:
    return session.user != LOGGING_IN and fate(session, keep) is Fate.KEEP


def _address(place: str) -> str:
    """Return the address that `place` is, as the kernel tells it; empty for a name."""
    try:
        found = ipaddress.ip_address(place)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)
