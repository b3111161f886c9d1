"""Whether an agent takes another conf, and what the agent knows that goes on by it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mmm.agent.decide.core import Core, Site
from mmm.agent.decide.watched import TakingAway
from mmm.config.model import Cluster, Vip
from mmm.config.reload import Change, changes, refused


def objections(
    old: Cluster,
    new: Cluster,
    assigned: Iterable[Vip],
    sends_to: str,
    *,
    calm: bool,
    begins_rejoin: bool = False,
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Return what is not the same in the new conf, and why it is not taken: a line each, none where it is.

    `assigned` is what the monitor has given to this host, `sends_to` who is sent a copy of its data; empty: nobody. Not
    `calm` is this host while the role is being taken from it because the lease is over. `begins_rejoin`: it is being
    rebuilt by an order that is not answered yet; the next agent would begin it a second time.
    """
    news = changes(old, new)
    return news, (
        *map(str, refused(news)),
        *_now(new, assigned, sends_to, calm=calm, begins_rejoin=begins_rejoin),
    ) if news else ()


def _now(
    new: Cluster, assigned: Iterable[Vip], sends_to: str, *, calm: bool, begins_rejoin: bool
) -> Iterator[str]:
    for vip in assigned:
        if vip not in new.vips:
            yield f"{vip} removed: the monitor has given it to this host; have the monitor take the conf first"
    if not calm:
        yield "the writer role is being taken from this host, as its lease is over; wait for the end of that"
    yield from unbroken(sends_to, begins_rejoin=begins_rejoin)


def unbroken(sends_to: str, *, begins_rejoin: bool) -> Iterator[str]:
    """Yield what the end of this agent would break off or begin twice, for whatever reason another one follows."""
    if sends_to:
        yield f"a copy of this host's data is being sent to {sends_to}; wait for the end of that"
    if begins_rejoin:
        yield "the monitor has ordered that this host be rebuilt, and mmm_rejoin has not begun yet; wait for that"


def inherited(core: Core, where: Site) -> Core:
    """Return the state of an agent that goes on by another conf, from that of the one before, which was at rest.

    What is assigned is to be looked after at once, whatever the last look found. What was being taken from this host is
    taken anew: whoever did it would have told the one before.
    """
    away, denies = core.watch.taking_away, core.watch.denying is not None
    watch = replace(
        core.watch,
        asking=None,
        reaching=False,
        denying=None,
        taking_away=away and TakingAway(away.until),
        writable=core.watch.writable or denies,
    )
    return Core(where, core.held, watch, core.status, core.past, fenced=core.fenced)


def is_calm(core: Core) -> bool:
    """Tell whether nothing is being taken from this host because the lease is over: that is not to be broken off."""
    return core.watch.taking_away is None and core.watch.denying is None
