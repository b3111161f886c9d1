"""Why nobody has the active master role, as a value and in words. Pure.

found = vacancy(world)
if found is not None: print(found.code, found)
"""

from enum import StrEnum
from typing import ClassVar

from mmm.config.model import Role
from mmm.monitor.assess import promotion
from mmm.monitor.decide import failover_block
from mmm.monitor.decide.move import phases
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Unfit
from mmm.monitor.world.said import Said, Texts, listed
from mmm.monitor.world.world import Mode, World


class Reason(StrEnum):
    """Why no host has the role."""

    NETWORK_DOWN = "network_down"
    """The monitor is cut off, and assigns nothing."""
    BLOCKED = "blocked"
    """A failover waits for failover_block."""
    HELD_BACK = "held_back"
    """A host could take it, and lacks too much of what the last writer had."""
    FIRST_START = "first_start"
    """No host that may have it was ever in use."""
    NO_HOST = "no_host"
    """No host that may have it is in use and answers."""
    SOON = "soon"
    """A host is about to get it."""


class Vacancy(Said):
    """Why the active master `role` is assigned to no host, and what to do about it."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        Reason.NETWORK_DOWN: "the monitor is cut off, and assigns nothing until it is not",
        Reason.BLOCKED: "{block}",
        Reason.HELD_BACK: "{held}",
        Reason.SOON: lambda of: f"{listed(of['unfit'])}; it is assigned as soon as one of them can have it",
        Reason.FIRST_START: lambda of: (
            f"this is a first start, {listed(of['unfit'])}: 'mmm_control set_online HOST' of the one whose data are to"
            " be kept"
        ),
        Reason.NO_HOST: lambda of: listed(of["unfit"]) + (_SET_ONLINE.format(**of) if of["best"] else ""),
    }


_SET_ONLINE = ": 'mmm_control set_online {best}', or see 'mmm_control explain {best}'"


def vacancy(world: World) -> Vacancy | None:
    """Return why nobody has the active master role; None while it is held, and in passive mode, which says itself."""
    role = world.conf.roles.get(world.conf.active_master_role)
    if role is None or world.active_master is not None or world.mode is Mode.PASSIVE:
        return None
    about = {"role": role.name}
    if not world.network_up:
        return Vacancy(Reason.NETWORK_DOWN, about)
    if block := failover_block.blocked(world):
        return Vacancy(Reason.BLOCKED, {**about, "block": block})
    if held := promotion.held_back(world):
        return Vacancy(Reason.HELD_BACK, {**about, "held": held})
    if promotion.eligible(world, role) or any(_is_coming(world, name) for name in role.hosts):
        return Vacancy(Reason.SOON, {**about, "unfit": unfit(world, role)})
    return _without_hosts(world, role)


def unfit(world: World, role: Role) -> tuple[Unfit, ...]:
    """Return what keeps each host of the role from getting it."""
    return tuple(phases.unfit(world, name, role.name) for name in role.hosts)


def _is_coming(world: World, name: str) -> bool:
    """Tell whether the host is in use and only has not confirmed it yet."""
    host = world.hosts[name]
    if host.state is not State.ONLINE or host.agent.unreachable or world.is_dead(name):
        return False
    return not promotion.refuses(world, name)


def _without_hosts(world: World, role: Role) -> Vacancy:
    about = {"role": role.name, "unfit": unfit(world, role)}
    if not any(world.hosts[name].used for name in role.hosts):
        return Vacancy(Reason.FIRST_START, about)
    ready = [name for name in role.hosts if world.hosts[name].state in _OFF and not world.is_dead(name)]
    best = world.last_writer if world.last_writer in ready else ready[0] if ready else None
    return Vacancy(Reason.NO_HOST, {**about, "best": best})


_OFF = (State.AWAITING_RECOVERY, State.ADMIN_OFFLINE)
"""States that set_online ends."""
