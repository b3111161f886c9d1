"""Whether a host that catches up gets on, by what its replication says, and whether a copy would mend what does not."""

from typing import NamedTuple

from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.session.errors import of_client

RECONNECT_LIMIT = 120.0
"""Seconds that a source may be lost; servers try it every 60 s where nobody has set another pause."""


class Hindrance(NamedTuple):
    """What keeps a host from catching up."""

    why: str
    by_data: bool
    """Its data, or the source's log, do not fit: waiting mends nothing, a copy does."""


def hindrance(
    status: ReplicaStatus | None, lost_for: float, limit: float = RECONNECT_LIMIT
) -> Hindrance | None:
    """Return what is in the way, None where nothing is or it may pass; `lost_for`: seconds without its source."""
    if status is None:
        return None
    if status.sql_errno and not status.sql_running:
        return Hindrance(status.last_error, by_data=True)
    if status.io_running == "Yes" or not status.io_errno:
        return None
    if status.source_lacks_log:
        return Hindrance(status.last_error, by_data=True)
    if _comes_again(status) and lost_for <= limit:
        return None
    return Hindrance(status.last_error, by_data=False)


def _comes_again(status: ReplicaStatus) -> bool:
    """Tell whether a source that restarts looks like that: the server goes on trying it by itself."""
    return of_client(status.io_errno) or (status.io_running == "Connecting" and not status.refused)
