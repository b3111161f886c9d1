"""Ends the clients of a VIP that is about to leave, so that they notice at once (rule 10.13).

The kernel tells who is connected through the VIP, and the server ends their sessions. What it has not ended within
a moment, because it does not answer or is busy with a long statement, the kernel ends. Connections to the host's own
address stay, and so do replication's and those of MMM itself, as long as the server can tell which they are.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from mmm.agent.act.server_session import ServerSession
from mmm.config.model import Cluster
from mmm.mysql.server.client_sessions import Client, end_clients, sort_out
from mmm.mysql.server.processlist import Session
from mmm.mysql.session.connection import MysqlError
from mmm.network.socket_table import Connection, connections, destroy
from mmm.network.vips import Interface

SERVER_LIMIT = 0.1
"""Seconds that the server may take to be told whom to end."""
GONE_LIMIT = 0.02
"""Seconds from then on until the kernel ends what is left: the VIP leaves without waiting any longer."""
_NAP = 0.0003

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leaving:
    """The clients of a VIP that is about to leave: how many were ended, and who stays."""

    ended: int = 0
    kept: frozenset[Client] = frozenset()
    stay: tuple[Session, ...] = ()
    """What the server listed of those that stay, where it ended all others a moment ago."""
    keep: frozenset[str] = frozenset()
    """The users whose sessions are among these."""

    def among(self, clients: Iterable[Client]) -> frozenset[Client]:
        """Return those of the clients that stay."""
        return self.kept | sort_out(self.stay, clients, self.keep)[1] if self.stay else self.kept


def entrance(conf: Cluster, interface: Interface, ip: str) -> str:
    """Return the address of this host to which clients of a VIP come: the VIP itself where there is one.

    Those of a role with `vip_via health` come to the host; while it holds another such role they cannot be told from
    the clients of that, and the address is empty: the load balancer ends them. Raises InterfaceError.
    """
    asked = {vip.ip for vip in conf.asked_vips}
    if ip not in asked:
        return ip
    others = sorted(asked - {ip})
    return "" if interface.bound(others) else conf.hosts[conf.this].ip


def end_clients_of(
    ip: str, port: int, session: ServerSession, keep: frozenset[str], stay: Iterable[Session] | None = None
) -> Leaving:
    """Have the server end the clients that are connected to it through `ip`, and see them go.

    Where it was told a moment ago to end all but those that `stay`, whoever has come since is left to `cut_off`.
    Takes at most SERVER_LIMIT and GONE_LIMIT; never fails, for the VIP has to leave in any case.
    """
    if stay is not None:
        return Leaving(stay=tuple(stay), keep=keep)
    try:
        there = connections(ip, port)
        if not there:
            return Leaving()
        kept = _tell_server(there, session, keep)
        ended = [one for one in there if _client(one) not in kept]
        if session.is_open:
            _await_end(ip, port, ended)
        return Leaving(len(ended), kept)
    except OSError as error:
        _complain(ip, error)
        return Leaving()


def cut_off(ip: str, port: int, leaving: Leaving) -> None:
    """End all connections through `ip` but those that stay, those that have just come too: nothing answers them now."""
    try:
        there = connections(ip, port)
        stay = leaving.among(map(_client, there))
        destroy(one for one in there if _client(one) not in stay)
    except OSError as error:
        _complain(ip, error)


def _complain(ip: str, error: OSError) -> None:
    why = error.strerror or error
    log.warning("%s: its clients could not be ended and may hang for a while: %s", ip, why)


def _tell_server(there: list[Connection], session: ServerSession, keep: frozenset[str]) -> frozenset[Client]:
    """Have the server end these clients; returns those that are to stay."""
    if not session.is_open:  # it did not answer a moment ago
        return frozenset()
    try:
        return end_clients(session.open(), [_client(one) for one in there], keep, SERVER_LIMIT).kept
    except MysqlError as error:
        log.debug("clients are ended by the kernel: %s", error.text)
        session.close()
        return frozenset()


def _await_end(ip: str, port: int, ended: list[Connection]) -> None:
    deadline = time.monotonic() + GONE_LIMIT
    keys = {one.key for one in ended}
    while time.monotonic() < deadline and any(one.key in keys for one in connections(ip, port)):
        time.sleep(_NAP)


def _client(one: Connection) -> Client:
    return one.ip, one.port
