"""What the admin orders through mmm_control, and what is answered (rule 5).

A command is carried out in two steps, both pure: `agent_to_ping` names the agent that has to answer first,
`run` does the rest. What takes effect only when agents confirm it says what it awaits; `results.outcome` tells when
that is there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mmm.config.model import Role
from mmm.monitor.assess import other_monitor, promotion, trap
from mmm.monitor.command import confirm_dead, move_role, preflight
from mmm.monitor.command.command_result import (
    Awaited,
    Result,
    cannot_hold,
    error,
    no_agent,
    ok,
)
from mmm.monitor.command.move_role import Ordered
from mmm.monitor.command.preflight import Hosts, Looked
from mmm.monitor.decide import failover_block
from mmm.monitor.decide.turn import become_active
from mmm.monitor.decide.vacancy import unfit
from mmm.monitor.states import table
from mmm.monitor.states.host_view import View
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.world import Mode, World

_REPLICATION = frozenset({"rep_threads", "rep_backlog"})


def changes(world: World, words: Sequence[str]) -> bool:
    """Tell whether this is a command that changes something."""
    return run(world, words, 0.0, pinged=False) is not None and "--dry-run" not in words


def agent_to_ping(world: World, words: Sequence[str]) -> str | None:
    """Return the host whose agent must answer PING before the command is run, None when none has to."""
    host = words[-1] if words else ""
    if host not in world.hosts:
        return None
    result = run(world, words, 0.0, pinged=False)
    return host if result is not None and result.text == no_agent(world, host).text else None


def to_look_at(world: World, words: Sequence[str]) -> Hosts | None:
    """Return the hosts to look at anew before the command is run, None when there are none."""
    match list(words):
        case ["move_role", *flags, role, host] if set(flags) <= move_role.FLAGS and host in world.hosts:
            return preflight.to_look_at(world, role, host)
        case _:
            return None


def to_look_for_life(world: World, words: Sequence[str]) -> str | None:
    """Return the host of which nothing may answer if the command is to be run, None when there is none."""
    match list(words):
        case ["confirm_dead", host, *_] if host in world.hosts:
            return host
        case _:
            return None


def run(
    world: World,
    words: Sequence[str],
    now: float,
    *,
    pinged: bool,
    looked: Looked | None = None,
    life: str = "",
) -> Result | None:
    """Return what the command does, None when it is none of those that change something.

    `looked` is what was found for a move of the active master role, see `to_look_at`; `life` says what answers of the
    host of `to_look_for_life`.
    """
    match list(words):
        case ["set_online", host]:
            return _on_host(world, host, lambda: _set_online(world, host, now, pinged=pinged))
        case ["set_online", "--force", host]:
            return _on_host(world, host, lambda: _set_online(world, host, now, pinged=pinged, force=True))
        case ["set_offline", host]:
            return _on_host(world, host, lambda: _set_offline(world, host, now, pinged=pinged))
        case ["move_role", *flags, role, host] if set(flags) <= move_role.FLAGS:
            ordered = Ordered(host, frozenset(flags), pinged, looked)
            return _on_role(world, role, host, lambda found: move_role.run(world, found, ordered, now))
        case ["confirm_dead", host] | ["confirm_dead", host, _]:
            who = words[2] if len(words) > 2 else ""
            return _on_host(world, host, lambda: confirm_dead.run(world, host, who, life))
        case ["set_ip", ip, host]:
            return _set_ip(world, ip, host)
        case ["set_active"] | ["failover_method", "auto"]:
            return _set_mode(world, Mode.ACTIVE)
        case ["set_manual"] | ["failover_method", "manual"]:
            return _set_mode(world, Mode.MANUAL)
        case ["failover_method", "wait"]:
            return _set_mode(world, Mode.WAIT)
        case ["set_passive"]:
            return _set_mode(world, Mode.PASSIVE)
        case ["failover_method", method]:
            return error(world, f"Unknown method '{method}': use auto, wait or manual.")
        case _:
            return None


def _on_host(world: World, host: str, do: Callable[[], Result]) -> Result:
    if host not in world.hosts:
        return error(world, f"Unknown host name '{host}'! Known are {', '.join(world.hosts)}.")
    return do()


def _on_role(world: World, role: str, host: str, do: Callable[[Role], Result]) -> Result:
    if world.mode is Mode.PASSIVE:
        return error(world, "Not possible in passive mode: use set_ip, or set_active first.")
    found = world.conf.roles.get(role)
    if found is None:
        return error(world, f"Unknown role name '{role}'! Known are {', '.join(world.conf.roles)}.")
    return _on_host(world, host, lambda: do(found))


def _set_online(world: World, host: str, now: float, *, pinged: bool, force: bool = False) -> Result:
    known = world.hosts[host]
    can_be_master = world.can_be_active_master(host)
    if known.state is State.ONLINE:
        if can_be_master and failover_block.blocked(world):
            return ok(
                failover_block.unblocked(world),
                f"'{host}' is already ONLINE. Failover is not blocked any more.",
            )
        return ok(world, "This host is already ONLINE. Skipping command.")
    if known.state not in (State.ADMIN_OFFLINE, State.AWAITING_RECOVERY):
        return error(
            world, f"Host '{host}' is {known.state}: {known.sentence}. It can't be switched to ONLINE."
        )
    if world.is_dead(host):
        return error(
            world, f"Checks 'ping' and 'mysql' must be ok for host '{host}': see 'mmm_control checks {host}'."
        )
    peer = world.peer(host)
    if peer is not None and peer != host:
        other = world.hosts[peer]
        needed = world.active_master is None and promotion.lacks(world, peer)
        if other.state is State.ONLINE and not other.good("rep_threads", "rep_backlog") and not needed:
            return error(
                world,
                f"The replication checks of its peer '{peer}' must be ok: see 'mmm_control checks {peer}'.",
            )
    view = View(world, host, now)
    if view.unshared is not None and not force:
        return error(world, f"Host '{host}' stays {known.state}: {view.unshared_sentence}.")
    if view.being_compared and known.lost and not force:
        return error(
            world,
            f"Host '{host}' stays {known.state}: {view.comparing_sentence}. Try again in a moment; --force takes it"
            " uncompared.",
        )
    if not force and _replication_stays_stopped(world, host):
        why = known.checks["rep_threads"].message.removeprefix("ERROR: ")
        return error(
            world,
            f"Replication of '{host}' does not run: {why}. Start it there (START SLAVE), or use --force.",
        )
    if not pinged:
        return no_agent(world, host)
    world = failover_block.unblocked(world) if can_be_master else world
    if known.state is State.ADMIN_OFFLINE:
        world = world.with_host(host, replace(world.hosts[host], checks=_stopped_by_order(known, now)))
    world = table.enter(world, host, State.ONLINE, "set_online", "set online by the admin", now)
    world = world.with_host(
        host, replace(world.hosts[host], flapping=False, flap_start=None, flap_count=0, skipped_at="")
    )
    done = f"State of '{host}' changed to ONLINE. Now you can wait some time and check its new roles!"
    return _when_confirmed(world, host, done)


def _replication_stays_stopped(world: World, name: str) -> bool:
    """Tell whether the host would be used with old data: an agent without leases does not start its replication."""
    host = world.hosts[name]
    if host.state is not State.AWAITING_RECOVERY or world.active_master in (None, name):
        return False
    threads = host.checks["rep_threads"]
    return host.agent.classic and threads.error_since is not None and host.connecting_since is None


def _stopped_by_order(host: HostWorld, now: float) -> Mapping[str, CheckStatus]:
    """Return the checks of a host that leaves ADMIN_OFFLINE: what failed in it was stopped by order."""
    return {
        name: trap.excused(check, now) if name in _REPLICATION and check.changed >= host.since else check
        for name, check in host.checks.items()
    }


def _set_offline(world: World, host: str, now: float, *, pinged: bool) -> Result:
    state = world.hosts[host].state
    if state is State.ADMIN_OFFLINE:
        return ok(world, "This host is already ADMIN_OFFLINE. Skipping command.")
    if state not in (State.ONLINE, State.REPLICATION_FAIL, State.REPLICATION_DELAY):
        return error(
            world,
            f"Host '{host}' is {state}: only a host that is ONLINE or REPLICATION_* can be set offline.",
        )
    if not pinged:
        return no_agent(world, host)
    world = table.enter(world, host, State.ADMIN_OFFLINE, "set_offline", "set offline by the admin", now)
    was_writer = world.active_master == host
    world = world.without_roles(host)
    alone = _nobody_writes(world) if was_writer else ""
    done = (
        f"State of '{host}' changed to ADMIN_OFFLINE. {alone}Now you can wait some time and check all roles!"
    )
    return _when_confirmed(world, host, done)


def _nobody_writes(world: World) -> str:
    """Return the sentence that says that no host can take the active master role now; empty where one can."""
    role = world.conf.roles[world.conf.active_master_role]
    if world.mode is Mode.PASSIVE or promotion.eligible(world, role):
        return ""
    return f"No other host can take {role.name}, so nobody takes writes now: {unfit(world, role)}. "


def _when_confirmed(world: World, host: str, done: str) -> Result:
    """Return the answer that comes once the host's agent has done it: in passive mode at once, for nothing is sent."""
    if world.mode is Mode.PASSIVE:
        return Result(world, f"OK: {done} It is sent when the mode changes.")
    return Result(world, f"OK: {done}", Awaited(host, done))


def _set_ip(world: World, ip: str, host: str) -> Result:
    if world.mode is not Mode.PASSIVE:
        return error(world, "This command is only allowed in passive mode: set_passive first.")
    vip = next((vip for vip in world.owner if vip.ip == ip), None)
    if host not in world.hosts:
        return error(world, f"Unknown host name '{host}'! Known are {', '.join(world.hosts)}.")
    if vip is None:
        return error(
            world, f"Unknown IP address '{ip}'! Known are {', '.join(vip.ip for vip in world.owner)}."
        )
    state = world.hosts[host].state
    if state is not State.ONLINE:
        return error(world, f"Can't assign role to host '{host}': it is {state}.")
    refused = cannot_hold(world, world.conf.roles[vip.role], host)
    if refused:
        return refused
    return ok(
        world.with_owner({vip: host}), f"Set role '{vip}' to host '{host}'. It is sent when the mode changes."
    )


def _set_mode(world: World, mode: Mode) -> Result:
    name = mode.lower()
    if world.mode is mode:
        return ok(world, f"Already in {name} mode.")
    if world.mode is Mode.PASSIVE:
        world = _tell_everybody(replace(other_monitor.forgotten(world), passive_cause=""))
    if mode is Mode.ACTIVE:
        world = become_active(world)
    if mode is Mode.PASSIVE:
        world = replace(world, passive_cause="Admin switched to passive mode.", move=None)
    return ok(replace(world, mode=mode), f"Switched into {name} mode.")


def _tell_everybody(world: World) -> World:
    """Return the world in which every agent is owed its status and CLEAR_BAD_ROLES."""
    for name in world.hosts:
        world = world.with_agent(
            name, replace(world.hosts[name].agent, clear=True, refused=None, last_order=None)
        )
    return world
