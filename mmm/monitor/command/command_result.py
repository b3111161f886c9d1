"""What a command comes to, and what commands have in common to say (rule 5)."""

from dataclasses import dataclass

from mmm.config.model import Role, Vip
from mmm.monitor.decide import waiting
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World

CHECK_ROLES = "Now you can wait some time and check new roles info!"


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a command is answered after: a state that a host confirms, or a VIP that it takes."""

    host: str
    done: str
    vip: Vip | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The world after a command, and its answer: at once, or when `awaits` is there."""

    world: World
    text: str
    awaits: Awaited | None = None
    entry: str = ""
    """What the history is to say of it, beside changes of states and roles."""


def error(world: World, text: str) -> Result:
    """Return the refusal of a command."""
    return Result(world, f"ERROR: {text}")


def ok(world: World, text: str) -> Result:
    """Return the answer to a command that is done."""
    return Result(world, f"OK: {text}")


def no_agent(world: World, host: str) -> Result:
    """Return the refusal of a command that an agent has to carry out which does not answer."""
    held = world.master_vips & world.hosts[host].agent.may_hold
    off = f" If it is off: 'mmm_control confirm_dead {host}'." if held and world.is_dead(host) else ""
    return error(
        world, f"Can't reach the agent of host '{host}'! Start mmm_agentd there, or look at its log.{off}"
    )


def cannot_hold(world: World, role: Role, host: str) -> Result | None:
    """Return the refusal where the host is none of the role's."""
    if host in role.hosts:
        return None
    return error(
        world, f"Host '{host}' can't handle role '{role.name}'. It is for {', '.join(role.hosts)} only."
    )


def outcome(world: World, awaited: Awaited) -> str | None:
    """Return the answer to a command that awaits something, None while it is under way.

    Where it waits for a host that cannot be told, and that has no end by itself, the answer says so at once.
    """
    if awaited.vip is None:
        link = world.hosts[awaited.host].agent
        if link.told is not None and link.told.state == world.hosts[awaited.host].state and link.sent is None:
            return f"OK: {awaited.done}"
        return _not_confirmed(world, awaited)
    return _moved(world, awaited, awaited.vip)


def _moved(world: World, awaited: Awaited, vip: Vip) -> str | None:
    move, owner = world.move, world.owner[vip]
    if owner == awaited.host:
        link = world.hosts[awaited.host].agent
        if link.told is not None and vip in link.told.vips:
            return _unconfirmed(world, awaited, vip) or f"OK: {awaited.done}"
        if waits := waiting.endless(world, vip):
            return f"ERROR: ordered, and done as soon as it can be: {waits}"
        return None if move is not None and move.vip == vip else _not_confirmed(world, awaited)
    if move is not None and (move.vip, move.target) == (vip, awaited.host):
        link = world.hosts[move.source].agent
        if link.sent is not None or link.refused is None or vip not in link.refused.vips:
            return None
        back = f"it is to go back to {owner}, not confirmed yet{_why(world, move.source)}"
        return f"ERROR: {vip.role} could not be moved to {awaited.host}: {move.cause}; {back}"
    failed = world.failed_move
    if failed is not None and (failed.vip, failed.target) == (vip, awaited.host):
        return f"ERROR: {vip.role} could not be moved to {awaited.host}: {owner} keeps it: {failed.cause}"
    why = _why(world, awaited.source) if awaited.source else ""
    return f"ERROR: {vip.role} could not be moved to {awaited.host}: {owner or 'nobody'} keeps it{why}"


def _unconfirmed(world: World, awaited: Awaited, vip: Vip) -> str:
    """Return the answer to a move whose old holder lives and has not said that it let go; empty where it has.

    Its lease has run out, so it has not got the VIP; whether its server is read_only nobody has said.
    """
    source = awaited.source
    if (
        source is None
        or world.hosts[source].state is not State.ONLINE
        or world.hosts[source].agent.told is not None
    ):
        return ""
    return (
        f"ERROR: {vip.role} is on {awaited.host}, but {source} has not confirmed that it let go{_why(world, source)}:"
        f" its lease ran out. See that the server of {source} is read_only"
    )


def _not_confirmed(world: World, awaited: Awaited) -> str | None:
    link = world.hosts[awaited.host].agent
    if link.sent is not None or link.refused is None:
        return None
    if awaited.vip is not None and awaited.vip not in link.refused.vips:
        return None
    if awaited.vip is None and link.refused.state != world.hosts[awaited.host].state:
        return None
    return (
        f"ERROR: ordered, not confirmed yet{_why(world, awaited.host)}; it is tried again every few seconds"
    )


def _why(world: World, name: str) -> str:
    link = world.hosts[name].agent
    if link.refusal:
        return f": the agent of {name} answered '{link.refusal}'"
    return f": the agent of {name} did not answer" if link.refused is not None else ""
