"""What the admin asks and orders about the monitors themselves (rule 14.2)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mmm.monitor.command.command_result import Result
from mmm.monitor.command.next_leader import NextLeader
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.leadership import HandOver, Place, TakeLead
from mmm.monitor.world.world import World

OF_STANDBYS = frozenset({"take_lead", "reload"})
"""What a monitor that stands by obeys."""
VOUCHED = 20.0
"""Seconds, beside twice `lead_lease`, for which an admin's word counts that no other monitor gives orders."""


def leads(world: World, now: float) -> Verdict:
    """Return whether this monitor gives the orders at a moment: what Keepalived asks each second.

    One that was frozen for longer than `lead_lease` learns only from its next round of the voters who leads by now.
    """
    of, own = world.leadership, _own(world)
    if of.place is Place.ALONE:
        return Verdict("only_monitor", {"own": own})
    if of.place is Place.LEADS and now > of.until:
        return Verdict("stands_by", {"own": own, "leader": None})
    return Verdict("leads", {"own": own}) if of.place is Place.LEADS else standing_by(world)


def standing_by(world: World) -> Verdict:
    """Return that this monitor gives no orders, and which one does."""
    return Verdict("stands_by", {"own": _own(world), "leader": world.leadership.leader or None})


def elsewhere(world: World) -> str:
    """Return the address of the monitor that leads while this one stands by; empty where none is known to."""
    now = world.leadership
    return now.leader if now.place is Place.STANDS_BY and now.leader != _own(world) else ""


def leads_here(world: World) -> bool | None:
    """Tell whether this monitor leads, or is the only one; False: another one does; None: nobody is known to."""
    if world.leadership.may_order:
        return True
    return False if elsewhere(world) else None


def refused(world: World, words: Sequence[str]) -> Verdict | None:
    """Return why an order is not taken here, None where it is."""
    if world.leadership.may_order or words[0] in OF_STANDBYS:
        return None
    return standing_by(world)


def ordered(words: Sequence[str]) -> Callable[[World, float], Result] | None:
    """Return what these words have done about the lead, None where they are about something else."""
    match list(words):
        case ["hand_over"]:
            return lambda world, _: hand_over(world)
        case ["hand_over", target]:
            return lambda world, _: hand_over(world, target)
        case ["take_lead", "--force"]:
            return take_lead
        case _:
            return None


def hand_over(world: World, target: str = "") -> Result:
    """Have another monitor take the lead, the one at the address `target` where that is given."""
    now, own, listed = world.leadership, _own(world), world.conf.monitors
    about = {"monitor": target, "own": own}
    if now.place is Place.ALONE:
        return Result(world, Verdict("one_monitor"))
    if target and target not in listed:
        return Result(world, Verdict("unknown_monitor", {**about, "known": listed}))
    if target == own:
        return Result(world, Verdict("leads_already", about))
    if target and target not in now.others:
        return Result(world, Verdict("monitor_away", about))
    if not now.others:
        return Result(world, Verdict("no_other_monitor"))
    return Result(_asking(world, HandOver(target)), Verdict("gives_up_lead", about), NextLeader(target))


def take_lead(world: World, now: float) -> Result:
    """Have this monitor take the lead though agents do not vote or voters do not count, if it can in VOUCHED seconds.

    Until then the voters may follow the monitor that led before.
    """
    place, own = world.leadership.place, _own(world)
    if place is Place.ALONE:
        return Result(world, Verdict("one_monitor"))
    if place is Place.LEADS:
        return Result(world, Verdict("leads_already", {"own": own}))
    seconds = VOUCHED + 2 * world.conf.lead_lease
    return Result(
        _asking(world, TakeLead(now + seconds)), Verdict("takes_lead", {"own": own, "seconds": seconds})
    )


def _asking(world: World, asked: HandOver | TakeLead) -> World:
    return replace(world, leadership=replace(world.leadership, asked=asked))


def _own(world: World) -> str:
    return world.conf.monitor.ip if world.conf.monitor else ""
