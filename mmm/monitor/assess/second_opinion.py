"""Whether other hosts reach the server of one that fell silent (rule 11.2).

A server that fell silent, and did not refuse, may only be cut off from the monitor. From the first time on that it
does not answer, the agents of other hosts are asked, all at once; the answers are there before its check has failed.
While one of them reaches its server nothing follows, and they are asked again.
"""

from dataclasses import replace

from mmm.monitor.assess import lost_agent
from mmm.monitor.world.host import Opinion, State
from mmm.monitor.world.orders import AskOthers
from mmm.monitor.world.world import Mode, World

AGAIN = 2.0
"""Seconds between two questions about the same host."""
MOST = 8
"""Hosts that are asked about another one: possible masters first, in conf order."""


def silent_server(world: World, name: str) -> bool:
    """Tell whether the host's server does not answer, without having refused."""
    check = world.hosts[name].checks["mysql"]
    return check.error_since is not None and not check.refused


def opinion(world: World, name: str) -> Opinion | None:
    """Return what others said of the host since its server fell silent; None: nobody was asked, or it has not."""
    since, said = world.hosts[name].checks["mysql"].error_since, world.hosts[name].opinion
    if said is None or since is None or said.asked < since or not silent_server(world, name):
        return None
    return said


def of_agent(world: World, name: str) -> Opinion | None:
    """Return what others said of the host since the lease of the active master role there was over."""
    said, over = world.hosts[name].opinion, world.hosts[name].agent.given.until
    return said if said is not None and said.asked >= over else None


def reached_by(world: World, name: str) -> tuple[str, ...]:
    """Return the hosts that reach the server which fell silent."""
    said = opinion(world, name)
    return () if said is None else said.reached


def is_awaited(world: World, name: str) -> bool:
    """Tell whether others are to say first whether they reach it."""
    said = opinion(world, name)
    if said is not None:
        return said.pending and not said.known
    return _asks(world, name) and bool(others(world, name))


def to_ask(world: World, name: str, now: float) -> AskOthers | None:
    """Return the question that is due about the host, None when none is."""
    if not _asks(world, name) and not lost_agent.is_without(world, name, now):
        return None
    last = world.hosts[name].opinion
    current = opinion(world, name) or of_agent(world, name)
    if last is not None and (last.pending or (current is last and now - last.asked < AGAIN)):
        return None
    asked = others(world, name)
    return AskOthers(name, asked) if asked else None


def asked(world: World, order: AskOthers, now: float) -> World:
    """Return the world that knows the question is under way; what was said before stands until it is answered."""
    before = opinion(world, order.host) or of_agent(world, order.host)
    said = Opinion(now, pending=True) if before is None else replace(before, asked=now, pending=True)
    return world.with_host(order.host, replace(world.hosts[order.host], opinion=said))


def others(world: World, name: str) -> tuple[str, ...]:
    """Return the hosts whose agents can be asked about the host."""
    there = [
        other
        for other, host in world.hosts.items()
        if other != name and not host.agent.unreachable and not world.is_dead(other)
    ]
    return tuple(sorted(there, key=lambda other: not world.can_be_active_master(other))[:MOST])


def _asks(world: World, name: str) -> bool:
    """Tell whether what others say of the host matters: it is in use, and the guard is on."""
    in_use = world.guarded and world.mode is not Mode.PASSIVE and world.hosts[name].state is State.ONLINE
    return in_use and silent_server(world, name)
