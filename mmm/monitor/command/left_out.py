"""exclude_role and include_role: a balanced role is kept away from a host that goes on replicating (rule 6.5)."""

from dataclasses import replace

from mmm.config.model import Role
from mmm.monitor.command.command_result import Result, cannot_hold
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import roles
from mmm.monitor.world.world import World


def exclude(world: World, role: Role, host: str) -> Result:
    """Return the world in which the host gets no VIP of the role while other hosts can take them, and the answer."""
    if refused := cannot_hold(world, role, host):
        return refused
    about = {"role": role.name, "host": host}
    if role.mode != "balanced":
        return Result(world, Verdict("not_balanced", about))
    if (role.name, host) in world.left_out:
        return Result(world, Verdict("already_left_out", about))
    held = [vip for vip in role.vips if world.owner[vip] == host]
    after = roles.move_off_left_out(replace(world, left_out=world.left_out | {(role.name, host)}))
    goes = tuple((vip.ip, after.owner[vip]) for vip in held)
    return Result(after, Verdict("left_out", {**about, "goes": goes}))


def include(world: World, role: Role, host: str) -> Result:
    """Return the world in which the host may get VIPs of the role again, and the answer."""
    about = {"role": role.name, "host": host}
    if (role.name, host) not in world.left_out:
        return Result(world, Verdict("not_left_out", about))
    return Result(replace(world, left_out=world.left_out - {(role.name, host)}), Verdict("taken_in", about))
