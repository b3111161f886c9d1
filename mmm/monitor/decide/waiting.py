"""Whom the active master role waits for, for how long, and what ends that (rule 11.1)."""

from mmm.config.model import Vip
from mmm.lease.rules import FOREVER, margin
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


def sentence(world: World, now: float) -> str:
    """Return why the active master role waits for a host that cannot be told, and what to do; empty if it does not."""
    name, vip = waited_for(world), world.conf.master_vip
    if name is None or vip is None:
        return ""
    left = seconds(world, name, now)
    until = f"for another {left:.0f} s" if left < FOREVER else _why_endless(world, name, now)
    return f"{vip} waits for {name}, which may still have it: {until}. {way_out(world, name)}"


def endless(world: World, vip: Vip) -> str:
    """Return the sentence of a wait for the VIP that ends by somebody's hand only, empty where there is none.

    While kill_host runs for the host it is not known yet.
    """
    name = waited_for(world)
    if name is None or vip != world.conf.master_vip or world.hosts[name].agent.kill.running:
        return ""
    if world.hosts[name].agent.search.absent_since is not None:
        return ""
    return sentence(world, 0.0) if seconds(world, name, 0.0) == FOREVER else ""


def way_out(world: World, name: str) -> str:
    """Return the sentence that says what ends the wait for a host at once."""
    answers = f"That ends at once when the agent of {name} answers"
    if not world.is_dead(name):
        return f"{answers}: start it"
    return (
        f"{answers}, kill_host succeeds, or you vouch that {name} is off: 'mmm_control confirm_dead {name}'"
    )


def _why_endless(world: World, name: str, now: float) -> str:
    if world.hosts[name].agent.about.classic:
        return "its agent is one of the Perl MMM, which holds it for good"
    if (since := world.hosts[name].agent.search.absent_since) is not None:
        longest = world.conf.vip_lease + margin(world.conf.vip_lease)
        silent = f"nothing answers for it since {now - since:.0f} s, after {longest:.0f} s it counts as off"
        return f"its lease has no end; {silent}"
    return "its lease has no end" if world.conf.vip_lease > 0 else "its VIP has no lease (vip_lease is 0)"


def _cannot_be_told(world: World, name: str) -> bool:
    return world.is_dead(name) or world.hosts[name].agent.unreachable
