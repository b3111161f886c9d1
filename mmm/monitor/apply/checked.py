"""What a check that has ended makes of the monitor's world.

Most of them find nothing new: then everything stays the same object, and nothing is copied.
"""

from dataclasses import replace

from mmm.monitor.assess import divergence, loss, promotion, silent_lag, trap
from mmm.monitor.world.check_results import CheckResult, PingChecked, ReplicaChecked, ServerChecked
from mmm.monitor.world.checks import NO_CAUSE, CheckStatus, Finding, Outcome
from mmm.monitor.world.host import Behind, Comparison, HostWorld, Progress, Replication, Writable
from mmm.monitor.world.link import Ordered
from mmm.monitor.world.world import Mode, World


def checked(world: World, event: CheckResult, now: float) -> World:
    """Return the world after a run of a check; as it was while the network is down."""
    host = world.hosts.get(event.host)
    if host is None or not world.network_up:
        return world
    match event:
        case PingChecked():
            return _believed(world, event, host, _step(world, event, host.checks["ping"], now))
        case ServerChecked():
            return _server(world, event, host, now)
        case ReplicaChecked():
            return _replica(world, event, host, now)


def _step(world: World, event: CheckResult, before: CheckStatus, now: float) -> CheckStatus:
    cause = NO_CAUSE if isinstance(event, PingChecked) else event.cause
    return trap.step(before, event.finding, now, world.conf.checks[event.check].trap_period, cause)


def _believed(world: World, event: CheckResult, host: HostWorld, status: CheckStatus) -> World:
    """Return the world with what is believed of the check."""
    before = host.checks[event.check]
    if status is before or status == before:
        return world
    return world.with_host(event.host, replace(host, checks={**host.checks, event.check: status}))


def _server(world: World, event: ServerChecked, host: HostWorld, now: float) -> World:
    writable = _writable(world, event, host, now)
    if writable is not host.writable:
        host = replace(host, writable=writable)
        world = world.with_host(event.host, host)
    return _believed(world, event, host, _step(world, event, host.checks["mysql"], now))


def _writable(world: World, event: ServerChecked, host: HostWorld, now: float) -> Writable | None:
    if event.writable is None:
        return host.writable
    if not event.writable or world.active_master == event.host or world.mode is Mode.PASSIVE:
        return None
    if promotion.gives_role_away(world, event.host):  # it is waited for, as long as its clients are
        return None
    return Writable(now if host.writable is None else host.writable.since, now)


def _replica(world: World, event: ReplicaChecked, host: HostWorld, now: float) -> World:
    event = _excused(world, event)
    before, connecting_since = host.checks[event.check], host.replication.connecting_since
    if event.check == "rep_threads":
        event, connecting_since = _connecting(world, event, host, now)
    elif _source_fails(world, event):
        before = trap.excused(before, now)
    status = trap.begun_anew(before) if _stopped_to_follow(world, event) else _step(world, event, before, now)
    same = status == host.checks[event.check]
    changed = replace(
        host,
        checks=host.checks if same else {**host.checks, event.check: status},
        settings=host.settings if event.settings in (None, host.settings) else event.settings,
        replication=_replication(event, host.replication, connecting_since),
        progress=_progress(world, event, host, now),
        comparison=_comparison(event, host),
    )
    if changed != host:
        world = world.with_host(event.host, changed)
    return world if event.transactions is None else divergence.note(world, event.host, event.transactions)


def _replication(event: ReplicaChecked, old: Replication, connecting_since: float | None) -> Replication:
    uses_gtid, delay, replica = old.uses_gtid, old.delay, event.replica
    if event.look is not None:
        delay = 0 if replica is None else replica.delay
        uses_gtid = uses_gtid if replica is None else replica.uses_gtid
    if (old.connecting_since, old.uses_gtid, old.delay) == (connecting_since, uses_gtid, delay):
        return old
    return replace(old, connecting_since=connecting_since, uses_gtid=uses_gtid, delay=delay)


def _progress(world: World, event: ReplicaChecked, host: HostWorld, now: float) -> Progress:
    """Return what is known of the server's data; more of one that can be active master."""
    progress, can_be_master, replica = host.progress, world.can_be_active_master(event.host), event.replica
    if replica is not None and replica.behind is not None and (can_be_master or host.agent.about.mmm2):
        progress = replace(progress, behind=Behind(replica.behind, now))
    if event.transactions is None:
        return progress
    last, news = progress.transactions, event.transactions
    progress = replace(progress, transactions=news)
    if not can_be_master:
        return progress
    shared = last is not None and last.seen == news.seen  # both checks of a replica may share a look
    return replace(
        progress,
        rates=loss.rates(host, news),
        missed=silent_lag.note(world, event.host, news),
        earlier=progress.earlier if shared else last,
    )


def _comparison(event: ReplicaChecked, host: HostWorld) -> Comparison:
    looks = host.comparison.looks
    if event.check == "rep_threads" and host.is_lost and looks < divergence.LOOKS:
        return replace(host.comparison, looks=looks + 1)
    return host.comparison


def _excused(world: World, event: ReplicaChecked) -> ReplicaChecked:
    """Return the result of a detached replica: good where nobody else is the active master, or wrote since."""
    if not event.detached or world.active_master not in (None, event.host):
        return event
    read = event.transactions
    if world.active_master is None and read and divergence.is_left_detached(world, event.host, read):
        return event
    return replace(event, finding=replace(event.finding, outcome=Outcome.OK))


def _connecting(
    world: World, event: ReplicaChecked, host: HostWorld, now: float
) -> tuple[ReplicaChecked, float | None]:
    """Return what a look at the replication threads is worth, and since when they try to connect (rule 10.6).

    That a replica is connecting is good for connect_grace, and as long as its source does not work; it makes no
    check good that has failed while its source works.
    """
    if event.finding.outcome is Outcome.UNKNOWN:
        return event, host.replication.connecting_since
    if not event.connecting_to or _source_fails(world, event):
        return event, None
    since = now if host.replication.connecting_since is None else host.replication.connecting_since
    grace, waited = world.conf.checks[event.check].connect_grace, now - since
    if event.finding.outcome is Outcome.ERROR or (waited < grace and not host.checks[event.check].failed):
        return event, since
    about = {**event.finding.fields, "seconds": waited, "limit": grace}
    return replace(event, finding=Finding("connecting_for_long", about, Outcome.ERROR)), since


def _stopped_to_follow(world: World, event: ReplicaChecked) -> bool:
    """Tell whether a slave's threads stand still for its agent has it follow another active master, for the first time.

    An agent that could not do it, and tries again, is no excuse.
    """
    link = world.hosts[event.host].agent
    flight, told = link.in_flight, link.told
    return (
        event.finding.code == "threads_stopped"
        and world.conf.hosts[event.host].mode == "slave"
        and isinstance(flight, Ordered)
        and told is not None
        and flight.status.master not in ("", told.master)
        and link.failure is None
    )


def _source_fails(world: World, event: ReplicaChecked) -> bool:
    """Tell whether the replica is connecting to a host of the cluster whose own server does not answer."""
    source = event.connecting_to
    return bool(source) and any(
        host.ip == source and world.hosts[name].checks["mysql"].error_since is not None
        for name, host in world.conf.hosts.items()
    )
