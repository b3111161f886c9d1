"""What one run of a check changes (rules 10.5 to 10.7, 10.36)."""

from dataclasses import replace

from mmm.monitor.assess import divergence, loss, silent_lag, trap
from mmm.monitor.world.checks import Finding, Outcome
from mmm.monitor.world.events import CheckResult
from mmm.monitor.world.host import Behind, Comparison, HostWorld, Progress, Replication, Writable
from mmm.monitor.world.world import Mode, World


def checked(world: World, event: CheckResult, now: float) -> World:
    """Return the world after a run of a check; as it was while the network is down."""
    host = world.hosts.get(event.host)
    if host is None or not world.network_up:
        return world
    event = _excused(world, event)
    before, connecting_since = host.checks[event.check], host.replication.connecting_since
    if event.check == "rep_threads":
        event, connecting_since = _connecting(world, event, host, now)
    elif event.check == "rep_backlog" and _source_fails(world, event):
        before = trap.excused(before, now)
    status = trap.step(
        before,
        event.finding,
        now,
        world.conf.checks[event.check].trap_period,
        refused=event.refused,
        saturated=event.saturated,
        cause=event.cause,
    )
    same = status == host.checks[event.check]
    changed = replace(
        host,
        checks=host.checks if same else {**host.checks, event.check: status},
        settings=host.settings if event.settings in (None, host.settings) else event.settings,
        writable=_writable(world, event, host, now),
        replication=_replication(event, host.replication, connecting_since),
        progress=_progress(world, event, host, now),
        comparison=_comparison(event, host),
    )
    if changed != host:
        world = world.with_host(event.host, changed)
    return world if event.transactions is None else divergence.note(world, event.host, event.transactions)


def _writable(world: World, event: CheckResult, host: HostWorld, now: float) -> Writable | None:
    if event.writable is None:
        return host.writable
    if not event.writable or world.active_master == event.host or world.mode is Mode.PASSIVE:
        return None
    return Writable(now if host.writable is None else host.writable.since, now)


def _replication(event: CheckResult, old: Replication, connecting_since: float | None) -> Replication:
    uses_gtid = old.uses_gtid if event.uses_gtid is None else event.uses_gtid
    delay = old.delay if event.delay is None else event.delay
    if (old.connecting_since, old.uses_gtid, old.delay) == (connecting_since, uses_gtid, delay):
        return old
    return replace(old, connecting_since=connecting_since, uses_gtid=uses_gtid, delay=delay)


def _progress(world: World, event: CheckResult, host: HostWorld, now: float) -> Progress:
    """Return what is known of the server's data; more of one that can be active master."""
    progress, can_be_master = host.progress, world.can_be_active_master(event.host)
    if event.behind is not None and (can_be_master or host.agent.about.mmm2):
        progress = replace(progress, behind=Behind(event.behind, now))
    if event.transactions is None:
        return progress
    progress = replace(progress, transactions=event.transactions)
    if not can_be_master:
        return progress
    rates = loss.rates(host, event.transactions)
    return replace(progress, rates=rates, missed=silent_lag.note(world, event.host, event.transactions))


def _comparison(event: CheckResult, host: HostWorld) -> Comparison:
    looks = host.comparison.looks
    if event.check == "rep_threads" and host.is_lost and looks < divergence.LOOKS:
        return replace(host.comparison, looks=looks + 1)
    return host.comparison


def _excused(world: World, event: CheckResult) -> CheckResult:
    """Return the result of a detached replica: good where nobody else is the active master."""
    if not event.detached or world.active_master not in (None, event.host):
        return event
    return replace(event, finding=replace(event.finding, outcome=Outcome.OK))


def _connecting(
    world: World, event: CheckResult, host: HostWorld, now: float
) -> tuple[CheckResult, float | None]:
    """Return what a look at the replication threads is worth, and since when they try to connect (rule 10.6).

    That a replica is connecting is good for connect_grace, and as long as its source does not work; it makes no
    check good that has failed while its source works.
    """
    if event.outcome is Outcome.UNKNOWN:
        return event, host.replication.connecting_since
    if not event.connecting_to or _source_fails(world, event):
        return event, None
    since = now if host.replication.connecting_since is None else host.replication.connecting_since
    grace, waited = world.conf.checks[event.check].connect_grace, now - since
    if event.outcome is Outcome.ERROR or (waited < grace and not host.checks[event.check].failed):
        return event, since
    about = {**event.finding.fields, "seconds": waited, "limit": grace}
    return replace(event, finding=Finding("connecting_for_long", about, Outcome.ERROR)), since


def _source_fails(world: World, event: CheckResult) -> bool:
    """Tell whether the replica is connecting to a host of the cluster whose own server does not answer."""
    return bool(event.connecting_to) and any(
        host.ip == event.connecting_to and world.hosts[name].checks["mysql"].error_since is not None
        for name, host in world.conf.hosts.items()
    )
