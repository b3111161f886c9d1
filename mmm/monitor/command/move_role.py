"""The command move_role: planned, forced, or only rehearsed (rules 5, 10.10, 11.7)."""

from dataclasses import dataclass, replace

from mmm.config.model import Role, Vip
from mmm.monitor.command.command_result import (
    CHECK_ROLES,
    Awaited,
    Result,
    cannot_hold,
    error,
    no_agent,
    ok,
)
from mmm.monitor.command.dry_run import rehearsed
from mmm.monitor.command.preflight import Looked, objections
from mmm.monitor.decide import roles
from mmm.monitor.decide.move import phases
from mmm.monitor.states import table
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Phase
from mmm.monitor.world.world import Mode, World

FORCE, DRY_RUN = "--force", "--dry-run"
FLAGS = frozenset({FORCE, DRY_RUN})


@dataclass(frozen=True, slots=True)
class Ordered:
    """What the admin wants: the role on `host`. `pinged`: its agent has answered PING."""

    host: str
    flags: frozenset[str]
    pinged: bool
    looked: Looked | None = None


def run(world: World, role: Role, ordered: Ordered, now: float) -> Result:
    """Return what the command does to a role of the conf."""
    if role.mode == "balanced" and FORCE not in ordered.flags:
        result = _spread_again(world, role, ordered.host)
    elif FORCE in ordered.flags:
        result = _force(world, role, ordered, now)
    else:
        result = _move(world, role, ordered, now)
    if DRY_RUN not in ordered.flags or result.text == no_agent(world, ordered.host).text:
        return result
    return Result(world, rehearsed(world, result, role, ordered.host, ordered.looked, now))


def _move(world: World, role: Role, ordered: Ordered, now: float) -> Result:
    host, vip = ordered.host, role.vips[0]
    state, source = world.hosts[host].state, world.owner[vip]
    if state is not State.ONLINE:
        return error(world, f"Can't move role to host '{host}': it is {state}.")
    refused = cannot_hold(world, role, host)
    if refused:
        return refused
    if source == host:
        return _already(world, vip, host)
    if not ordered.pinged:
        return no_agent(world, host)
    if world.mode is Mode.ACTIVE and source is not None and source == role.prefer:
        return error(
            world,
            f"Role '{role.name}' is on its preferred host '{source}': set_manual first to move it away.",
        )
    if under_way := _under_way(world, vip):
        return error(world, under_way)
    against = objections(world, vip, host, ordered.looked, now) if _master(world, role) else ()
    if against:
        return error(
            world,
            f"{role.name} is not moved to {host}: {'; '.join(against)}. 'move_role --force' moves it all the same.",
        )
    return _moved(_answering(world, host), vip, source, host)


def _force(world: World, role: Role, ordered: Ordered, now: float) -> Result:
    host, vip = ordered.host, role.vips[0]
    if not _master(world, role):
        return error(world, f"--force is for the active master role '{world.conf.active_master_role}' only.")
    source, state = world.owner[vip], world.hosts[host].state
    against = objections(world, vip, host, ordered.looked, now) if source != host else ()
    broken = state in (State.REPLICATION_FAIL, State.REPLICATION_DELAY)
    stuck = source == host and vip not in _held(world, host)
    if not broken and (state is not State.ONLINE or not (against or stuck)):
        why = _no_force(role, host) if state is State.ONLINE else "it has to answer first"
        return error(
            world,
            f"Can't force role to host '{host}': it is {state}, not REPLICATION_FAIL or REPLICATION_DELAY; {why}.",
        )
    refused = cannot_hold(world, role, host)
    if refused:
        return refused
    if source == host and not stuck:
        return _already(world, vip, host)
    if not ordered.pinged:
        return no_agent(world, host)
    world = _answering(world, host)
    if broken:
        sentence = "made active master by 'move_role --force'"
        world = table.enter(world, host, State.ONLINE, "forced", sentence, now)
    if source not in (None, host):
        world = _set_apart(world, source, now)
        world = world.with_agent(source, replace(world.hosts[source].agent, kill_unless_told=True))
    elif world.last_writer not in (None, host):
        world = _set_apart(world, world.last_writer, now)
    world = replace(world.with_owner({vip: host}), move=None, forced=host)
    world = world.with_agent(host, replace(world.hosts[host].agent, last_order=None))
    warning = f" Forced in spite of: {'; '.join(against)}." if against else ""
    return _answer(world, vip, None if source == host else source, host, warning)


def _already(world: World, vip: Vip, host: str) -> Result:
    """Return the answer where the role is the host's already: once that is confirmed, if it is on its way."""
    done = f"Role is already on '{host}'. Skipping command."
    move = world.move
    moving = move is not None and (move.vip, move.goal) == (vip, host)
    return Result(world, f"OK: {done}", Awaited(host, done, vip) if moving else None)


def _no_force(role: Role, host: str) -> str:
    return f"nothing speaks against 'move_role {role.name} {host}'"


def _master(world: World, role: Role) -> bool:
    return role.name == world.conf.active_master_role


def _held(world: World, host: str) -> tuple[Vip, ...]:
    told = world.hosts[host].agent.told
    return () if told is None else told.vips


def _under_way(world: World, vip: Vip) -> str:
    move = world.move
    if move is None or move.vip != vip or move.phase is Phase.RETURNING:
        return ""
    if any(world.hosts[name].agent.unreachable for name in (move.source, move.target)):
        return ""
    return f"{vip.role} is being moved from {move.source} to {move.target} at the moment. Wait for the end of that."


def _answering(world: World, host: str) -> World:
    """Return the world that knows what the answer to PING has shown: else the role would be taken back at once."""
    return (
        world.with_agent(host, replace(world.hosts[host].agent, unreachable=False))
        if world.hosts[host].agent.unreachable
        else world
    )


def _moved(world: World, vip: Vip, source: str | None, host: str) -> Result:
    if source is None:
        return _answer(world.with_owner({vip: host}), vip, source, host)
    return _answer(phases.begin(world, vip, source, host), vip, source, host)


def _answer(world: World, vip: Vip, source: str | None, host: str, warning: str = "") -> Result:
    left = f" from '{source}'" if source else ""
    done = f"Role '{vip.role}' has been moved{left} to '{host}'. {CHECK_ROLES}{warning}"
    return Result(world, f"OK: {done}", Awaited(host, done, vip, source))


def _set_apart(world: World, name: str, now: float) -> World:
    """Return the world in which who wrote before a forced move is not in use until it is compared.

    It may have what the new active master could not apply, and that one is not to get it among newer transactions. The
    old owner is judged by its own replication too.
    """
    host = world.hosts[name]
    good = host.good("rep_threads", "rep_backlog")
    if host.state is State.ONLINE or (not good and name in world.owner.values()):
        broken = State.REPLICATION_DELAY if host.good("rep_threads") else State.REPLICATION_FAIL
        state = State.AWAITING_RECOVERY if good else broken
        sentence = "lost the active master role by 'move_role --force'"
        world = table.enter(world, name, state, "forced", sentence, now)
        world = world.without_roles(name) if world.mode is Mode.ACTIVE else world
    return world.with_host(name, replace(world.hosts[name], lost=True))


def _spread_again(world: World, role: Role, host: str) -> Result:
    held = [vip for vip in role.vips if world.owner[vip] == host]
    if not held:
        return ok(world, f"Host '{host}' has no role '{role.name}'. Nothing to move.")
    after = roles.move_away(world, role, host)
    where = ", ".join(f"{vip.ip} goes to {after.owner[vip] or 'nobody yet'}" for vip in held)
    text = f"Balanced role '{role.name}' has been removed from host '{host}'. {where}. "
    return ok(after, f"{text}{_in_exchange(after, role, host)}{CHECK_ROLES}")


def _in_exchange(world: World, role: Role, host: str) -> str:
    """Return what the host gets of the role when it is spread evenly again, and how to keep it free; empty: nothing."""
    level = roles.level(world)
    got = [vip.ip for vip in role.vips if level.owner[vip] == host]
    if not got:
        return ""
    return (
        f"'{host}' gets {', '.join(got)} in exchange, for the role is spread evenly over the hosts that are ONLINE;"
        f" 'mmm_control set_offline {host}' keeps all roles away from it. "
    )
