"""Before writes are allowed here: everything that the peer has, or all that was received, is applied (SPEC 7, 10.2).

peer answers        the end of its binary log at this moment must be reached
peer is gone        everything received must be applied
no replication      nothing to wait for; so it is with a peer that this server is detached from

Short of that, within the limit, writes are not allowed: promoting would lose transactions.
"""

import logging
import time

from mmm.agent.look import ANSWER_LIMIT, Session
from mmm.mysql.connection import Connection, MysqlError
from mmm.mysql.replication import (
    BinlogPosition,
    Caught,
    has_all,
    replica_status,
    to_reach,
    wait_applied,
    wait_for_source,
)

log = logging.getLogger(__name__)


class CatchUpError(Exception):
    """The server does not have all it should have before it is written to; the text says what and why."""


LOST_LIMIT = 0.2
"""Seconds that a peer which the monitor has lost may take to answer after all."""


def catch_up(server: Connection, peer: Session | None, limit: float, peer_limit: float = ANSWER_LIMIT) -> str:
    """Wait until `server` has what it must have, `limit` seconds at most; returns what was reached.

    The peer has `peer_limit` seconds to let the agent in, and for each answer. Raises CatchUpError, and MysqlError when
    `server` cannot be asked.
    """
    begin = time.monotonic()
    if peer is not None:
        peer.limit = min(peer_limit, limit)
    target = _known_position(peer) if peer is not None else None
    if peer is not None and target is not None and target.gtid and has_all(server, target):
        return f"applied {peer.address.ip}'s position {target}"
    status = replica_status(server)
    if status is None:
        return "no replication configured, nothing to wait for"
    if status.detached:
        return f"detached from {status.source_ip}, nothing to wait for"
    if peer is not None:
        try:
            target = target or peer.ask(to_reach)
        except MysqlError as error:
            if error.server_alive:
                raise CatchUpError(f"the peer lives and does not tell its position: {error.text}") from error
            log.warning("sync: the peer is gone (%s): applying what was received", error.text)
        else:
            left = limit - (time.monotonic() - begin)
            reached = wait_for_source(server, target, left)
            return _judged(server, reached, f"{peer.address.ip}'s position {target}", limit)
    return apply_received(server, limit - (time.monotonic() - begin))


def _known_position(peer: Session) -> BinlogPosition | None:
    """Return the position of a peer that was spoken to a moment ago, None where it does not answer any more."""
    if not peer.is_open:
        return None
    try:
        return peer.ask(to_reach)
    except MysqlError:
        peer.close()
        return None


def apply_received(server: Connection, limit: float) -> str:
    """Wait until all that was received is applied, `limit` seconds at most; raises as `catch_up`."""
    return _judged(server, wait_applied(server, limit), "all that was received", limit)


def _judged(server: Connection, caught: Caught, what: str, limit: float) -> str:
    if caught is Caught.REACHED:
        return f"applied {what}"
    status = replica_status(server)
    why = status.last_error if status else "replication is not configured any more"
    end = f"within {limit:g} s" if caught is Caught.NOT_IN_TIME else "and replication cannot get there"
    place = f" (applied up to {status.executed}, received up to {status.read})" if status else ""
    raise CatchUpError(f"{what} is not applied {end}{place}{': ' if why else ''}{why}")
