"""The commands set_online and set_offline (rule 5)."""

from collections.abc import Mapping
from dataclasses import replace

from mmm.monitor.assess import promotion, trap
from mmm.monitor.command.asking import Asking, answering
from mmm.monitor.command.command_result import Awaited, Result
from mmm.monitor.command.texts import ByCommand, Verdict
from mmm.monitor.decide import failover_block
from mmm.monitor.decide.vacancy import unfit
from mmm.monitor.states import table
from mmm.monitor.states.host_view import View
from mmm.monitor.world.checks import SOURCE_LACKS_LOG, CheckStatus
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.move import Unfit
from mmm.monitor.world.rebuilt import rebuilt
from mmm.monitor.world.world import Mode, World

_REPLICATION = frozenset({"rep_threads", "rep_backlog"})


def set_online(world: World, now: float, host: str, *, force: bool = False) -> Asking[Result]:
    """Take a host of the conf into use again."""

    def refused(world: World, now: float) -> Result | None:
        if world.hosts[host].state is State.ONLINE:
            return _already_online(world, host)
        answer = refusal(world, now, host, force=force)
        return None if answer is None else Result(world, answer)

    at = yield from answering(world, now, host, refused)
    return at if isinstance(at, Result) else _online(at.world, at.now, host)


def _already_online(world: World, host: str) -> Result:
    if world.can_be_active_master(host) and failover_block.blocked(world):
        return Result(failover_block.unblocked(world), Verdict("unblocked", {"host": host}))
    return Result(world, Verdict("already_online"))


def refusal(world: World, now: float, host: str, *, force: bool = False) -> Verdict | None:
    """Return why a host that is not ONLINE cannot be set online, whatever its agent says; None where it can."""
    known = world.hosts[host]
    about = {"host": host, "state": known.state}
    if known.job is not None:
        return Verdict("being_rebuilt", {"host": host, "why": rebuilt(host, known.job)})
    if known.state not in (State.ADMIN_OFFLINE, State.AWAITING_RECOVERY):
        return Verdict("not_switchable", {**about, "why": known.why})
    if world.is_dead(host):
        return Verdict("checks_failed", {"host": host})
    if (peer := _failed_peer(world, host)) is not None:
        return Verdict("peer_failed", {"peer": peer})
    return None if force else _left_apart(View(world, host, now))


def _left_apart(view: View) -> Verdict | None:
    """Return why only `--force` sets the host online."""
    known = view.host
    about = {"host": view.name, "state": known.state}
    if view.unshared is not None:
        return Verdict("extra_transactions", {**about, "why": view.extra})
    if view.being_compared and known.lost:
        return Verdict("not_compared", {**about, "why": view.comparing})
    if _replication_stays_stopped(view.world, view.name):
        why = known.checks["rep_threads"].finding.detail
        return Verdict("not_replicating", {"host": view.name, "why": why})
    return None


def _failed_peer(world: World, host: str) -> str | None:
    """Return the host's peer where that is in use with broken replication, and is not the only one to write."""
    peer = world.peer(host)
    if peer is None or peer == host:
        return None
    other = world.hosts[peer]
    needed = world.active_master is None and promotion.lacks(world, peer)
    broken = other.state is State.ONLINE and not other.good("rep_threads", "rep_backlog")
    return peer if broken and not needed and not _waits_for(world, peer, host) else None


def _waits_for(world: World, master: str, host: str) -> bool:
    """Tell whether the active master's replication has failed because the log of `host` was begun anew, alone.

    Its agent goes on in that log once the host has all that the master has. In ADMIN_OFFLINE it gets none of it: each
    would wait for the other.
    """
    known, here = world.hosts[master], world.conf.hosts[host]
    threads, read = known.checks["rep_threads"], known.progress.transactions
    if world.active_master != master or threads.unknown or threads.cause.code != SOURCE_LACKS_LOG:
        return False
    stopped = {thread for thread, _ in threads.finding.fields.get("stopped", ())}
    place = None if read is None else (read.source_ip, read.source_port)
    return stopped == {"IO"} and place == (here.ip, here.mysql_port)


def _replication_stays_stopped(world: World, name: str) -> bool:
    """Tell whether the host would be used with old data: an agent without leases does not start its replication."""
    host = world.hosts[name]
    if host.state is not State.AWAITING_RECOVERY or world.active_master in (None, name):
        return False
    threads = host.checks["rep_threads"]
    return (
        host.agent.about.classic
        and threads.error_since is not None
        and host.replication.connecting_since is None
    )


def _online(world: World, now: float, host: str) -> Result:
    known = world.hosts[host]
    world = failover_block.unblocked(world) if world.can_be_active_master(host) else world
    if known.state is State.ADMIN_OFFLINE:
        world = world.with_host(host, replace(known, checks=_stopped_by_order(known, now)))
    elif _waits_for_its_start(known):
        world = world.with_host(host, replace(known, checks=_without(known, _REPLICATION, now)))
    world = table.enter(world, host, State.ONLINE, ByCommand("set_online"), now)
    entered = world.hosts[host]
    calm = replace(entered, flaps=None, replication=replace(entered.replication, skipped_at=""))
    return _when_confirmed(world.with_host(host, calm), host, Verdict("set_online", {"host": host}))


def _stopped_by_order(host: HostWorld, now: float) -> Mapping[str, CheckStatus]:
    """Return the checks of a host that leaves ADMIN_OFFLINE: what failed in it was stopped by order.

    A monitor that was started meanwhile has found it so; threads that ended without an error were stopped by somebody.
    """
    since = {name for name, check in host.checks.items() if check.changed >= host.since}
    return _without(host, _REPLICATION if _is_stopped(host) else _REPLICATION & since, now)


def _waits_for_its_start(host: HostWorld) -> bool:
    """Tell whether its threads have met no error, and its agent starts them once it is told that the host is in use.

    That of a host whose server starts none by itself, as with skip_slave_start, does not run before.
    """
    return _is_stopped(host) and not host.agent.about.classic


def _is_stopped(host: HostWorld) -> bool:
    """Tell whether its threads do not run, and have met no error."""
    finding = host.checks["rep_threads"].finding
    ended_by_errors = any(error for _, error in finding.fields.get("stopped", ()))
    return finding.code == "threads_stopped" and not ended_by_errors


def _without(host: HostWorld, names: frozenset[str], now: float) -> Mapping[str, CheckStatus]:
    """Return the host's checks, without the failures of those that are named."""
    return {name: trap.excused(check, now) if name in names else check for name, check in host.checks.items()}


def set_offline(world: World, now: float, host: str) -> Asking[Result]:
    """Take a host of the conf out of use."""
    at = yield from answering(world, now, host, lambda world, _: _not_in_use(world, host))
    return at if isinstance(at, Result) else _offline(at.world, at.now, host)


def _not_in_use(world: World, host: str) -> Result | None:
    """Return the answer where the host cannot be taken out of use, or is out of it; None where it can."""
    state = world.hosts[host].state
    if state in (State.ONLINE, State.REPLICATION_FAIL, State.REPLICATION_DELAY):
        return None
    if state is State.ADMIN_OFFLINE:
        return Result(world, Verdict("already_offline"))
    return Result(world, Verdict("not_in_use", {"host": host, "state": state}))


def _offline(world: World, now: float, host: str) -> Result:
    world = table.enter(world, host, State.ADMIN_OFFLINE, ByCommand("set_offline"), now)
    was_writer = world.active_master == host
    world = world.without_roles(host)
    left = _nobody_writes(world) if was_writer else ()
    about = {"host": host, "role": world.conf.active_master_role, "unfit": left}
    return _when_confirmed(world, host, Verdict("set_offline", about))


def _nobody_writes(world: World) -> tuple[Unfit, ...]:
    """Return why no host can take the active master role now; empty where one can."""
    role = world.conf.roles[world.conf.active_master_role]
    return () if world.mode is Mode.PASSIVE or promotion.eligible(world, role) else unfit(world, role)


def _when_confirmed(world: World, host: str, done: Verdict) -> Result:
    """Return the answer that comes once the host's agent has done it: in passive mode at once, for nothing is sent."""
    if world.mode is Mode.PASSIVE:
        return Result(world, Verdict("when_the_mode_changes", {"done": done}))
    return Result(world, done, Awaited(host, done, state=world.hosts[host].state))
