"""Which host is to hold which VIP (rule 6.5). Ties are broken by conf order.

A cycle: orphaned VIPs of exclusive roles, then of balanced ones, those of machines that go down and preferred hosts
(active mode), those of hosts that the admin keeps them from, then levelling. A host gets something new only when its
agent can be reached and has confirmed that the host is ONLINE, which it does only once the server is read_only (rule
10.36).
"""

from dataclasses import replace

from mmm.config.model import Role, Vip
from mmm.monitor.assess import promotion
from mmm.monitor.decide.move import phases
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode, World

_ACTIVE_MASTER_LOAD = 0.5


def assign(world: World) -> World:
    """Return the world with every role where it belongs; in passive mode as it was."""
    if world.mode is Mode.PASSIVE or not world.network_up:
        return world
    world = assign_orphans(take_back(world), "exclusive")
    world = assign_orphans(world, "balanced")
    if world.mode is Mode.ACTIVE:
        world = move_to_preferred(move_off_halting(world))
    return _without_ended_move(level(move_off_left_out(world)))


def _without_ended_move(world: World) -> World:
    """Return the world without a planned move whose role went elsewhere since: nobody waits for it any more."""
    move = world.move
    if world.forced is not None and world.active_master != world.forced:
        world = replace(world, forced=None)
    return replace(world, move=None) if move and world.owner[move.vip] != move.goal else world


def take_back(world: World) -> World:
    """Return the world without assignments that never reached their host while others could take them.

    Its agent refused the connection, so it cannot have bound anything (rule 10.3: it is not held), or it refuses the
    active master role for its conf, and has let it go.
    """
    lost = {
        vip: None
        for vip, name in world.owner.items()
        if name is not None
        and world.hosts[name].state is State.ONLINE
        and (world.hosts[name].agent.unreachable or _refuses(world, vip, name))
        and vip not in world.hosts[name].agent.may_hold
        and promotion.eligible(world, world.conf.roles[vip.role])
    }
    return world.with_owner(lost) if lost else world


def _refuses(world: World, vip: Vip, name: str) -> bool:
    return vip in world.master_vips and promotion.refuses(world, name)


def assign_orphans(world: World, mode: str) -> World:
    """Return the world with the unassigned VIPs of all roles of that mode given to eligible hosts."""
    for vip, owner in world.owner.items():
        role = world.conf.roles[vip.role]
        if owner is not None or role.mode != mode or vip in world.going:
            continue
        hosts = promotion.eligible(world, role)
        if role.prefer in hosts:
            world = world.with_owner({vip: role.prefer})
        elif hosts:
            world = world.with_owner({vip: min(hosts, key=lambda name: load(world, name))})
    return world


def move_away(world: World, role: Role, host: str) -> World:
    """Return the world with the role's VIPs of the host given to other eligible hosts, where there are any."""
    for vip in role.vips:
        if world.owner[vip] == host:
            others = [name for name in promotion.eligible(world, role) if name != host]
            target = min(
                others, key=lambda name: (_count(world, role, name), load(world, name)), default=None
            )
            world = world.with_owner({vip: target})
    return world


def _count(world: World, role: Role, name: str) -> int:
    return sum(world.owner[vip] == name for vip in role.vips)


def load(world: World, name: str) -> float:
    """Return how many VIPs the host has, the active master's counting half."""
    active = world.conf.active_master_role
    return sum(_ACTIVE_MASTER_LOAD if vip.role == active else 1.0 for vip in world.vips_of(name))


def move_off_halting(world: World) -> World:
    """Return the world with the roles of hosts whose machines go down at others, where there are any.

    The active master's goes as it does when an admin moves it: all or nothing, and only to who has everything. No
    exclusive role goes to a host that could not take it a moment ago.
    """
    for name, host in world.hosts.items():
        if not host.agent.about.halting or host.agent.unreachable:
            continue
        for vip in sorted(world.vips_of(name)):
            world = _off_halting(world, vip, name)
    return world


def _off_halting(world: World, vip: Vip, name: str) -> World:
    role, move = world.conf.roles[vip.role], world.move
    if move is not None and (vip in world.master_vips or move.vip == vip):
        return world
    able = [other for other in promotion.eligible(world, role) if not world.could_not_go_to(vip, other)]
    if vip in world.master_vips:
        able = [other for other in able if promotion.caught_up(world, other)]
    if not able:
        return world
    home = [role.prefer] if role.prefer in able else able
    target = min(home, key=lambda other: (_count(world, role, other), load(world, other)))
    return (
        phases.begin(world, vip, name, target)
        if role.mode == "exclusive"
        else world.with_owner({vip: target})
    )


def move_off_left_out(world: World) -> World:
    """Return the world with balanced roles away from hosts that the admin keeps them from, if others can take them."""
    for name, host in sorted(world.left_out):
        role = world.conf.roles[name]
        if host not in (able := promotion.eligible(world, role)) and able:
            world = move_away(world, role, host)
    return world


def move_to_preferred(world: World) -> World:
    """Return the world with exclusive roles at their preferred hosts, where these can take them."""
    for role in world.conf.roles.values():
        if (
            role.mode == "exclusive"
            and role.prefer is not None
            and role.prefer in promotion.eligible(world, role)
        ):
            for vip in role.vips:
                world = _home(world, vip, role.prefer)
    return world


def _home(world: World, vip: Vip, prefer: str) -> World:
    holder = world.owner[vip]
    # Where another role moves this one waits: of two at a time only one is all or nothing. One that could not go home a
    # moment ago would leave its holder for nothing again and again.
    if holder == prefer or world.move is not None or vip in world.going:
        return world
    if world.could_not_leave(vip) or world.could_not_go_to(vip, prefer):
        return world
    if (
        holder is not None
        and vip.role == world.conf.active_master_role
        and not promotion.caught_up(world, prefer)
    ):
        return world
    return world.with_owner({vip: prefer}) if holder is None else phases.begin(world, vip, holder, prefer)


def level(world: World) -> World:
    """Return the world with balanced roles spread evenly (rule 10.32).

    In each role no two eligible hosts differ by two or more; where that leaves a choice their totals are level. What
    one role has moved can leave a choice to one before it: they are gone through until nothing moves, so that no VIP
    goes to one host now and to another in the next turn. That ends: each move makes a role more level, or the totals.
    """
    balanced = [role for role in world.conf.roles.values() if role.mode == "balanced"]
    moves = True
    while moves:
        moves = False
        for role in balanced:
            while (move := _levelling_move(world, role)) is not None:
                world, moves = world.with_owner(move), True
    return world


def _levelling_move(world: World, role: Role) -> dict[Vip, str] | None:
    hosts = promotion.eligible(world, role)
    if not hosts:
        return None
    held: dict[str, list[Vip]] = {name: [] for name in hosts}
    for vip in role.vips:
        if (owner := world.owner[vip]) in held and owner is not None:
            held[owner].append(vip)
    counts = {len(vips) for vips in held.values()}
    if len(counts) == 1:
        return None
    loads = {name: load(world, name) for name in hosts}
    fullest = max(hosts, key=lambda name: (len(held[name]), loads[name]))
    emptiest = min(hosts, key=lambda name: (len(held[name]), loads[name]))
    surplus = len(held[fullest]) - len(held[emptiest])
    if surplus >= 2 or (surplus == 1 and loads[fullest] - loads[emptiest] > 1):
        return {_best_to_move(world, held[fullest], fullest, emptiest): emptiest}
    return None


def _best_to_move(world: World, vips: list[Vip], source: str, target: str) -> Vip:
    """Return one that does not go back where it comes from (rule 10.30), and rather one that is not bound yet."""
    coming, bound = world.hosts[target].agent.may_hold, world.hosts[source].agent.may_hold
    return min(vips, key=lambda vip: (vip in coming, vip in bound))
