"""The command move_role: planned, forced, or only rehearsed (rules 5, 10.10, 11.7)."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from mmm.config.model import Role, Vip
from mmm.monitor.command.asking import Asking, LookAt, Moment, answering
from mmm.monitor.command.command_result import Awaited, Result, cannot_hold
from mmm.monitor.command.dry_run import rehearsed
from mmm.monitor.command.preflight import Looked, objections
from mmm.monitor.command.texts import ByCommand, Verdict
from mmm.monitor.decide import roles
from mmm.monitor.decide.move import phases
from mmm.monitor.states import table
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Phase
from mmm.monitor.world.said import Said
from mmm.monitor.world.warnings import Warned
from mmm.monitor.world.world import Mode, World

FORCE, DRY_RUN = "--force", "--dry-run"
FLAGS = frozenset({FORCE, DRY_RUN})


@dataclass(frozen=True, slots=True)
class Ordered:
    """What the admin wants: the role on `host`."""

    host: str
    flags: frozenset[str]


def run(world: World, now: float, role: Role, ordered: Ordered) -> Asking[Result]:
    """Move a role of the conf to a host of it, or say what that would do."""
    if role.mode == "balanced" and FORCE not in ordered.flags:
        found = _Found(world, now, _spread_again(world, role, ordered.host))
    elif FORCE in ordered.flags:
        found = yield from _force(world, now, role, ordered.host)
    else:
        found = yield from _move(world, now, role, ordered.host)
    result = found.result
    if DRY_RUN not in ordered.flags or result.answer.code == "no_agent":
        return result
    lines = rehearsed(found.world, result, role, ordered.host, found.looked, found.now)
    return Result(found.world, _rehearsal(result, role, ordered.host, lines))


def _rehearsal(result: Result, role: Role, host: str, lines: tuple[str, ...]) -> Verdict:
    if lines:
        return Verdict("dry_run", {"role": role.name, "host": host, "lines": lines})
    code = "dry_run_idle" if result.answer.ok else "dry_run_refused"
    return Verdict(code, {"answer": result.answer})


class _Found(NamedTuple):
    """What a move comes to, in the world that it was decided in, with what was looked at for it."""

    world: World
    now: float
    result: Result
    looked: Looked | None = None


def _move(world: World, now: float, role: Role, host: str) -> Asking[_Found]:
    at = yield from answering(world, now, host, lambda world, _: _not_to_be_moved(world, role, host))
    if isinstance(at, Result):
        return _Found(at.world, now, at)
    if refused := _not_now(at.world, role):
        return _Found(*at, refused)
    looked = None
    if _master(at.world, role):
        heard = yield _to_look_at(at.world, role, host)
        at, looked = Moment(heard.world, heard.now), heard.looked
        if refused := _not_to_be_moved(at.world, role, host) or _not_now(at.world, role):
            return _Found(*at, refused, looked)
        if against := objections(at.world, role.vips[0], host, looked, at.now):
            about = {"role": role.name, "host": host, "against": against}
            return _Found(*at, Result(at.world, Verdict("objections", about)), looked)
    return _Found(*at, _moved(_answering(at.world, host), role.vips[0], host), looked)


def _to_look_at(world: World, role: Role, host: str) -> LookAt:
    source = world.owner[role.vips[0]]
    return LookAt(None if source == host else source, host)


def _not_to_be_moved(world: World, role: Role, host: str) -> Result | None:
    """Return the answer where the host cannot have the role, or has it, whatever its agent says.

    The mode may have changed since the command came.
    """
    state, vip = world.hosts[host].state, role.vips[0]
    if world.mode is Mode.PASSIVE:
        return Result(world, Verdict("passive"))
    if state is not State.ONLINE:
        return Result(world, Verdict("not_online", {"host": host, "state": state}))
    if refused := cannot_hold(world, role, host):
        return refused
    return _already(world, vip, host) if world.owner[vip] == host else None


def _not_now(world: World, role: Role) -> Result | None:
    """Return the refusal where the role is not to leave its host, or is on its way already."""
    vip, move = role.vips[0], world.move
    source = world.owner[vip]
    if world.mode is Mode.ACTIVE and source is not None and source == role.prefer:
        return Result(world, Verdict("preferred", {"role": role.name, "source": source}))
    if move is None or move.vip != vip or move.phase is Phase.RETURNING:
        return None
    if any(world.hosts[name].agent.unreachable for name in (move.source, move.target)):
        return None
    about = {"role": role.name, "source": move.source, "target": move.target}
    return Result(world, Verdict("under_way", about))


def _force(world: World, now: float, role: Role, host: str) -> Asking[_Found]:
    looked: Looked | None = None

    def refusal(world: World, now: float) -> Result | None:
        return _not_to_be_forced(world, now, role, host, looked)

    refused = refusal(world, now)
    first = refused is not None and _may_be_held_up(world, role, host)
    if first:
        heard = yield _to_look_at(world, role, host)
        world, now, looked = heard.world, heard.now, heard.looked
        refused = refusal(world, now)
    if refused:
        return _Found(world, now, refused, looked)
    at = yield from answering(world, now, host, refusal)
    if isinstance(at, Result):
        return _Found(at.world, now, at, looked)
    if not first:
        heard = yield _to_look_at(at.world, role, host)
        at, looked = Moment(heard.world, heard.now), heard.looked
        if refused := refusal(*at):
            return _Found(*at, refused, looked)
    return _Found(*at, _forced(*at, role, host, _against(*at, role, host, looked)), looked)


def _may_be_held_up(world: World, role: Role, host: str) -> bool:
    """Tell whether only a look at the old holder's clients may speak against a move to the host."""
    online = world.hosts[host].state is State.ONLINE
    return _master(world, role) and online and host in role.hosts and world.owner[role.vips[0]] != host


def _not_to_be_forced(
    world: World, now: float, role: Role, host: str, looked: Looked | None
) -> Result | None:
    """Return the answer where the role cannot be forced to the host, has no need to be, or is there."""
    vip = role.vips[0]
    if world.mode is Mode.PASSIVE:
        return Result(world, Verdict("passive"))
    if not _master(world, role):
        return Result(world, Verdict("only_the_writer", {"role": world.conf.active_master_role}))
    stuck = _stuck(world, vip, host)
    needed = stuck or bool(_against(world, now, role, host, looked))
    if not _broken(world, host) and not (world.hosts[host].state is State.ONLINE and needed):
        return _cannot_force(world, role, host)
    if refused := cannot_hold(world, role, host):
        return refused
    return _already(world, vip, host) if world.owner[vip] == host and not stuck else None


def _against(
    world: World, now: float, role: Role, host: str, looked: Looked | None
) -> tuple[Said | Warned, ...]:
    vip = role.vips[0]
    return () if world.owner[vip] == host else objections(world, vip, host, looked, now)


def _broken(world: World, host: str) -> bool:
    return world.hosts[host].state in (State.REPLICATION_FAIL, State.REPLICATION_DELAY)


def _stuck(world: World, vip: Vip, host: str) -> bool:
    """Tell whether the VIP is the host's and its agent has not confirmed that it has it."""
    told = world.hosts[host].agent.told
    return world.owner[vip] == host and (told is None or vip not in told.vips)


def _cannot_force(world: World, role: Role, host: str) -> Result:
    state = world.hosts[host].state
    about = {"role": role.name, "host": host, "state": state, "online": state is State.ONLINE}
    return Result(world, Verdict("cannot_force", about))


def _forced(world: World, now: float, role: Role, host: str, against: tuple[Said | Warned, ...]) -> Result:
    vip = role.vips[0]
    source = world.owner[vip]
    broken = _broken(world, host)
    world = _answering(world, host)
    if broken:
        world = table.enter(world, host, State.ONLINE, ByCommand("forced", {"writes": True}), now)
    if source not in (None, host):
        world = _set_apart(world, source, now)
        world = world.kill_unless_told(source)
    elif world.last_writer not in (None, host):
        world = _set_apart(world, world.last_writer, now)
    world = replace(world.with_owner({vip: host}), move=None, forced=host)
    world = world.with_agent(host, world.hosts[host].agent.due())
    return _answer(world, vip, None if source == host else source, host, against)


def _already(world: World, vip: Vip, host: str) -> Result:
    """Return the answer where the role is the host's already: once that is confirmed, if it is on its way."""
    done, move = Verdict("already_there", {"host": host}), world.move
    moving = move is not None and (move.vip, move.goal) == (vip, host)
    return Result(world, done, Awaited(host, done, vip) if moving else None)


def _master(world: World, role: Role) -> bool:
    return role.name == world.conf.active_master_role


def _answering(world: World, host: str) -> World:
    """Return the world that knows what the answer to PING has shown: else the role would be taken back at once."""
    return world.with_agent(host, world.hosts[host].agent.reached())


def _moved(world: World, vip: Vip, host: str) -> Result:
    source = world.owner[vip]
    if source is None:
        return _answer(world.with_owner({vip: host}), vip, source, host)
    return _answer(phases.begin(world, vip, source, host), vip, source, host)


def _answer(
    world: World, vip: Vip, source: str | None, host: str, against: tuple[Said | Warned, ...] = ()
) -> Result:
    about = {"role": vip.role, "source": source, "host": host, "against": against}
    done = Verdict("moved", about)
    return Result(world, done, Awaited(host, done, vip, source))


def _set_apart(world: World, name: str, now: float) -> World:
    """Return the world in which who wrote before a forced move is not in use until it is compared.

    It may have what the new active master could not apply, and is not to get among newer transactions. The old owner is
    judged by its own replication too.
    """
    host = world.hosts[name]
    good = host.good("rep_threads", "rep_backlog")
    if host.state is State.ONLINE or (not good and name in world.owner.values()):
        broken = State.REPLICATION_DELAY if host.good("rep_threads") else State.REPLICATION_FAIL
        state = State.AWAITING_RECOVERY if good else broken
        world = table.enter(world, name, state, ByCommand("forced", {"writes": False}), now)
        world = world.without_roles(name) if world.mode is Mode.ACTIVE else world
    return world.with_host(name, replace(world.hosts[name], lost=True))


def _spread_again(world: World, role: Role, host: str) -> Result:
    held = [vip for vip in role.vips if world.owner[vip] == host]
    if not held:
        return Result(world, Verdict("has_none", {"host": host, "role": role.name}))
    after = roles.move_away(world, role, host)
    level = roles.level(after)
    goes = tuple((vip.ip, after.owner[vip]) for vip in held)
    got = tuple(vip.ip for vip in role.vips if level.owner[vip] == host)
    return Result(after, Verdict("spread", {"role": role.name, "host": host, "goes": goes, "got": got}))
