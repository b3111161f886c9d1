"""Before writes are allowed here: everything that the peer has, or all that was received, is applied (rules 7, 10.2).

peer answers        the end of its binary log at this moment must be reached
peer is gone        everything received must be applied
a delay is set      it is set to 0 first, and what was received is applied (MASTER_DELAY, SOURCE_DELAY)
no replication      nothing to wait for; likewise where this server is detached from the peer

If that is not reached within the limit, writes are not allowed: promoting would lose transactions. Sessions that block
the applier, for instance by a lock on all tables, are ended: until then nobody could write anyway.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.mysql.server.await_applied import Caught, has_all, wait_applied, wait_for_source
from mmm.mysql.server.blockers import blocked, end_blockers, named
from mmm.mysql.server.delay import lift_delay, up_to, why_not_lifted
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import BinlogPosition, replica_status, to_reach
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError

log = logging.getLogger(__name__)


class CatchUpError(Exception):
    """The server does not have all it should have before it is written to; the text says what and why."""


LOST_LIMIT = 0.2
"""Seconds that a peer which the monitor has lost may take to answer after all."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the server may take, and whose sessions it is never rid of while it does."""

    limit: float
    """Seconds."""
    keep: frozenset[str] = frozenset()
    """Users whose sessions are not ended, whatever they hold up."""
    peer_limit: float = ANSWER_LIMIT
    """Seconds that the peer has to let the agent in, and for each answer."""


def catch_up(server: Connection, peer: ServerSession | None, patience: Patience) -> str:
    """Wait until `server` has what it must have; returns what was reached.

    Sessions that hold up what is to be applied are ended. Raises CatchUpError, and MysqlError when `server` cannot be
    asked.
    """
    if peer is None:
        return _caught_up(server, None, patience)
    before = peer.limit
    peer.limit = min(patience.peer_limit, patience.limit)
    try:
        return _caught_up(server, peer, patience)
    finally:
        peer.limit = before  # whoever asks it next need not take it for lost


def _caught_up(server: Connection, peer: ServerSession | None, patience: Patience) -> str:
    begin = time.monotonic()
    limit = patience.limit
    lost = patience.peer_limit < ANSWER_LIMIT
    target, gone = _known_position(peer) if peer is not None else (None, None)
    if peer is not None and target is not None and target.gtid and has_all(server, target):
        return f"applied {peer.address.ip}'s position {target}"
    status = replica_status(server)
    if status is None:
        return "no replication configured, nothing to wait for"
    if status.detached:
        return f"detached from {status.source_ip}, nothing to wait for"
    if status.delay or status.lifting:
        _lift(server, status, replace(patience, limit=limit - (time.monotonic() - begin)))
    if peer is not None:
        try:
            if (
                gone is not None and lost
            ):  # it was asked on a connection that stands: a new one would take as long
                raise gone
            target = target or peer.ask(to_reach)
        except MysqlError as error:
            if error.server_alive:
                raise CatchUpError(f"the peer lives and does not tell its position: {error.text}") from error
            log.warning("sync: the peer is gone (%s): applying what was received", error.text)
        else:
            left = limit - (time.monotonic() - begin)
            reached = wait_for_source(server, target, left, _rid_of_blockers(server, patience))
            return _judged(server, reached, f"{peer.address.ip}'s position {target}", patience)
    return apply_received(server, replace(patience, limit=limit - (time.monotonic() - begin)))


def _lift(server: Connection, status: ReplicaStatus, patience: Patience) -> None:
    """Set the delay to 0 where that is safe, and have what was received applied; raises as `catch_up`."""
    if why_not := why_not_lifted(server, status):
        log.warning(
            "sync: replication stays %d s behind (MASTER_DELAY, SOURCE_DELAY), which is not set to 0: %s",
            status.delay,
            why_not,
        )
        return
    if status.lifting:
        log.warning("sync: the delay was about to be set to 0: going on with all%s", up_to(status))
    else:
        log.warning(
            "sync: replication stays %d s behind (MASTER_DELAY, SOURCE_DELAY): that is set to 0 for good, and all that"
            " was received is applied",
            status.delay,
        )
    caught = lift_delay(server, status, patience.limit, _rid_of_blockers(server, patience))
    _judged(server, caught, f"all{up_to(status)}", patience, received=True)


def _known_position(peer: ServerSession) -> tuple[BinlogPosition | None, MysqlError | None]:
    """Return the position of a peer that was spoken to a moment ago, or why it did not answer in time any more."""
    if not peer.is_open:
        return None, None
    try:
        return peer.ask(to_reach), None
    except MysqlError as error:
        peer.close()
        return None, error if error.kind is ErrorKind.TIMED_OUT else None


def apply_received(server: Connection, patience: Patience) -> str:
    """Wait until all that was received is applied; ends sessions and raises as `catch_up`."""
    caught = wait_applied(server, patience.limit, _rid_of_blockers(server, patience))
    return _judged(server, caught, "all that was received", patience, received=True)


def _rid_of_blockers(server: Connection, patience: Patience) -> Callable[[], object]:
    return lambda: end_blockers(server, patience.keep)


def _judged(
    server: Connection, caught: Caught, what: str, patience: Patience, *, received: bool = False
) -> str:
    """Return what was reached; `received`: nothing that is still to come from the source was waited for."""
    if caught is Caught.REACHED:
        return f"applied {what}"
    status = replica_status(server)
    why = _hindrance(server, status, patience.keep, received=received)
    end = (
        f"within {patience.limit:.3g} s"
        if caught is Caught.NOT_IN_TIME
        else "and replication cannot get there"
    )
    place = f" (applied up to {status.executed}, received up to {status.read})" if status else ""
    raise CatchUpError(f"{what} is not applied {end}{place}{': ' if why else ''}{why}")


def _hindrance(
    server: Connection, status: ReplicaStatus | None, keep: frozenset[str], *, received: bool
) -> str:
    """Return what holds replication up, empty where that is not known."""
    if status is None:
        return "replication is not configured any more"
    found = blocked(server, keep)
    if found.waiting:
        waits = f"replication waits for a lock ({found.waiting[0].state or 'of a row'})"
        if found.kept:
            who = found.kept[0]
            more = f" or {len(found.kept) - 1} others" if len(found.kept) > 1 else ""
            return f"{waits} that {named(who)}{more} may hold, which keep_users keeps: end it there, KILL {who.id}"
        return f"{waits}{' that ' + named(found.holders[0]) + ' may hold' if found.holders else ''}"
    if status.lifting:
        return replace(status, io_errno=0).last_error or "the delay is set to 0 as soon as it is"
    if status.delay:
        why_not = why_not_lifted(server, status)
        return f"replication stays {status.delay} s behind (MASTER_DELAY, SOURCE_DELAY): {why_not}"
    io_counts = not received and status.io_running != "Yes"
    return (status if io_counts else replace(status, io_errno=0)).last_error
