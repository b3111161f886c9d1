"""What the admin orders through mmm_control, and what is answered (rule 5).

`ordered` makes a command of its words; the command asks for what it has to know, see `mmm.monitor.command.asking`.
What takes effect only when agents confirm it says what it awaits; `command_result.outcome` tells when that is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mmm.config.model import Role
from mmm.monitor.assess import other_monitor
from mmm.monitor.command import confirm_dead, in_use, leading, left_out, move_role, rejoin, reload
from mmm.monitor.command.asking import Asking, Command, MoveEnds
from mmm.monitor.command.command_result import Result, cannot_hold
from mmm.monitor.command.texts import Verdict, unknown_host
from mmm.monitor.decide.turn import become_active
from mmm.monitor.world.host import State
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.world import Mode, World

_MODES = {
    ("set_active",): Mode.ACTIVE,
    ("failover_method", "auto"): Mode.ACTIVE,
    ("set_manual",): Mode.MANUAL,
    ("failover_method", "manual"): Mode.MANUAL,
    ("failover_method", "wait"): Mode.WAIT,
    ("set_passive",): Mode.PASSIVE,
}


def changes(words: Sequence[str]) -> bool:
    """Tell whether this is a command that changes something."""
    asks = tuple(words[:1]) == ("move_role",) and move_role.DRY_RUN in words
    return ordered(words) is not None and not asks


def ordered(words: Sequence[str]) -> Command | None:
    """Return the command that these words give, None when it is none of those that change something."""
    if (command := _of_no_host(tuple(words))) is not None:
        return command
    match list(words):
        case ["set_online", host]:
            return _on_host(host, lambda world, now: in_use.set_online(world, now, host))
        case ["set_online", "--force", host]:
            return _on_host(host, lambda world, now: in_use.set_online(world, now, host, force=True))
        case ["set_offline", host]:
            return _on_host(host, lambda world, now: in_use.set_offline(world, now, host))
        case ["move_role", *flags, role, host] if set(flags) <= move_role.FLAGS:
            wanted = move_role.Ordered(host, frozenset(flags))
            return _on_role(role, host, lambda world, now, found: move_role.run(world, now, found, wanted))
        case ["exclude_role", role, host]:
            return _on_role(
                role, host, lambda world, _, found: _at_once(left_out.exclude(world, found, host))
            )
        case ["include_role", role, host]:
            return _on_role(
                role, host, lambda world, _, found: _at_once(left_out.include(world, found, host))
            )
        case ["rejoin", *args] if (order := rejoin.ordered(args)) is not None:
            return _on_host(order.host, lambda world, _: rejoin.run(world, order))
        case ["confirm_dead", host, *who] if len(who) < 2:
            return _on_host(host, lambda world, _: confirm_dead.run(world, host, *who))
        case ["set_ip", ip, host]:
            return lambda world, _: _at_once(_set_ip(world, ip, host))
        case ["failover_method", method]:
            return lambda world, _: _at_once(Result(world, Verdict("unknown_method", {"method": method})))
        case _:
            about = leading.ordered(words)
            return None if about is None else lambda world, now: _at_once(about(world, now))


def _of_no_host(words: tuple[str, ...]) -> Command | None:
    if (mode := _MODES.get(words)) is not None:
        return lambda world, _: _in_mode(world, mode)
    return reload.COMMANDS.get(words)


def _at_once(result: Result) -> Asking[Result]:
    yield from ()
    return result


def _on_host(host: str, command: Command) -> Command:
    def run(world: World, now: float) -> Asking[Result]:
        if host not in world.hosts:
            return _at_once(_unknown_host(world, host))
        return command(world, now)

    return run


def _on_role(role: str, host: str, command: Callable[[World, float, Role], Asking[Result]]) -> Command:
    def run(world: World, now: float) -> Asking[Result]:
        if world.mode is Mode.PASSIVE:
            return _at_once(Result(world, Verdict("passive")))
        found = world.conf.roles.get(role)
        if found is None:
            known = tuple(world.conf.roles)
            return _at_once(Result(world, Verdict("unknown_role", {"role": role, "known": known})))
        return _on_host(host, lambda world, now: command(world, now, found))(world, now)

    return run


def _unknown_host(world: World, host: str) -> Result:
    return Result(world, unknown_host(world, host))


def _set_ip(world: World, ip: str, host: str) -> Result:
    if world.mode is not Mode.PASSIVE:
        return Result(world, Verdict("not_passive"))
    vip = next((vip for vip in world.owner if vip.ip == ip), None)
    if host not in world.hosts:
        return _unknown_host(world, host)
    if vip is None:
        known = tuple(vip.ip for vip in world.owner)
        return Result(world, Verdict("unknown_ip", {"ip": ip, "known": known}))
    state = world.hosts[host].state
    if state is not State.ONLINE:
        return Result(world, Verdict("cannot_assign", {"host": host, "state": state}))
    if refused := cannot_hold(world, world.conf.roles[vip.role], host):
        return refused
    return Result(world.with_owner({vip: host}), Verdict("ip_set", {"vip": vip, "host": host}))


def _in_mode(world: World, mode: Mode) -> Asking[Result]:
    """Switch into a mode. Passive mode waits for the end of a move (rule 11.7): nobody is told anything in it.

    Half of one would leave nobody to write, for as long as that mode lasts.
    """
    if mode is Mode.PASSIVE and world.moves_by_order:
        world = (yield MoveEnds()).world
    return _set_mode(world, mode)


def _set_mode(world: World, mode: Mode) -> Result:
    """Return the world in that mode; wait mode is a mode like any other (rule 10.34)."""
    said = {"mode": mode.lower()}
    if world.mode is mode:
        return Result(world, Verdict("same_mode", said))
    if world.mode is Mode.PASSIVE:
        world = _tell_everybody(replace(other_monitor.forgotten(world), passive_cause=None))
    if mode is Mode.ACTIVE:
        world = become_active(world)
    done = Verdict("mode", said)
    if mode is Mode.PASSIVE:
        done = _amid(world, said) if world.moves_by_order else done
        world = replace(world, passive_cause=PassiveCause("by_admin"), move=None)
    return Result(replace(world, mode=mode), done)


def _amid(world: World, said: dict[str, str]) -> Verdict:
    move = world.move
    if move is None:
        about = {"role": world.conf.active_master_role, "host": world.forced}
        return Verdict("mode_amid_forced", {**said, **about})
    return Verdict("mode_amid_move", {**said, "vip": move.vip, "source": move.source, "target": move.target})


def _tell_everybody(world: World) -> World:
    """Return the world in which every agent is owed its status and CLEAR_BAD_ROLES."""
    for name in world.hosts:
        link = world.hosts[name].agent.due()
        failure = None if link.failure is None else replace(link.failure, status=None)
        world = world.with_agent(name, replace(link, clear=True, failure=failure))
    return world
