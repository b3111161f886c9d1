"""Who gets a dead writer's binary log before anybody is to take over, and when it is to be forgotten (rule 12.1). Pure.

As soon as nothing listens at the writer's port, or its agent says that its process has ended, the agent of the host
that would be the next writer is asked to get what that log has beyond its own. Nothing is applied: the server may be
started again before its check has failed, and then what was got is forgotten.

Only the order to take over makes use of it, and that goes by the same rules as if nothing had been got.
"""

from dataclasses import replace

from mmm.monitor.assess import loss
from mmm.monitor.decide import roles
from mmm.monitor.world.host import State
from mmm.monitor.world.loss import Ahead
from mmm.monitor.world.orders import GetAhead
from mmm.monitor.world.world import Mode, World

AGAIN = 5.0
"""Seconds until it is asked for again: the agent keeps it for no more than a minute."""


def orders(world: World, now: float) -> tuple[World, tuple[GetAhead, ...]]:
    """Return the order that is due, and the world that knows it is under way."""
    known, wanted = world.ahead, _wanted(world)
    if known is not None and known.taker in world.hosts and known.under_way:
        return world, ()
    if wanted is not None:
        host, taker = wanted
        if known is not None and (known.host, known.taker) == wanted and now - known.asked < AGAIN:
            return world, ()
        return replace(world, ahead=Ahead(host, taker, now)), (GetAhead(taker, host),)
    if known is None or not _is_over(world, known):
        return world, ()
    return replace(world, ahead=None), _forgets(world, known)


def answered(world: World) -> World:
    """Return the world once the agent that was asked has answered, or has not."""
    return world if world.ahead is None else replace(world, ahead=replace(world.ahead, under_way=False))


def _is_over(world: World, known: Ahead) -> bool:
    """Tell whether a log that was got will not be needed: its server answers again."""
    host = world.hosts.get(known.host)
    return host is None or host.checks["mysql"].error_since is None


def _forgets(world: World, known: Ahead) -> tuple[GetAhead, ...]:
    """Return the order to forget it, to the host that was asked to get it."""
    return (GetAhead(known.taker, ""),) if {known.host, known.taker} <= world.hosts.keys() else ()


def _wanted(world: World) -> tuple[str, str] | None:
    """Return whose log is to be got, and by whom; None where nothing is."""
    host = world.active_master or world.last_writer
    if host is None or not world.conf.salvage or world.mode is Mode.PASSIVE or world.move is not None:
        return None
    if host not in world.hosts or not _is_dead(world, host):
        return None
    taker = _next(world, host)
    return None if taker is None or not loss.can_get(world, host, taker) else (host, taker)


def _is_dead(world: World, host: str) -> bool:
    """Tell whether a host's server is dead, whether or not it has failed by its check, and the role stays there yet."""
    status = world.hosts[host].checks["mysql"]
    if status.exited is None:
        return status.refused and status.error_since is not None
    moves_at_once = status.exited.certain and world.active_master is not None
    return not moves_at_once


def _next(world: World, host: str) -> str | None:
    """Return who would be the active master if the host failed now; None: nobody, or none that can be asked."""
    lost = replace(world.hosts[host], state=State.HARD_OFFLINE)
    without = replace(world.with_host(host, lost).without_roles(host), hold=None)
    taker = roles.assign(without).active_master
    return None if taker is None or taker == host else taker
