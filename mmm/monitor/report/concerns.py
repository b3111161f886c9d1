"""The warnings about a world, worst first: the values behind `show` and `health`. Pure.

Each is there for as long as it is true.
"""

from collections.abc import Iterator, Mapping

from mmm.config.agreement import shared
from mmm.monitor.assess import (
    checkup,
    diagnosis,
    divergence,
    lost_agent,
    pair_warnings,
    readiness,
    silent_lag,
)
from mmm.monitor.decide import auto_rejoin, unheld, waiting
from mmm.monitor.decide.vacancy import Reason, Vacancy, vacancy
from mmm.monitor.report import leading, losses
from mmm.monitor.report.clock import Clock
from mmm.monitor.states.host_view import View, failing
from mmm.monitor.states.table import rule_for, said
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import State
from mmm.monitor.world.rebuilt import rebuilt
from mmm.monitor.world.said import Said
from mmm.monitor.world.warnings import Level, Value, Warned
from mmm.monitor.world.world import Mode, World

_STILL_SERVES = frozenset({"monitor_cut_off", "cut_off_from_monitor", "agent_dead"})
"""Diagnoses of a writer to which clients can go on writing."""
_UNSEEN = frozenset({State.ADMIN_OFFLINE, State.HARD_OFFLINE})
"""States of hosts of which checks are not expected to say much."""


def found(world: World, now: float, clock: Clock) -> tuple[Warned, ...]:
    """Return all that is to be warned of; a monitor that stands by knows of the lead alone."""
    if not world.leadership.may_order:
        return tuple(leading.concerns(world))
    everything = [*_cluster(world, now, clock), *_not_watched(world), *pair_warnings.found(world)]
    everything += [*readiness.found(world), *checkup.warned(world), *_apart(world)]
    for name in sorted(world.hosts):  # as `show` lists the hosts below
        everything += _host(world, name, now)
    return tuple(sorted(everything, key=lambda warned: warned.level is not Level.CRITICAL))


def _cluster(world: World, now: float, clock: Clock) -> Iterator[Warned]:
    if not world.network_up:
        reached = "no host" if world.hosts_silent else "none of its ping_ips"
        yield Warned("network_down", fields={"reached": reached}, level=Level.CRITICAL)
    yield from leading.concerns(world)
    if world.other_monitor:
        yield Warned("gives_way", fields={"address": world.other_monitor}, level=Level.CRITICAL)
    if (vacant := vacancy(world)) is not None:
        yield from _vacant(world, vacant)
    if (waits := waiting.waits(world, now)) is not None:
        yield Warned("role_waits", fields={"said": waits}, level=Level.CRITICAL)
    if (lost := lost_agent.without_agent(world, now)) is not None:
        yield Warned("writer_without_agent", (world.active_master or "",), {"said": lost}, Level.CRITICAL)
    if world.mode is not Mode.PASSIVE and world.network_up:
        for role in world.conf.roles:
            if role != world.conf.active_master_role:
                yield from _no_holder(world, role)
    for name, host in sorted(world.left_out):
        yield Warned("left_out", (host,), {"role": name})
    if world.loss is not None and world.loss.known and world.loss.most != 0:
        hosts = (world.loss.host, world.loss.taker)
        fields = {"said": losses.said(world.loss, clock), **losses.encoded(world.loss, clock)}
        yield Warned("transactions_lost", hosts, fields)


def _vacant(world: World, vacant: Vacancy) -> Iterator[Warned]:
    """Say why nobody has the active master role; not that the network is down, nor what the next turn ends."""
    vip = world.conf.master_vip
    if vacant.code is Reason.NETWORK_DOWN or (vip is not None and unheld.is_due(world, vip)):
        return
    code = _VACANT.get(vacant.code, "no_holder")
    role = vacant.fields["role"]
    fields: dict[str, Value] = {"role": role, "ips": "", "why": vacant, "reason": str(vacant.code)}
    yield Warned(code, fields=fields, level=Level.CRITICAL)


_VACANT: Mapping[str, str] = {Reason.BLOCKED: "failover_blocked", Reason.HELD_BACK: "not_promoted"}
"""Codes of warnings for reasons that have a separate one."""


def _no_holder(world: World, role: str) -> Iterator[Warned]:
    """Warn of IPs of the role that nobody holds and nobody will get in the next turn."""
    vips = [vip for vip, owner in world.owner.items() if vip.role == role and owner is None]
    if not vips or unheld.is_due(world, vips[0]):
        return
    all_of_them = len(vips) == len(world.conf.roles[role].vips)
    ips = "" if all_of_them else f" ({', '.join(vip.ip for vip in vips)})"
    why = unheld.no_host(world, vips[0])
    yield Warned("no_holder", fields={"role": role, "ips": ips, "why": why}, level=Level.CRITICAL)


def _apart(world: World) -> Iterator[Warned]:
    """Name the agents whose conf is not the monitor's; what leases rest on is told for itself."""
    own, agents = shared(world.conf), {name: host.agent.about for name, host in world.hosts.items()}
    apart = tuple(
        name for name, said in agents.items() if own and said.shared not in ("", own) and not said.differs
    )
    if apart:
        yield Warned("confs_apart", apart)


def _not_watched(world: World) -> Iterator[Warned]:
    """Say which checks cannot look, those that are kept from it by the same thing in one line."""
    if not world.network_up:
        return
    groups: dict[tuple[str, str, int, str], dict[str, list[str]]] = {}
    for name, host in world.hosts.items():
        for check, status in host.checks.items():
            if _is_blind(world, name, check, status):
                kind = "mysql" if check == "mysql" else "replication"
                key = (kind, status.cause.code, status.cause.number, status.cause.grant)
                groups.setdefault(key, {}).setdefault(name, []).append(check)
    for (kind, code, number, grant), blind in groups.items():
        first = next(iter(blind))
        status = world.hosts[first].checks[blind[first][0]]
        hosts, names = tuple(blind), {check for checks in blind.values() for check in checks}
        if grant:
            yield Warned("missing_grant", hosts, {"grant": grant, "number": number})
            continue
        whole = kind == "mysql" and (world.active_master in hosts or _nobody_else(world, hosts))
        yield Warned(
            "not_watched",
            hosts,
            {
                "checks": " and ".join(
                    check for check in ("mysql", "rep_threads", "rep_backlog") if check in names
                ),
                "are": "are" if len(hosts) > 1 else "is",
                "reason": status.finding,
                "cause": code,
                "number": number,
            },
            Level.CRITICAL if whole else Level.WARNING,
        )


def _is_blind(world: World, name: str, check: str, status: CheckStatus) -> bool:
    """Tell whether a check of a host in use cannot look, and no other line says why."""
    mysql = world.hosts[name].checks["mysql"]
    if not status.unknown or not status.cause.code or world.hosts[name].state in _UNSEEN:
        return False
    if check == "mysql":
        return not status.saturated
    return not mysql.unknown and mysql.error_since is None


def _nobody_else(world: World, hosts: tuple[str, ...]) -> bool:
    return all(name in hosts or host.state in _UNSEEN for name, host in world.hosts.items())


def _host(world: World, name: str, now: float) -> Iterator[Warned]:
    host = world.hosts[name]
    about = (name,)
    extra = divergence.unshared(world, name)
    looks = world.guarded and world.network_up and diagnosis.notable(world, name) is not None
    diagnosed = diagnosis.said(world, name) if looks else None
    if world.only_ping_lost(name):
        yield Warned("ping_ignored", about)
    yield from _data(world, name, now)
    if host.replication.skipped_at:
        yield Warned("rows_skipped", about, {"master": host.replication.skipped_at})
    if stalled := silent_lag.said(world, name):
        yield Warned("silent_lag", about, {"said": stalled})
    if host.agent.unreachable:
        yield Warned("agent_unreachable", about, {"reason": host.agent.silence})
    if host.agent.about.differs:
        yield Warned("conf_differs", about, {"keys": ", ".join(host.agent.about.differs)}, Level.CRITICAL)
    for role in world.conf.roles.values():
        if name in role.hosts and world.would_bind(name, role.name):
            yield Warned("would_bind", about, {"role": role.name, "via": role.vip_via})
    if stranger := host.agent.about.stranger:
        yield Warned("second_monitor", about, {"address": stranger})
    if host.agent.refusal:
        yield Warned("agent_error", about, {"answer": host.agent.refusal})
    if diagnosed is not None:
        yield _diagnosis(world, name, diagnosed)
    told_already = (
        host.job is not None
        or (extra and host.state is State.AWAITING_RECOVERY)
        or (diagnosed is not None and host.state is State.HARD_OFFLINE)
    )
    if host.state not in (State.ONLINE, State.ADMIN_OFFLINE) and not told_already:
        yield Warned("out_of_use", about, {"state": str(host.state), "why": _why_out(View(world, name, now))})


def _data(world: World, name: str, now: float) -> Iterator[Warned]:
    """Say what keeps the host's data from those of the active master, and what is done about it."""
    job, extra = world.hosts[name].job, divergence.unshared(world, name)
    if job is not None:
        yield Warned("being_rebuilt", (name,), {"said": rebuilt(name, job)})
    elif extra:
        fields = {"extra": str(extra), "master": divergence.opposite(world)}
        yield Warned("extra_transactions", (name,), fields)
    if auto_rejoin.needed(world, name) and (against := auto_rejoin.kept(world, name, now)):
        yield Warned("not_rebuilt", (name,), {"said": against})


def _diagnosis(world: World, name: str, found: diagnosis.Diagnosed) -> Warned:
    hurts = world.active_master == name and found.code not in _STILL_SERVES
    level = Level.CRITICAL if hurts else Level.WARNING
    return Warned("diagnosis", (name,), {"diagnosis": found.code, "said": found}, level)


def _why_out(view: View) -> Said:
    """Return why a host is not in use, as it is now: what brought it here may have changed since."""
    holding = rule_for(view)
    if holding is not None and holding.to is None:
        return said(holding, view)
    counts = {State.REPLICATION_DELAY: ("rep_backlog",), State.REPLICATION_FAIL: ("rep_threads",)}
    checks = counts.get(view.host.state, ("mysql", "ping"))
    failed = {name: view.host.checks[name] for name in checks if view.host.checks[name].failed}
    return failing(failed) if failed or view.host.why is None else view.host.why
