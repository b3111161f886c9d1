"""Whom the active master role waits for, for how long, and what ends that (rule 11.1)."""

from typing import ClassVar

from mmm.config.model import Vip
from mmm.lease.rules import FOREVER, margin
from mmm.monitor.world.said import Fields, Said, Texts
from mmm.monitor.world.world import World


def waited_for(world: World) -> str | None:
    """Return the host that cannot be told and may still have the active master's VIP, which is to go elsewhere."""
    vip = world.conf.master_vip
    if vip is None or not world.guarded:
        return None
    owner = world.owner[vip]
    for name, host in world.hosts.items():
        if name != owner and vip in host.agent.may_hold and _cannot_be_told(world, name):
            return name
    return None


def seconds(world: World, name: str, now: float) -> float:
    """Return for how many seconds more a host may hold the active master role, the margin with it; FOREVER: no end."""
    if world.conf.vip_lease <= 0:
        return FOREVER
    return max(0.0, world.hosts[name].agent.given.until + margin(world.conf.vip_lease) - now)


class Waits(Said):
    """What the active master role waits for: a host that may still have its VIP, until when, and what ends it."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "lease": lambda of: _waits(of, f"for another {of['seconds']:.0f} s"),
        "classic": lambda of: _waits(of, "its agent is a Perl one, which never gives it up by itself"),
        "absent": lambda of: _waits(
            of,
            f"its lease has no end; nothing has answered for it for {of['silent']:.0f} s, and after"
            f" {of['longest']:.0f} s it counts as off",
        ),
        "endless": lambda of: _waits(of, "its lease has no end"),
        "no_lease": lambda of: _waits(of, "its VIP has no lease (vip_lease is 0)"),
    }


def _waits(of: Fields, until: str) -> str:
    return f"{of['vip']} waits for {of['host']}, which may still have it: {until}. {_way_out(of)}"


def _way_out(of: Fields) -> str:
    host = of["host"]
    answers = f"The wait ends at once when the agent of {host} answers"
    if not of["dead"]:
        return f"{answers}: start it"
    return (
        f"{answers}, kill_host succeeds, or you vouch that {host} is off: 'mmm_control confirm_dead {host}'"
    )


def waits(world: World, now: float) -> Waits | None:
    """Return why the active master role waits for a host that cannot be told, and what to do; None if it does not."""
    name, vip = waited_for(world), world.conf.master_vip
    if name is None or vip is None:
        return None
    left, about = seconds(world, name, now), {"vip": vip, "host": name, "dead": world.is_dead(name)}
    return Waits("lease", {**about, "seconds": left}) if left < FOREVER else _endless(world, name, now, about)


def endless(world: World, vip: Vip) -> Waits | None:
    """Return a wait for the VIP that ends by somebody's hand only, None where there is none.

    While kill_host runs for the host it is not known yet.
    """
    name = waited_for(world)
    if name is None or vip != world.conf.master_vip or world.hosts[name].agent.kill.running:
        return None
    if world.hosts[name].agent.search.absent_since is not None:
        return None
    return waits(world, 0.0) if seconds(world, name, 0.0) == FOREVER else None


def _endless(world: World, name: str, now: float, about: Fields) -> Waits:
    if world.hosts[name].agent.about.classic:
        return Waits("classic", about)
    if (since := world.hosts[name].agent.search.absent_since) is not None:
        longest = world.conf.vip_lease + margin(world.conf.vip_lease)
        return Waits("absent", {**about, "silent": now - since, "longest": longest})
    return Waits("endless" if world.conf.vip_lease > 0 else "no_lease", about)


def _cannot_be_told(world: World, name: str) -> bool:
    return world.is_dead(name) or world.hosts[name].agent.unreachable
