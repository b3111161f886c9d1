"""That the writer's VIP stays for good where the agent is stopped in order and no monitor is heard (rule 14.3). Pure.

All other hosts of the role are asked to refuse it until the monitor says that this is void: so whoever gives orders by
then, the role goes nowhere before this host has been heard, or is off. See `mmm.lease.rules`.
"""

from collections.abc import Collection
from dataclasses import replace

from mmm.agent.decide.core import Core
from mmm.agent.decide.failure import Failure
from mmm.agent.decide.obedience import believes
from mmm.lease.rules import FOREVER
from mmm.wire.held import Stay
from mmm.wire.why import NO_PROMISE, TAKEN


def asks(core: Core, now: float, *, agreed: bool) -> tuple[Core, float | None]:
    """Return the state of an agent that ends, and the moment at which it asks to stay; None: it does not ask.

    It must hold the role by a lease that ends, and the monitor must have said that it knows of stays, and (`agreed`) of
    the same hosts of the role as this conf.
    """
    held, where = core.held, core.site
    holds = held.leased and where.is_writer(core.status) and 0 < held.left(now) < FOREVER and not held.leaving
    if not (holds and agreed and core.watch.voids and where.candidate and where.rivals):
        return core, None
    held = replace(held, lease=held.lease.asking_to_stay(now))
    return replace(core, held=held), held.lease.newest


def stayed(core: Core, asked: float, now: float) -> Core:
    """Return the state once all others have agreed to what they were asked at `asked`; the same where that is void."""
    held = replace(core.held, lease=core.held.lease.stayed(asked, now))
    return core if held == core.held else replace(core, held=held)


def lets(core: Core, stay: Stay, now: float) -> tuple[Core, Failure | None]:
    """Return the state of a host that refuses the role for another one's stay, and why it does not.

    The host refuses at once, and agrees once that is on the disk.
    """
    where = core.site
    if not where.leases:
        return core, Failure("no vip_lease in the conf of this agent: it lets nobody stay", NO_PROMISE)
    if stay.host not in where.rivals:
        return core, Failure(f"{stay.host[:80]} is no other host of role {where.facts.writer}", NO_PROMISE)
    if other := believes(core.status.master, stay.host, core.held.heard(now), core.held.length):
        return core, Failure(f"the active master is {other}, not {stay.host}: nobody else is let stay", TAKEN)
    held = core.held.lets_stay(stay, now)
    return core if held is None else replace(core, held=held), _HOLDS if held is None else None


_HOLDS = Failure("this host holds the role itself", TAKEN)


def void(core: Core, stays: Collection[Stay]) -> Core:
    """Return the state of a host that refuses the role for these no more; the same where it has not."""
    held = core.held.voided(stays)
    return core if held is core.held else replace(core, held=held)


def ordered(core: Core, *, voids: bool) -> Core:
    """Return the state after an order; `voids`: its monitor knows of stays."""
    return core if core.watch.voids == voids else replace(core, watch=replace(core.watch, voids=voids))


def without_strangers(core: Core) -> tuple[Core, frozenset[Stay]]:
    """Return the state without the stays of hosts that by this conf cannot have the role, and these."""
    gone = frozenset(stay for stay in core.held.stays if stay.host not in core.site.rivals)
    return (replace(core, held=core.held.voided(gone)), gone) if gone else (core, gone)
