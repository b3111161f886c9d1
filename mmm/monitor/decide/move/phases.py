"""A planned move of an exclusive role, all or nothing (rule 11.7).

    FREEZING    the old holder is to let go: read_only, its clients ended, the VIP gone
    PROMOTING   the new holder applies what the old one has, and takes the role
    RETURNING   one of the two could not: the old holder is to have the role as before

Where the new holder could not, and the old one cannot have the role again, as its machine goes down or it has failed,
a third host is the new holder, and the move is PROMOTING still.

Who is told what follows from who is to have the role, so a move consists of its phase alone. A monitor that starts in
the middle of a move recognises it by what it sees: see `resumed`.
"""

from dataclasses import replace

from mmm.config.model import Vip
from mmm.monitor.assess import promotion, slaves_first
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Failed, Move, Phase, Unfit
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import Status

TELL_LIMIT = 5.0
"""Seconds in which the new holder has to be told, from the moment that the old one has let go."""
TRY_AGAIN = 60.0
"""Seconds that a role stays where it is, after it could not go home to its preferred host."""


def begin(world: World, vip: Vip, source: str, target: str) -> World:
    """Return the world in which the role is to go from one host to another.

    A holder that is not ONLINE cannot simply keep the role when it does not answer: then it is killed. One move at a
    time is all or nothing; the active master's role comes first.
    """
    world = world.with_owner({vip: target})
    if world.hosts[source].state is not State.ONLINE:
        return world.kill_unless_told(source)
    if world.move is not None and vip.role != world.conf.active_master_role:
        return world
    return replace(world, move=Move(vip, source, target))


def resumed(world: World, vip: Vip, now: float) -> World:
    """Return the world that may be in the middle of a move: nobody writes, another host could be the old holder.

    Where the host that the role is assigned to cannot take it, the other one gets it.
    """
    target = world.owner[vip]
    others = [
        name
        for name in world.conf.roles[vip.role].hosts
        if name != target and world.hosts[name].state is State.ONLINE
    ]
    if target is None or not others or vip in world.hosts[target].agent.found:
        return world
    return replace(world, move=Move(vip, others[0], target, Phase.PROMOTING, now))


def lets_go(move: Move | None, host: str, sent: Status) -> bool:
    """Tell whether by what it is `sent` a host lets go of the role that moves: from then on nobody can write."""
    return (
        move is not None
        and move.phase is Phase.FREEZING
        and host == move.source
        and move.vip not in sent.vips
    )


def confirmed(world: World, host: str, sent: Status, now: float) -> World:
    """Return the world after a host's agent has done what it was `sent`."""
    move = world.move
    if move is None:
        return world
    if lets_go(move, host, sent):
        return replace(world, move=replace(move, phase=Phase.PROMOTING, since=now))
    # Also when the old holder has not answered and its lease has run out: then the new one was told all the same.
    if move.phase is not Phase.RETURNING and host == move.target and move.vip in sent.vips:
        return replace(world, move=None)
    if move.phase is Phase.RETURNING and host == move.source and move.vip in sent.vips:
        return replace(_noted(world, replace(move, since=now)), move=None)
    return world


def _noted(world: World, failed: Move) -> World:
    """Return the world that knows of a move that has failed, and of no earlier one of that role to that host."""
    others = (
        tried for tried in world.failed_moves if (tried.vip, tried.target) != (failed.vip, failed.target)
    )
    return replace(world, failed_moves=(*others, failed))


def may_try_again(world: World, now: float) -> World:
    """Return the world without the moves that failed TRY_AGAIN seconds ago."""
    lately = tuple(move for move in world.failed_moves if now - move.since < TRY_AGAIN)
    return world if lately == world.failed_moves else replace(world, failed_moves=lately)


def failed(world: World, host: str, sent: Status, why: Failed, now: float, *, undone: bool) -> World:
    """Return the world after a host's agent has not done, or not answered, what it was `sent`.

    `undone` tells whether that is certain: it said so, or the order never reached it.
    """
    move = world.move
    if move is None or world.owner[move.vip] != move.goal:
        return world
    if lets_go(move, host, sent):
        source = world.hosts[move.source]
        if source.state is State.ONLINE and move.vip in source.agent.may_hold:
            return _back(world, move, why, now)
        return replace(world, move=None)
    promoting = move.phase is Phase.PROMOTING and host == move.target and move.vip in sent.vips
    return _elsewhere(world, move, why, now) if promoting and undone else world


def waits_for_promise(world: World, host: str, sent: Status, over: float) -> bool:
    """Tell whether the new holder has only to be told again, once a promise by which it refused the role is `over`.

    The old holder gives its promises back when it lets go, and that word may be lost. The promise is over while the new
    holder may still be told: the move need not be given up.
    """
    move = world.move
    return (
        move is not None
        and move.phase is Phase.PROMOTING
        and host == move.target
        and move.vip in sent.vips
        and over <= move.since + TELL_LIMIT
    )


def overdue(world: World, now: float) -> World:
    """Return the world in which a role goes elsewhere whose new holder has not been told and will not be in time."""
    move = world.move
    if move is None or move.phase is not Phase.PROMOTING or world.owner[move.vip] != move.target:
        return world
    if move.vip in world.hosts[move.target].agent.may_hold:
        return world
    target = world.hosts[move.target]
    tried_before = world.holders(move.vip) and not world.can_take(move.source)
    if tried_before or slaves_first.waits_for_mmm2(world, move.target):
        return replace(world, move=replace(move, since=now))  # its time begins when they have answered
    if target.state is not State.ONLINE or target.agent.unreachable:
        why = Failed("unfit", {"unfit": unfit(world, move.target, move.vip.role)})
        return _elsewhere(world, move, why, now)
    if now - move.since > TELL_LIMIT:
        busy = Failed("agent_busy", {"host": move.target, "seconds": TELL_LIMIT})
        return _elsewhere(world, move, busy, now)
    return world


def unfit(world: World, name: str, role: str) -> Unfit:
    """Return why a host cannot be given a VIP of the role."""
    host = world.hosts[name]
    if host.state is not State.ONLINE:
        return Unfit("state", {"host": name, "state": host.state})
    if host.agent.about.halting and not host.agent.unreachable:
        return Unfit("halts", {"host": name})
    if not world.can_take(name):
        return Unfit("no_agent" if host.agent.unreachable else "unconfirmed", {"host": name})
    if world.would_bind(name, role):
        return Unfit("would_bind", {"host": name, "role": role})
    return (
        _not_promoted(world, name)
        if role == world.conf.active_master_role
        else Unfit("can_take", {"host": name})
    )


def _not_promoted(world: World, name: str) -> Unfit:
    """Return why a host that can be given other roles does not get that of the active master."""
    if differs := world.hosts[name].agent.about.differs:
        return Unfit("other_conf", {"host": name, "keys": ", ".join(differs)})
    if world.hold is not None and world.hold.returning and world.hold.host != name:
        return Unfit("stands_back", {"host": name, "other": world.hold.host})
    lack = promotion.lacks(world, name)
    return Unfit("can_take", {"host": name}) if lack is None else Unfit("lacks", {"host": name, "lack": lack})


def _elsewhere(world: World, move: Move, why: Failed, now: float) -> World:
    """Return the world in which the old holder, or a third host, is to have the role that the new one has not taken.

    Where neither can have it all stays as it is: the new one is told again. In other modes than active the role goes
    to nobody whom the admin has not named.
    """
    if world.can_take(move.source):
        return _back(world, move, why, now)
    role = world.conf.roles[move.vip.role]
    others = [
        name
        for name in promotion.eligible(world, role)
        if name not in (move.source, move.target) and not world.could_not_go_to(move.vip, name)
    ]
    if world.mode is not Mode.ACTIVE or not others:
        return world
    target = role.prefer if role.prefer in others else others[0]
    world = _noted(world.with_owner({move.vip: target}), replace(move, since=now, cause=why))
    world = world.with_agent(move.target, world.hosts[move.target].agent.due())  # it lets go first
    return replace(world, move=replace(move, target=target, since=now))


def _back(world: World, move: Move, why: Failed, now: float) -> World:
    """Return the world in which the one that failed is told at once: what it last confirmed says nothing new."""
    failing = move.source if move.phase is Phase.FREEZING else move.target
    world = world.with_owner({move.vip: move.source})
    world = world.with_agent(failing, world.hosts[failing].agent.due())
    return replace(world, move=replace(move, phase=Phase.RETURNING, since=now, cause=why))
