"""Why nobody has the active master role, as a value and in words. Pure.

found = vacancy(world)
if found is not None: print(found.code, found)
"""

from dataclasses import dataclass
from enum import StrEnum

from mmm.config.model import Role
from mmm.monitor.assess import promotion
from mmm.monitor.decide import failover_block
from mmm.monitor.decide.move import phases
from mmm.monitor.world.host import State
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


@dataclass(frozen=True, slots=True)
class Vacancy:
    """The active master role is assigned to no host. `text` is the reason and what to do about it."""

    role: str
    code: Reason
    text: str

    def __str__(self) -> str:
        return f"no host holds {self.role}: {self.text}"


def vacancy(world: World) -> Vacancy | None:
    """Return why nobody has the active master role; None while it is held, and in passive mode, which says itself."""
    role = world.conf.roles.get(world.conf.active_master_role)
    if role is None or world.active_master is not None or world.mode is Mode.PASSIVE:
        return None
    if not world.network_up:
        return Vacancy(
            role.name, Reason.NETWORK_DOWN, "the monitor is cut off, and assigns nothing until it is not"
        )
    if waits := failover_block.blocked(world):
        return Vacancy(role.name, Reason.BLOCKED, waits)
    if held := promotion.held_back(world):
        return Vacancy(role.name, Reason.HELD_BACK, held)
    if promotion.eligible(world, role) or any(_is_coming(world, name) for name in role.hosts):
        return Vacancy(
            role.name, Reason.SOON, f"{unfit(world, role)}; it is assigned as soon as one of them can have it"
        )
    return _without_hosts(world, role)


def unfit(world: World, role: Role) -> str:
    """Return what keeps each host of the role from getting it."""
    return ", ".join(f"{name} is {phases.unfit(world, name)}" for name in role.hosts)


def _is_coming(world: World, name: str) -> bool:
    """Tell whether the host is in use and only has not confirmed it yet."""
    host = world.hosts[name]
    return host.state is State.ONLINE and not host.agent.unreachable and not world.is_dead(name)


def _without_hosts(world: World, role: Role) -> Vacancy:
    states = unfit(world, role)
    ready = [
        name for name in role.hosts if world.hosts[name].state in _SET_ONLINE and not world.is_dead(name)
    ]
    if not any(world.hosts[name].used for name in role.hosts):
        text = f"this is a first start, {states}: 'mmm_control set_online HOST' of the one whose data are to be kept"
        return Vacancy(role.name, Reason.FIRST_START, text)
    best = world.last_writer if world.last_writer in ready else ready[0] if ready else None
    order = f": 'mmm_control set_online {best}', or see 'mmm_control explain {best}'" if best else ""
    return Vacancy(role.name, Reason.NO_HOST, f"{states}{order}")


_SET_ONLINE = (State.AWAITING_RECOVERY, State.ADMIN_OFFLINE)
"""States that set_online ends."""
