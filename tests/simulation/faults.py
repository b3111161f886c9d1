"""What each fault does to a run, and how it ends."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from mmm.config.names import CHECK_NAMES
from mmm.monitor.act import status_file
from mmm.monitor.act.first_look import SETTLING
from mmm.monitor.assess import trap
from mmm.monitor.decide import startup
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.world.checks import CheckStatus, Finding
from mmm.wire.status import SystemStatus
from tests.simulation.books import ViolationError
from tests.simulation.cluster import Cluster
from tests.simulation.machine import Machine
from tests.simulation.monitor import Monitor
from tests.simulation.scenario import WRITER_HOST, Action, Kind

_UNTIL = {
    Kind.HOST_FREEZE: ("frozen_until",),
    Kind.AGENT_FREEZE: ("agent_frozen_until",),
    Kind.SERVER_FREEZE: ("server_frozen_until",),
    Kind.SERVER_REFUSES: ("refuses_until",),
    Kind.INTERFACE_STUCK: ("stuck_until",),
    Kind.REPLICATION_BREAKS: ("broken_until",),
    Kind.REPLICATION_LAGS: ("lag_until",),
    Kind.UPTIME_LIES: ("lies_until",),
    Kind.PING_LOST: ("ping_lost_until",),
    Kind.CUT_TO: ("cut_to_until",),
    Kind.CUT_FROM: ("cut_from_until",),
    Kind.CUT: ("cut_to_until", "cut_from_until"),
    Kind.APART: ("apart_until",),
}
"""Faults that hold until a moment and are over then."""
_NEXT_MESSAGE = frozenset(
    (
        Kind.ORDER_LOST,
        Kind.ORDER_LATE,
        Kind.ORDER_TWICE,
        Kind.ANSWER_LOST,
        Kind.ANSWER_LATE,
        Kind.ANSWER_TWICE,
        Kind.ANSWER_GARBAGE,
    )
)


def begin(cluster: Cluster, action: Action) -> None:
    """Let it happen."""
    clock, kind = cluster.clock, action.kind
    assert isinstance(kind, Kind)
    cluster.counted[kind] += 1
    monitor = cluster.monitor
    if kind is Kind.COMMAND:
        clock.say(str(action))
        if monitor is not None:
            monitor.command(action.words)
        return
    host = action.host
    if host == WRITER_HOST:
        host = (monitor and monitor.world.active_master) or "db1"
    clock.say(str(replace(action, host=host)))
    until = min(clock.now + action.lasts, cluster.scenario.end)
    if host:
        _begin_on(cluster, cluster.machines[host], action, until)
    else:
        _OF_THE_MONITOR[kind](cluster, until)


def _begin_on(cluster: Cluster, machine: Machine, action: Action, until: float) -> None:
    kind = action.kind
    assert isinstance(kind, Kind)
    if kind in _UNTIL:
        for name in _UNTIL[kind]:
            setattr(machine, name, max(getattr(machine, name), until))
    elif kind in _NEXT_MESSAGE:
        cluster.armed[machine.name, kind] = action.lasts
    elif kind is Kind.CHECK_LATE:
        cluster.late_checks[machine.name, action.words] = action.lasts
    elif kind is Kind.HOST_CRASH:
        cluster.power_off(machine, until)
    elif kind in (Kind.AGENT_CRASH, Kind.AGENT_STOP):
        _end_agent(cluster, machine, until, stop=kind is Kind.AGENT_STOP)
    elif kind is Kind.SERVER_CRASH:
        if machine.server_up:
            machine.server_up = False
            cluster.server_exited(machine)
            cluster.clock.at(until, machine.start_server)
    elif kind is Kind.SERVER_WRITABLE:
        machine.writable = True
    elif machine.on:
        cluster.watch.bound_by_hand(machine, action.words.split("(")[1].rstrip(")"))


def _end_agent(cluster: Cluster, machine: Machine, until: float, *, stop: bool) -> None:
    if not machine.agent_up:
        return

    def end() -> None:
        cluster.end_agent(machine)
        cluster.clock.at(max(until, cluster.clock.now), cluster.start_agent, machine)

    if stop:
        cluster.agents[machine.name].stop(end)
    else:
        end()


def _kill_fails(cluster: Cluster, until: float) -> None:
    cluster.kill_fails_until = max(cluster.kill_fails_until, until)


def _kill_missing(cluster: Cluster, until: float) -> None:
    cluster.kill_missing_until = max(cluster.kill_missing_until, until)


def _file_lost(cluster: Cluster, until: float) -> None:
    cluster.file_lost_until = max(cluster.file_lost_until, until)


def _network_lost(cluster: Cluster, until: float) -> None:
    _ping_ips_lost(cluster, until)
    _network_unseen(cluster, until)


def _network_unseen(cluster: Cluster, until: float) -> None:
    if cluster.monitor is not None:
        cluster.watch.cut_off.begins(cluster.monitor.world, cluster.machines, until, cluster.clock.now)
    together = cluster.clock.random() < 0.5
    for machine in cluster.machines.values():  # not all neighbours answer in the same moment
        back = until if together else min(until + 2.0 * cluster.clock.random(), cluster.scenario.end)
        machine.cut_to_until = max(machine.cut_to_until, back)
        machine.cut_from_until = max(machine.cut_from_until, back)


def _ping_ips_lost(cluster: Cluster, until: float) -> None:
    cluster.ping_ips_lost_until = max(cluster.ping_ips_lost_until, until)


def _monitor_crash(cluster: Cluster, until: float) -> None:
    if cluster.monitor is not None:
        cluster.monitor.gone = True
        cluster.monitor = None
        cluster.clock.at(until, start_monitor, cluster)


def _monitor_stop(cluster: Cluster, until: float) -> None:
    if cluster.monitor is not None:
        cluster.monitor.leave()
    _monitor_crash(cluster, until)


def _monitor_freeze(cluster: Cluster, until: float) -> None:
    if cluster.monitor is not None:
        cluster.monitor.frozen_until = max(cluster.monitor.frozen_until, until)
        cluster.watch.cut_off.late(cluster.clock.now, until)


_OF_THE_MONITOR: dict[Kind, Callable[[Cluster, float], None]] = {
    Kind.KILL_FAILS: _kill_fails,
    Kind.KILL_MISSING: _kill_missing,
    Kind.FILE_LOST: _file_lost,
    Kind.NETWORK_LOST: _network_lost,
    Kind.NETWORK_UNSEEN: _network_unseen,
    Kind.PING_IPS_LOST: _ping_ips_lost,
    Kind.MONITOR_CRASH: _monitor_crash,
    Kind.MONITOR_STOP: _monitor_stop,
    Kind.MONITOR_FREEZE: _monitor_freeze,
}


def start_monitor(cluster: Cluster, *, waited: bool = False) -> None:
    """Start the monitor as it starts after a crash: wait for the network, check, read the file, ask everybody."""
    clock, conf = cluster.clock, cluster.scenario.conf
    if not (cluster.ping_ips_answer or cluster.a_host_answers()):
        assert conf.monitor is not None
        clock.after(conf.monitor.ping_interval, partial(start_monitor, waited=True), cluster)
        return
    if waited:
        clock.after(SETTLING, start_monitor, cluster)
        return
    cluster.watch.cut_off.starts()
    machines = cluster.machines
    checks = {name: first_checks(cluster, machine) for name, machine in machines.items()}
    told = [name for name, of in checks.items() if not of["rep_threads"].unknown]
    has = {name: machines[name].transactions() for name in told}
    stored, _ = status_file.decode(cluster.file)
    found = {
        name: ask(cluster, machine, stored.get(name), pings=not checks[name]["ping"].failed)
        for name, machine in cluster.machines.items()
    }
    _forgotten(cluster, found)
    started = startup.start(conf, checks, found, clock.now, has)
    cluster.watch.found(found)
    cluster.watch.first_start.begins(started.world)
    cluster.watch.losses.begins(started.world)
    if clock.history is not None:
        owners = " ".join(f"{vip}={name}" for vip, name in started.world.owner.items())
        states = " ".join(f"{name}={host.state}" for name, host in started.world.hosts.items())
        clock.say(f"the monitor starts: {started.world.mode} {states} {owners}")
    cluster.monitor = Monitor(cluster, started)


def _forgotten(cluster: Cluster, found: Mapping[str, Found]) -> None:
    """Excuse hosts that could not be asked and of which the file does not tell all, where it is behind."""
    for name, machine in cluster.machines.items():
        stored = found[name].stored
        known = {vip.ip for vip in stored.vips} if stored else set()
        if cluster.watch.leased:  # it may hold by promises what the monitor has forgotten
            known |= cluster.watch.writer_ips
        if found[name].system is None and not machine.bound <= known and not machine.excuse:
            if not cluster.file_behind:
                raise ViolationError(f"{name} holds {sorted(machine.bound)}, the status file says {stored}")
            machine.excuse_until_told("the status file was behind when the monitor died")


def first_checks(cluster: Cluster, machine: Machine, monitor: str = "") -> dict[str, CheckStatus]:
    """Return what the first checks of a host find."""
    now = cluster.clock.now
    outcomes = {name: machine.check(name, monitor)[0] for name in CHECK_NAMES}
    return {
        name: trap.first(outcome, Finding("good", outcome=outcome), now) for name, outcome in outcomes.items()
    }


def ask(
    cluster: Cluster, machine: Machine, stored: Stored | None, monitor: str = "", *, pings: bool
) -> Found:
    """Return what is known of a host when a monitor starts."""
    if not (pings and cluster.ping_agent(machine.name, monitor)):
        return Found(stored)
    seen = machine.look()
    vips = tuple(vip for vip in cluster.scenario.conf.vips if vip.ip in seen.bound)
    system = SystemStatus(seen.writable is True, vips, seen.source.ip if seen.source else "")
    agent = cluster.agents[machine.name]
    return Found(stored, agent.status, system, machine.uptime, stays=agent.core.held.stays)
