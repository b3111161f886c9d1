"""How often the active master role moves by itself (rule 10.18).

After an automatic move the next one is blocked for failover_block seconds. Until then a lost role stays unassigned, and
no role goes home to its preferred host. The block ends early when the host that lost the role has let it go, as its
agent confirms or a successful kill_host proves: then nothing is guessed. The admin ends it too, by a move of the role
or by set_online of a host that can have it.

A lost role goes back to the host that wrote last, if it returns before another host has the role: no other lacks less.
It is given a moment to confirm that it is ONLINE. One whose agent refuses the role is not waited for.
"""

import math
from dataclasses import replace
from typing import ClassVar

from mmm.config.model import Role, Vip
from mmm.monitor.assess import loss, promotion
from mmm.monitor.decide import roles
from mmm.monitor.decide.move import phases
from mmm.monitor.decide.move.phases import TELL_LIMIT, TRY_AGAIN
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Hold
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import World


def assign(world: World, now: float) -> World:
    """Return the world with every role where it belongs now."""
    world = _note_admin(phases.may_try_again(world, now), now)
    return _note_move(roles.assign(_with_hold(world, now)), now)


def unblocked(world: World) -> World:
    """Return the world in which the next failover does not wait."""
    return replace(world, failed_over=None, hold=None)


class Blocked(Said):
    """A failover has to wait."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "failover_block": (
            "failover of {role} is blocked for another {seconds} s: {host} lost it within {limit:g} s (failover_block)"
            " of the last failover and has not confirmed that it let go. set_online of a host that can have it ends"
            " this"
        )
    }


def blocked(world: World) -> Blocked | None:
    """Return what waits, for whom and how long; None when nothing does."""
    hold, role = world.hold, world.conf.active_master_role
    if hold is None or hold.returning or world.active_master is not None or world.conf.monitor is None:
        return None
    limit = world.conf.monitor.failover_block
    return Blocked("failover_block", {"role": role, "host": hold.host, "seconds": hold.left, "limit": limit})


def _note_admin(world: World, now: float) -> World:
    """Return the world that knows who has the role; a move outside of a turn was the admin's."""
    master = world.active_master
    if master is None or master == world.last_master:
        return world
    world = replace(world, last_master=master, failed_over=None)
    orderly = world.forced is None and world.last_writer is not None
    lost = not (orderly and world.hosts[world.last_writer or ""].state in _ANSWERS)
    return loss.begin(world, now) if lost else world


_ANSWERS = (State.ONLINE, State.ADMIN_OFFLINE)
"""States of a host that can be asked what it has."""


def _with_hold(world: World, now: float) -> World:
    hold = _hold(world, now)
    return world if hold == world.hold else replace(world, hold=hold)


def _hold(world: World, now: float) -> Hold | None:
    monitor, role = world.conf.monitor, world.conf.roles.get(world.conf.active_master_role)
    if (back := _returning(world, role, now)) is not None:
        return back
    last, moved = world.last_master, world.failed_over
    tried = None if world.conf.master_vip is None else world.could_not_leave(world.conf.master_vip)
    if tried is not None and not world.hosts[tried.source].agent.about.halting:
        return Hold(tried.source, math.ceil(tried.since + TRY_AGAIN - now))
    if monitor is None or role is None or last is None or moved is None:
        return None
    if world.active_master == last and world.hosts[last].agent.about.halting:  # it goes down with the role
        return None
    left = moved + monitor.failover_block - now
    if left <= 0 or world.hosts[last].state is State.ADMIN_OFFLINE or not _wanted(world, role, last):
        return None
    return Hold(last, math.ceil(left))


def _returning(world: World, role: Role | None, now: float) -> Hold | None:
    """Return the hold for the host that wrote last, where nobody has the role and it can take it, now or soon."""
    name = world.last_writer
    if role is None or name not in role.hosts or world.active_master is not None:
        return None
    host = world.hosts[name]
    if host.state is not State.ONLINE or host.agent.unreachable or host.online_since is None:
        return None
    if promotion.refuses(world, name):
        return None
    left = host.online_since + TELL_LIMIT - now
    return Hold(name, math.ceil(left), returning=True) if world.can_take(name) or left > 0 else None


def _wanted(world: World, role: Role, last: str) -> bool:
    """Tell whether the role would move if nothing held it."""
    if world.active_master is not None:
        return role.prefer not in (None, last)
    return not all(_let_go(world, vip, last) for vip in role.vips)


def _let_go(world: World, vip: Vip, name: str) -> bool:
    link = world.hosts[name].agent
    return link.told is not None and vip not in link.may_hold


def _note_move(world: World, now: float) -> World:
    """Return the world that knows when the role moved by itself: not when the admin took its host offline or down."""
    master, last = world.active_master, world.last_master
    if master is None or master == last:
        return _note_lost(world, now)
    old = world.hosts.get(last or "")
    by_itself = old is not None and old.state is not State.ADMIN_OFFLINE and not old.agent.about.halting
    world = replace(world, last_master=master, failed_over=now if by_itself else None)
    writer = world.last_writer
    return (
        loss.begin(world, now) if writer is not None and world.hosts[writer].state not in _ANSWERS else world
    )


def _note_lost(world: World, now: float) -> World:
    """Return the world that knows of a writer which was lost after it had let go, before the next one had the role."""
    writer, taker = world.last_writer, world.active_master
    if writer is None or taker is None or world.loss is not None or world.hosts[writer].state in _ANSWERS:
        return world
    told = world.hosts[taker].agent.told
    has = told is not None and bool(world.master_vips & set(told.vips))
    return world if has else loss.begin(world, now)
