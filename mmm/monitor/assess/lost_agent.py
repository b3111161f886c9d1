"""A writer whose agent is gone and whose lease is over, though its server works: nobody can write (rule 11.1).

The role is given to its agent again when that returns. When it has not for `agent_failover` seconds, and no other host
gets an answer of it either, the role goes to a host that can take it.
"""

from typing import ClassVar

from mmm.lease.rules import FOREVER, margin
from mmm.monitor.assess import promotion
from mmm.monitor.world.host import Opinion, State
from mmm.monitor.world.said import Fields, Said, Texts
from mmm.monitor.world.world import Mode, World


def is_without(world: World, name: str, now: float) -> bool:
    """Tell whether the host is to have the active master role, and its lease is over for its agent is away."""
    link, vip = world.hosts[name].agent, world.conf.master_vip
    if vip is None or world.owner[vip] != name or vip not in link.may_hold or not link.unreachable:
        return False
    in_use = world.guarded and world.mode is Mode.ACTIVE and world.hosts[name].state is State.ONLINE
    return in_use and world.conf.vip_lease > 0 and link.given.run_out(now, margin(world.conf.vip_lease))


def moves_in(world: World, name: str, now: float) -> float:
    """Return in how many seconds the role may go to another host; FOREVER: it does not."""
    monitor = world.conf.monitor
    if monitor is None or monitor.agent_failover <= 0:
        return FOREVER
    over = world.hosts[name].agent.given.until + margin(world.conf.vip_lease)
    blocked = over if world.failed_over is None else world.failed_over + monitor.failover_block
    return max(0.0, over + monitor.agent_failover - now, blocked - now)


def is_lost(world: World, name: str, said: Opinion | None, now: float) -> bool:
    """Tell whether another host is to have the role now; `said` is what others say of the agent."""
    if not is_without(world, name, now) or moves_in(world, name, now) > 0:
        return False
    alone = said is not None and said.known and bool(said.heard) and not said.met
    return alone and _another_can(world, name)


def _another_can(world: World, name: str) -> bool:
    role = world.conf.roles[world.conf.active_master_role]
    return any(other != name for other in promotion.eligible(world, role))


class WithoutAgent(Said):
    """A writer whose agent is gone, and what becomes of its role."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "stays": lambda of: _else(of, "it stays there (agent_failover is 0)"),
        "goes": lambda of: _else(of, f"it goes to another host in {of['seconds']:.0f} s"),
        "no_other_host": lambda of: _else(of, "no other host can take it"),
    }


def _else(of: Fields, goes: str) -> str:
    return (
        f"nobody holds {of['vip']}: the lease of {of['host']} has run out and its agent does not answer. Start it;"
        f" otherwise {goes}"
    )


def without_agent(world: World, now: float) -> WithoutAgent | None:
    """Return what `show` says of a writer without an agent; None where there is none."""
    name, vip = world.active_master, world.conf.master_vip
    if name is None or not is_without(world, name, now):
        return None
    left, about = moves_in(world, name, now), {"host": name, "vip": vip}
    if left == FOREVER:
        return WithoutAgent("stays", about)
    return WithoutAgent("goes" if _another_can(world, name) else "no_other_host", {**about, "seconds": left})
