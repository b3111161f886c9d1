"""The monitor's turn: a world in, a world, what changed and orders out (rule 6).

The order within a turn is the classic's: states, end of wait mode, roles, then who is told.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from mmm.config.model import Vip
from mmm.monitor.assess import divergence, loss
from mmm.monitor.decide import auto_rejoin, failover_block, get_ahead, reconcile
from mmm.monitor.decide.move import phases
from mmm.monitor.decide.vacancy import Reason, Vacancy, vacancy
from mmm.monitor.states import table
from mmm.monitor.states.table import Change
from mmm.monitor.world.host import State
from mmm.monitor.world.loss import Loss
from mmm.monitor.world.orders import Order, ReadLog
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import Mode, World


@dataclass(frozen=True, slots=True)
class Assigned:
    """A VIP that went from one host to another in the plan; None is nobody."""

    vip: Vip
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.vip}: {self.before or 'nobody'} -> {self.after or 'nobody'}"


class ModeEnded(Said):
    """Wait mode became active mode."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "both_online": "mode: WAIT -> ACTIVE: both masters are ONLINE",
        "waited": (
            "mode: WAIT -> ACTIVE: one master has been ONLINE for {seconds:.0f} s, the other has not come"
        ),
    }


@dataclass(frozen=True, slots=True)
class Blocked:
    """A failover has to wait."""

    why: Vacancy

    def __str__(self) -> str:
        return f"no host holds {self.why.fields['role']}: {self.why}"


@dataclass(frozen=True, slots=True)
class Lost:
    """What a failover has lost is known as well as it can be."""

    loss: Loss


News = Change | Assigned | ModeEnded | Blocked | Lost
"""What a turn has to say."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of a turn."""

    world: World
    changes: tuple[News, ...]
    orders: tuple[Order, ...]


def turn(world: World, now: float) -> Turn:
    """Return what the monitor makes of its world now."""
    if not world.network_up or not world.leadership.may_order:
        return Turn(world, (), ())
    before, last_master = world.owner, world.last_master
    world, changes = table.judge(world, now)
    world, ended = end_wait(world, now)
    world, orders = assign_and_tell(world, now)
    if world.last_master != last_master:
        world = divergence.begun_anew(world)
    world, looks = _looks_at_logs(world, now)
    world, rebuilds = auto_rejoin.orders(world, now)
    world, ahead = get_ahead.orders(world, now)
    assigned = tuple(
        Assigned(vip, before[vip], host) for vip, host in world.owner.items() if before[vip] != host
    )
    waiting = _waits(world)
    waits = tuple(Blocked(why) for kind, why in waiting.items() if kind not in world.waits)
    if waiting.keys() != world.waits:
        world = replace(world, waits=frozenset(waiting))
    lost, world = world.loss, loss.step(world, now)
    losses = (Lost(world.loss),) if world.loss is not None and loss.is_news(lost, world.loss) else ()
    return Turn(world, (*changes, *ended, *assigned, *waits, *losses), (*orders, *looks, *rebuilds, *ahead))


def _looks_at_logs(world: World, now: float) -> tuple[World, tuple[Order, ...]]:
    """Return the orders to look at the binary logs of hosts that are to be compared by them."""
    looks: list[Order] = []
    for host in world.masters():
        if (since := divergence.to_look_through(world, host.name, now)) is not None:
            known = world.hosts[host.name]
            comparison = replace(known.comparison, reads_log=True)
            world = world.with_host(host.name, replace(known, comparison=comparison))
            looks.append(ReadLog(host.name, since))
    return world, tuple(looks)


def _waits(world: World) -> dict[str, Vacancy]:
    """Return why nobody gets the active master role, by its kind."""
    found = vacancy(world)
    return {} if found is None or found.code is Reason.SOON else {found.code: found}


def assign_and_tell(world: World, now: float) -> tuple[World, tuple[Order, ...]]:
    """Return the second half of a turn, which no state depends on: roles, and who is told."""
    return reconcile.orders(failover_block.assign(phases.overdue(world, now), now), now)


def end_wait(world: World, now: float) -> tuple[World, tuple[ModeEnded, ...]]:
    """Return the world in active mode once wait mode has what it waits for."""
    monitor = world.conf.monitor
    if world.mode is not Mode.WAIT or monitor is None:
        return world, ()
    online = [host for master in world.masters() if (host := world.hosts[master.name]).state is State.ONLINE]
    waited = max((now - (host.online_since or 0.0) for host in online), default=0.0)
    if len(online) >= 2:
        ended = ModeEnded("both_online")
    elif online and 0 < monitor.wait_for_other_master <= waited:
        ended = ModeEnded("waited", {"seconds": waited})
    else:
        return world, ()
    return become_active(world), (ended,)


def become_active(world: World) -> World:
    """Return the world in active mode, with the roles of hosts that are not ONLINE taken from them."""
    for name, host in world.hosts.items():
        if host.state is not State.ONLINE and world.vips_of(name):
            world = world.without_roles(name).kill_unless_told(name)
    return replace(world, mode=Mode.ACTIVE)
