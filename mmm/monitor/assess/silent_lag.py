"""Lag that a server does not tell of (rule 10.10). Pure.

A replica whose connection to its source is half dead runs, waits, and says that it is 0 s behind, for as long as
slave_net_timeout (replica_net_timeout) is. By GTID it is seen what it has not got of the last writer.

note  keeps the earliest look at the writer that the host has not got everything of
lag   tells for how long, before the last look at the writer, it got nothing of that
said  is what the admin is told of it, where the checks see nothing
"""

from dataclasses import replace
from typing import ClassVar

from mmm.gtid.transactions import Transactions, is_past
from mmm.monitor.world.host import Missed
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import World

NOTABLE = 10.0
"""Seconds of a stall from which on it is said."""


def note(world: World, name: str, news: Transactions) -> Missed | None:
    """Return what the host still misses after it was asked what it has; None: nothing, or it is not known."""
    last = world.last_writer
    theirs = None if last in (None, name) else world.hosts[last].progress.transactions
    if last is None or theirs is None or theirs.executed is None or news.got is None:
        return None
    before = world.hosts[name].progress.missed
    if before is not None and before.host == last and not is_past(news.got, before.executed, theirs.origin):
        return replace(before, lag=max(0.0, theirs.seen - before.seen))
    if is_past(news.got, theirs.executed, theirs.origin):
        return None
    return Missed(last, theirs.seen, theirs.executed)


class SilentLag(Said):
    """A stall that no check tells of."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "got_nothing": (
            "{host} has received nothing that {writer} wrote for {seconds:.0f} s, though its replication runs and"
            " reports nothing: its connection to its source may be half dead (slave_net_timeout)"
        )
    }


def said(world: World, name: str) -> SilentLag | None:
    """Return a stall of NOTABLE seconds that no check tells of; None where there is none."""
    host, seconds = world.hosts[name], lag(world, name)
    missed, behind = host.progress.missed, host.progress.behind
    if seconds < NOTABLE or missed is None or not host.good("rep_threads", "rep_backlog"):
        return None
    if behind is None or behind.seconds >= NOTABLE:
        return None
    return SilentLag("got_nothing", {"host": name, "writer": missed.host, "seconds": seconds})


def lag(world: World, name: str) -> float:
    """Return for how many seconds the host has got nothing that the last writer had, 0.0 where it has or none knows.

    It ends with the last look at the writer: what is lost with that is no lag.
    """
    missed = world.hosts[name].progress.missed
    return 0.0 if missed is None or missed.host != world.last_writer else missed.lag
