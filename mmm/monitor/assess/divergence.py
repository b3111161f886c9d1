"""What a master that comes back has and others lack (rules 10.16, 10.28). Pure.

keeps_away  tells whether the active master is detached from a lost one until the lost one is back in use
attaches_again  tells whether a host that was detached so has to get what the last writer has, with nobody active master
note      keeps what the active master had when a host was lost: later it may have fetched what that host has
unshared  what a returning host has and the active master had not: by GTID, else by the active master's place in its
          binary log
ahead     how many these are
to_look_through  from where on that log is to be looked through for it
"""

from dataclasses import replace
from math import inf
from typing import ClassVar

from mmm.gtid.place import Hidden, LogPlace, Written
from mmm.gtid.transactions import Surplus, Transactions, is_applied, surplus
from mmm.monitor.world.host import HostWorld, Reference, State
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import World

LOOKS = 3
"""Replication checks of a returning host after which we give up waiting for it to say which transactions it has."""
LOOK_AGAIN = 3.0
"""Seconds until a binary log that could not be looked through is looked at again."""


def note(world: World, name: str, read: Transactions) -> World:
    """Return the world that knows what there is to compare with, once `name` was asked what it has.

    While a master is in use this is what the active master has now. For one that is lost it is what the active
    master had then, or when it took over: what a server takes in later, among transactions of its own, it has
    not got in the order of the one that wrote it.
    """
    if world.active_master != name or not _confirmed(world, name):
        return world
    for host in world.masters():
        known = world.hosts[host.name]
        before = known.comparison.reference
        fixed = known.is_lost and before is not None and before.host == name
        if host.name != name and not fixed:
            comparison = replace(known.comparison, reference=Reference(name, read))
            world = world.with_host(host.name, replace(known, comparison=comparison))
    return world


def keeps_away(world: World, name: str) -> bool:
    """Tell whether the host is the active master and is not to replicate from another master, which was lost.

    What the lost one has and nobody got would arrive in the middle of newer transactions: an old row over a new one.
    """
    return world.active_master == name and bool(lost_masters(world, name))


def attaches_again(world: World, name: str) -> bool:
    """Tell whether the host, with nobody the active master, is to replicate again from the one it is detached from.

    That one wrote last, and was not lost since. It is what the cluster goes on with: promoted as it is, the host would
    lack what the other has written, and nobody would tell.
    """
    read = world.hosts[name].progress.transactions
    return world.active_master is None and read is not None and is_left_detached(world, name, read)


def is_left_detached(world: World, name: str, read: Transactions) -> bool:
    """Tell whether the host, as `read`, is detached from the last writer, which was not lost: its data are missing."""
    last = world.last_writer
    if not read.detached or last in (None, name) or last not in world.hosts or world.hosts[last].is_lost:
        return False
    source = world.conf.hosts[last]
    return (read.source_ip, read.source_port) == (source.ip, source.mysql_port)


def lost_masters(world: World, name: str) -> tuple[str, ...]:
    """Return the other possible masters that were lost and are not in use again."""
    others = (host.name for host in world.masters() if host.name != name)
    return tuple(other for other in others if world.hosts[other].lost)


def begun_anew(world: World) -> World:
    """Return the world in which nothing is known to compare with yet: another host is the active master now."""
    for host in world.masters():
        known = world.hosts[host.name]
        if known.comparison.reference is not None:
            comparison = replace(known.comparison, reference=None)
            world = world.with_host(host.name, replace(known, comparison=comparison))
    return world


def _confirmed(world: World, name: str) -> bool:
    told = world.hosts[name].agent.told
    return told is not None and any(vip.role == world.conf.active_master_role for vip in told.vips)


def opposite(world: World) -> str | None:
    """Return the host that returning ones are compared with: the active master, or who was it last."""
    return world.active_master or world.last_master


def applies(world: World, name: str) -> bool:
    """Tell whether the host comes back to a cluster in which another may have gone on without it."""
    master = opposite(world)
    return (
        master is not None
        and master != name
        and world.hosts[name].is_lost
        and world.can_be_active_master(name)
    )


def unshared(world: World, name: str) -> Surplus | Written | None:
    """Return what a returning host has and the active master had not; None: nothing, or it is not known."""
    if not applies(world, name):
        return None
    reference, tail = _reference(world, name), world.hosts[name].comparison.tail
    if tail is None or reference is None or tail.seen < reference.seen or tail.since != _place(world, name):
        return _more(
            world.hosts[name].progress.transactions,
            reference,
            world.hosts[opposite(world) or name].progress.transactions,
        )
    return tail.not_of(reference.server_id)


def ahead(world: World, name: str) -> int:
    """Return how many transactions a host has that the active master has not, as far as that is known."""
    more = unshared(world, name)
    return 0 if more is None else more.count


def to_look_through(world: World, name: str, now: float) -> LogPlace | None:
    """Return the place from which on the binary log of a returning host is to be looked through now, None for not."""
    host = world.hosts[name]
    if (
        host.comparison.reads_log
        or host.checks["mysql"].error_since is not None
        or host.state is State.HARD_OFFLINE
    ):
        return None
    if _may_get_more(world, name):
        return None
    read = host.comparison.read
    if read is not None and now - read.ended < LOOK_AGAIN:
        return None
    place = _place(world, name)
    return None if place is None or _is_looked_through(world, name, place) else place


class Unreadable(Said):
    """Why the binary log of a returning host does not tell what it has."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        Hidden.TOO_OLD: "its binary log does not reach back to {place}",
        Hidden.CUT_SHORT: "its binary log has lost what stood between {end} and {place}",
        Hidden.DENIED: (
            "its binary log goes on behind {place}, to {end}, {size} bytes in all, and may not be looked at: {error}"
        ),
        Hidden.NO_ANSWER: "{error}",
        Hidden.SENSELESS: "its binary log makes no sense: {error}",
        "too_long": "its binary log is too long behind {place}",
    }


def unreadable(world: World, name: str) -> Unreadable | None:
    """Return why the binary log of a returning host, which has to tell what it has, does not; None: it does."""
    tail, place = world.hosts[name].comparison.tail, _place(world, name)
    if tail is None or place is None or tail.since != place:
        return None
    about = {"host": name, "place": place}
    if (unread := tail.unread) is not None:
        return Unreadable(
            unread.why, {**about, "end": unread.end, "size": unread.size, "error": unread.error}
        )
    return None if tail.complete else Unreadable("too_long", about)


def _place(world: World, name: str) -> LogPlace | None:
    """Return up to where the active master has the binary log of a returning host.

    None where GTIDs tell more, or where it does not replicate from that host. What it got later, if it is not detached,
    does not count.
    """
    reference = _reference(world, name) if applies(world, name) else None
    ours = world.hosts[name].progress.transactions
    if reference is None or ours is None or (ours.executed is not None and reference.executed is not None):
        return None
    newest = world.hosts[opposite(world) or name].progress.transactions
    known = newest if newest is not None and newest.detached else reference
    here = world.conf.hosts[name]
    if (known.source_ip, known.source_port) != (here.ip, here.mysql_port) or not known.applied.file:
        return None
    return known.applied


def _is_looked_through(world: World, name: str, place: LogPlace) -> bool:
    host, reference = world.hosts[name], _reference(world, name)
    tail = host.comparison.tail
    if tail is None or reference is None or tail.since != place or tail.unread is not None:
        return False
    found = tail.complete or tail.not_of(reference.server_id) is not None
    return found and tail.seen >= max(host.since, reference.seen)


def awaited(world: World, name: str) -> bool:
    """Tell whether the host is to wait for what it has to be read.

    Where the active master tells neither GTIDs nor a place in this one's binary log it may never be told: then for some
    checks only. A master that has not taken
    over yet is nothing to compare with; what it lacks so far is reason to wait for that.
    """
    host, master = world.hosts[name], world.active_master
    if not applies(world, name) or master is None:
        return False
    theirs = world.hosts[master].progress.transactions
    if host.progress.transactions is None and theirs is None:
        return False  # nobody tells
    if _may_get_more(world, name):
        return True
    reference = _reference(world, name)
    if reference is None:
        return (
            host.comparison.looks < LOOKS
            or _will_tell(world, name, master)
            or _more(host.progress.transactions, theirs) is not None
        )
    if (place := _place(world, name)) is not None:
        return not _is_looked_through(world, name, place)
    compared = is_fresh(world, name) and _seen(host) >= reference.seen
    return not compared and (reference.executed is not None or host.comparison.looks < LOOKS)


def _may_get_more(world: World, name: str) -> bool:
    """Tell whether the host may soon have transactions that it does not tell of yet: it was not read-only.

    A commit that waits for a semi-sync replica is one such, which MySQL counts among its GTIDs only when it has ended.
    """
    host = world.hosts[name]
    if host.progress.transactions is None:
        return False
    return host.progress.transactions.writable if is_fresh(world, name) else host.comparison.looks < LOOKS


def _will_tell(world: World, name: str, master: str) -> bool:
    """Tell whether the active master only has to be asked again: it did not answer, or has not confirmed its role yet.

    Without GTIDs that is where it is in the host's binary log.
    """
    theirs, checks, here = (
        world.hosts[master].progress.transactions,
        world.hosts[master].checks,
        world.conf.hosts[name],
    )
    if theirs is None:
        return checks["mysql"].error_since is not None or checks["rep_threads"].unknown
    replicates = (theirs.source_ip, theirs.source_port) == (here.ip, here.mysql_port)
    return theirs.executed is None and replicates


def _seen(host: HostWorld) -> float:
    return -inf if host.progress.transactions is None else host.progress.transactions.seen


def _more(
    ours: Transactions | None, theirs: Transactions | None, later: Transactions | None = None
) -> Surplus | None:
    """Return what is here and not there; None: nothing, or it is not known.

    What was received there and not applied is lacking, unless it is applied by now: `later` is a look since then.
    """
    if ours is None or theirs is None or ours.executed is None or theirs.executed is None:
        return None
    had = theirs.executed
    now = later.executed if later is not None and later.executed is not None else had
    if theirs.got is not None and is_applied(theirs.got, now, theirs.origin):
        had = theirs.got
    return surplus(ours.executed, had, not_of=theirs.origin)


def is_fresh(world: World, name: str) -> bool:
    """Tell whether the host was asked what it has since it has been in its state."""
    host = world.hosts[name]
    return _seen(host) >= host.since


def _reference(world: World, name: str) -> Transactions | None:
    reference = world.hosts[name].comparison.reference
    return reference.transactions if reference and reference.host == opposite(world) else None
