"""How many transactions a host lacks of what the last writer had. Pure."""

from mmm.gtid.transactions import Transactions, surplus
from mmm.monitor.world.world import World


def missing(world: World, name: str) -> int | None:
    """Return how many transactions the host has not applied, at most; None: not known, or it is the writer.

    What it has is compared with the newest look at the writer that is not newer: what the writer wrote in between is
    not missing. A host that was not looked at since the look before that is one of which nothing is known.
    """
    last = world.last_writer
    if last is None or last == name or last not in world.hosts:
        return None
    ours = world.hosts[name].progress.transactions
    if ours is None or ours.executed is None:
        return None
    theirs = _look_before(world, last, ours.seen)
    if theirs is None or theirs.executed is None or type(theirs.executed) is not type(ours.executed):
        return None
    more = surplus(theirs.executed, ours.executed, not_of=ours.origin)
    return 0 if more is None else more.count


def _look_before(world: World, writer: str, moment: float) -> Transactions | None:
    """Return what the writer had at the newest of its last two looks that is not newer than the moment."""
    progress = world.hosts[writer].progress
    looks = (look for look in (progress.transactions, progress.earlier) if look is not None)
    return next((look for look in looks if look.seen <= moment), None)
