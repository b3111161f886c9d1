"""Which hosts the next writer follows first, up to what they have, before it takes writes (rule 12.2). Pure.

The last writer was lost, and another replica may have got more of it than the next writer. If that replica has no log
of it, or it cannot be had for another reason, the new writer's agent finds out and says so. A slave that is to be
followed is not told to follow the new writer before the new writer is done: it would refuse.
"""

from mmm.gtid.transactions import Executed, Transactions, is_empty, surplus, union
from mmm.monitor.assess import divergence
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World

MOST = 8
"""Hosts that are followed, or asked, at most: each takes time, and nobody writes meanwhile."""

_OUT = (State.ADMIN_OFFLINE, State.HARD_OFFLINE)


def to_follow(world: World, name: str) -> tuple[str, ...]:
    """Return the hosts that may have what the next writer lacks, in the order in which it is to follow them.

    First those that are known to have more, the one with the most first; then those that may have got something since
    they were looked at. None where the host has the role already, where the old writer was not lost, or where a slave
    with an agent of MMM 2.x may have more: such a slave goes on at the end of the new writer's log, and would get what
    the new writer gets now a second time.
    """
    if not _is_taking_over(world, name):
        return ()
    ours = world.hosts[name].progress.transactions
    others = {
        other: theirs
        for other, host in world.hosts.items()
        if other != name and (theirs := host.progress.transactions) is not None and _is_reached(world, other)
    }
    if ours is None or not others:
        return ()
    known = in_order(ours, others)
    unsure = (other for other, theirs in others.items() if _may_have_got_more(world, name, theirs))
    hosts = tuple(dict.fromkeys((*known, *unsure)))
    return () if any(world.hosts[other].agent.about.mmm2 for other in hosts) else hosts[:MOST]


def holds_back(world: World, slave: str) -> bool:
    """Tell whether a slave is not to be told of the next writer yet: the next writer may have to follow it first."""
    master = world.active_master
    if master is None or not _is_taking_over(world, master) or not _is_reached(world, slave):
        return False
    ours, theirs = (world.hosts[name].progress.transactions for name in (master, slave))
    if ours is None or theirs is None or world.hosts[slave].agent.about.mmm2:
        return False
    return bool(in_order(ours, {slave: theirs})) or _may_have_got_more(world, master, theirs)


def in_order(ours: Transactions, others: dict[str, Transactions]) -> tuple[str, ...]:
    """Return those that have what `ours` lacks, one after the other, each the one that adds the most then.

    Without GTIDs that is told by the place in the same source's log: it comes last, and there is nothing to be had of
    it, which is said.
    """
    found: list[str] = []
    has, left = ours.got, dict(others)
    while has is not None:
        more = {name: _more(theirs, has) for name, theirs in left.items()}
        best = max(more, key=lambda name: more[name], default=None)
        if best is None or not more[best]:
            break
        found.append(best)
        got = left.pop(best).got
        has = union(has, got) if got is not None else has
    return (*found, *(name for name, theirs in left.items() if _is_further(ours, theirs)))


def _more(theirs: Transactions, has: Executed) -> int:
    """Return how many it has of what others have written; nobody is to take over what was written on a replica."""
    more = None if theirs.got is None else surplus(theirs.got, has, not_of=theirs.origin)
    return more.count if more else 0


def _is_further(ours: Transactions, theirs: Transactions) -> bool:
    comparable = ours.executed is not None and theirs.executed is not None
    same = (ours.source_ip, ours.source_port) == (theirs.source_ip, theirs.source_port)
    read = ours.read.file and theirs.read.file
    return not comparable and same and bool(read) and not ours.read.reaches(theirs.read)


def _is_taking_over(world: World, name: str) -> bool:
    """Tell whether the host is to have the role of a master that was lost, and has not confirmed that it has it.

    Whoever wrote last lacks nothing.
    """
    told = world.hosts[name].agent.told
    if world.active_master != name or world.last_writer == name or not divergence.lost_masters(world, name):
        return False
    return told is None or not world.master_vips & set(told.vips)


def _is_reached(world: World, name: str) -> bool:
    """Tell whether the host is a replica that is reached, and that the admin has not taken out."""
    host = world.hosts[name]
    lost_master = world.can_be_active_master(name) and host.is_lost
    alive = host.checks["mysql"].error_since is None and not world.is_silent(name)
    return alive and not lost_master and host.state not in _OUT


def _may_have_got_more(world: World, name: str, theirs: Transactions) -> bool:
    """Tell whether a replica was looked at before the end of the lost writer, who may have written on unseen.

    One whose port refuses has ended when that began.
    """
    if theirs.executed is None or is_empty(theirs.executed):
        return False
    last = world.last_writer or divergence.lost_masters(world, name)[0]
    died = world.hosts[last].checks["mysql"].refused_since
    return died is None or theirs.seen < died
