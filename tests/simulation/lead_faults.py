"""What happens to the monitors of a run with two of them: drawn by the seed, and what each fault does."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from mmm.config.model import Host
from tests.simulation.faults import begin as begin_on_hosts
from tests.simulation.scenario import (
    OF_THE_MONITOR,
    WRITER_HOST,
    Action,
    Kind,
    LeadKind,
    Scenario,
    scenario,
    with_leases,
)
from tests.simulation.several import Seat, Several

MONITORS = ("10.0.0.6", "10.0.0.8")
_WITNESS = Host("web1", "10.0.0.30", "witness")
_ON_WITNESS = (Kind.HOST_CRASH, Kind.HOST_FREEZE, Kind.AGENT_CRASH, Kind.AGENT_FREEZE, Kind.CUT)
_LONGEST = 200.0
"""Seconds that faults go on for."""
_NOBODY = frozenset((LeadKind.LEADER_CRASH, LeadKind.LEADER_FREEZE, LeadKind.LEADER_CUT))
"""After these nobody leads for a while."""
_RARE = {LeadKind.DISK_LOST: 1, LeadKind.TAKE_LEAD: 1, LeadKind.HAND_OVER: 2}


def of_several(seed: int) -> Scenario:
    """Return what the seed stands for, with two monitors: other hosts, roles and faults as without."""
    draw = Random(seed ^ 0x5E7E1A)  # noqa: S311 - a run is to be repeated, not to be secret
    lease = draw.choice((2.0, 5.0, 10.0))
    made = with_leases(scenario(seed), lease)
    first = made.actions[: draw.randint(10, 60)]
    slow = min(draw.choice((1.0, 2.0, 4.0)), _LONGEST / first[-1].at)
    hosts = [
        replace(action, at=action.at * slow)
        for action in first
        if action.kind is Kind.COMMAND or action.kind not in OF_THE_MONITOR
    ]
    made = replace(made, first_start=False)
    conf = made.conf
    assert conf.monitor is not None
    witnesses = {"web1": _WITNESS} if len(conf.hosts) == 2 or draw.random() < 0.2 else {}
    voters = tuple(conf.hosts)[: 7 - len(witnesses)] + tuple(witnesses)
    conf = replace(
        conf,
        monitors=MONITORS,
        witnesses=witnesses,
        voters=voters,
        lead_lease=draw.choice((lease, max(1.0, lease / 2))),
        monitor=replace(conf.monitor, mode="active", split_brain_guard=True),
    )
    end = max((action.at for action in hosts), default=1.0) + 5.0
    longest = draw.choice((3.0, 30.0))
    leads, now = list[Action](), 5.0
    while (now := now + draw.expovariate(1 / draw.choice((3.0, 15.0)))) < end:
        leads.append(_drawn(draw, tuple(conf.hosts), tuple(witnesses), now, longest))
        if leads[-1].kind in _NOBODY and draw.random() < 0.3:
            stops = min(now + draw.uniform(0.2, 1.5 * lease), end)
            leads.append(Action(stops, Kind.AGENT_STOP, WRITER_HOST, leads[-1].lasts))
    actions = tuple(sorted((*hosts, *leads), key=lambda action: action.at))
    return replace(made, conf=conf, actions=actions, end=end + made.end - made.actions[-1].at)


def _drawn(
    draw: Random, hosts: tuple[str, ...], witnesses: tuple[str, ...], now: float, longest: float
) -> Action:
    lasts = 0.2 * (longest / 0.2) ** draw.random()
    if witnesses and draw.random() < 0.2:
        return Action(now, draw.choice(_ON_WITNESS), witnesses[0], lasts)
    kinds = tuple(LeadKind)
    kind = draw.choices(kinds, [_RARE.get(each, 3) for each in kinds])[0]
    return Action(now, kind, draw.choice(hosts) if kind in _OF_A_HOST else "", lasts)


def begin(cluster: Several, action: Action) -> None:
    """Let it happen."""
    until = min(cluster.clock.now + action.lasts, cluster.scenario.end)
    if isinstance(action.kind, LeadKind):
        cluster.counted[action.kind] += 1
        cluster.clock.say(str(action))
        _DOES[action.kind](cluster, action.host, until)
    elif action.host in cluster.witnesses:
        cluster.counted[action.kind] += 1
        cluster.clock.say(str(action))
        _on_witness(cluster, action, until)
    else:
        begin_on_hosts(cluster, action)


def _on_witness(cluster: Several, action: Action, until: float) -> None:
    machine = cluster.witnesses[action.host]
    match action.kind:
        case Kind.HOST_CRASH:
            cluster.power_off(machine, until)
        case Kind.AGENT_CRASH:
            cluster.end_agent(machine)
            cluster.clock.at(until, cluster.start_agent, machine)
        case Kind.HOST_FREEZE:
            machine.frozen_until = max(machine.frozen_until, until)
        case Kind.AGENT_FREEZE:
            machine.agent_frozen_until = max(machine.agent_frozen_until, until)
        case _:
            machine.cut_to_until = machine.cut_from_until = max(machine.cut_to_until, until)


def _leader(cluster: Several) -> Seat:
    leads = (seat for seat in cluster.seats.values() if seat.monitor is cluster.monitor is not None)
    return next(leads, next(iter(cluster.seats.values())))


def _standby(cluster: Several) -> Seat:
    leader = _leader(cluster)
    return next(seat for seat in cluster.seats.values() if seat is not leader)


def _crash(which: Callable[[Several], Seat], cluster: Several, _: str, until: float) -> None:
    cluster.end(which(cluster), until)


def _stop(cluster: Several, _: str, until: float) -> None:
    seat = _leader(cluster)
    monitor = seat.monitor
    if monitor is not None and monitor.frozen_until <= cluster.clock.now:
        monitor.stop(
            lambda: cluster.end(seat, max(until, cluster.clock.now)) if seat.monitor is monitor else None
        )


def _freeze(which: Callable[[Several], Seat], cluster: Several, _: str, until: float) -> None:
    if (monitor := which(cluster).monitor) is not None:
        monitor.frozen_until = max(monitor.frozen_until, until)


def _cut(which: Callable[[Several], Seat], cluster: Several, host: str, until: float) -> None:
    """Cut a monitor off from a host, or from all."""
    ip = which(cluster).ip
    for name in [host] if host else [*cluster.machines, *cluster.witnesses]:
        unheard = cluster.machine(name).unheard
        unheard[ip] = max(unheard.get(ip, 0.0), until)


def _apart(cluster: Several, _: str, until: float) -> None:
    cluster.apart = max(cluster.apart, until)


def _hand_over(cluster: Several, _: str, __: float) -> None:
    if (monitor := _leader(cluster).monitor) is not None:
        monitor.command("hand_over")


def _take_lead(cluster: Several, _: str, __: float) -> None:
    """Have the admin vouch that no other monitor gives orders: where none leads, and none that does is frozen."""
    monitor = _standby(cluster).monitor
    if (
        cluster.monitor is None
        and monitor is not None
        and not any(
            each.monitor is not None and each.monitor.frozen_until > cluster.clock.now
            for each in cluster.seats.values()
        )
    ):
        monitor.command("take_lead --force")


def _disk_lost(cluster: Several, host: str, until: float) -> None:
    """Have a voter forget all that it has agreed to; a host that lets another's VIP stay is not started so."""
    machine = cluster.machine(host)
    if machine.on and not machine.stays:
        cluster.power_off(machine, until)
        cluster.files.pop(Path(f"/votes/{host}.lead.voter"), None)


_OF_A_HOST = {LeadKind.LEADER_PART, LeadKind.STANDBY_PART, LeadKind.DISK_LOST}
_DOES: dict[LeadKind, Callable[[Several, str, float], None]] = {
    LeadKind.LEADER_CRASH: partial(_crash, _leader),
    LeadKind.LEADER_STOP: _stop,
    LeadKind.LEADER_FREEZE: partial(_freeze, _leader),
    LeadKind.LEADER_CUT: partial(_cut, _leader),
    LeadKind.LEADER_PART: partial(_cut, _leader),
    LeadKind.STANDBY_CRASH: partial(_crash, _standby),
    LeadKind.STANDBY_FREEZE: partial(_freeze, _standby),
    LeadKind.STANDBY_CUT: partial(_cut, _standby),
    LeadKind.STANDBY_PART: partial(_cut, _standby),
    LeadKind.APART: _apart,
    LeadKind.HAND_OVER: _hand_over,
    LeadKind.DISK_LOST: _disk_lost,
    LeadKind.TAKE_LEAD: _take_lead,
}
