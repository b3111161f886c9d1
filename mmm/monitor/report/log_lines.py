"""What is worth a log line between two worlds, apart from changes of states and roles, which have their own.

A fact is said when it begins and when it ends, not in between.
"""

import logging
from collections.abc import Iterator

from mmm.monitor.assess import (
    diagnosis,
    divergence,
    pair_warnings,
    readiness,
    silent_lag,
)
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.move import Phase
from mmm.monitor.world.rebuilt import rebuilt
from mmm.monitor.world.warnings import Warned
from mmm.monitor.world.world import World

Notice = tuple[int, str]
_MMM2 = (
    "{0}: its agent is one of MMM 2.x, which keeps its VIPs for good: if {0} falls silent, its roles stay there until"
    " it answers, kill_host succeeds, or the admin says confirm_dead {0}"
)


def between(before: World, after: World) -> Iterator[Notice]:
    """Return log levels and lines for what changed from one world to the next."""
    for happened in kept(before, after):
        if after.network_up or happened.code != "network":
            yield logging.INFO, str(happened)
        else:
            yield logging.CRITICAL, f"{happened}. No check counts and nothing is sent."
    if after.other_monitor and not before.other_monitor:
        yield logging.CRITICAL, str(after.passive_cause)
    if after.move is not before.move or after.failed_moves is not before.failed_moves:
        yield from _move(before, after)
    yield from _masters(before, after)
    for name, host in after.hosts.items():
        old = before.hosts[name]
        if old is host:
            continue
        if after.only_ping_lost(name) and not before.only_ping_lost(name):
            yield logging.WARNING, f"{name}: ping is lost, but its server answers: ignored"
        yield from _unshared(before, after, name)
        yield from _diagnosis(before, after, name)
        yield from _unreadable(before, after, name)
        yield from _stalled(before, after, name)
        yield from _stranger(before, after, name)
        yield from _job(before, after, name)
        yield from _mmm2(before, after, name)
        if after.network_up:  # without it no check has said anything
            for check, status in host.checks.items():
                yield from _check(name, check, old.checks[check], status)
        yield from _agent(name, old.agent, host.agent)


def kept(before: World, after: World) -> Iterator[Happened]:
    """Return what of this the history keeps too."""
    if before.network_up is not after.network_up:
        silent = (before if after.network_up else after).hosts_silent
        yield Happened("network", {"up": after.network_up, "hosts_silent": silent})
    if before.mode is not after.mode:
        yield Happened("mode", {"before": before.mode, "after": after.mode})


def _move(before: World, after: World) -> Iterator[Notice]:
    move = after.move
    returning = move is not None and move.phase is Phase.RETURNING
    if move is not None and returning and (before.move is None or before.move.phase is not Phase.RETURNING):
        back = f"{move.source} gets it back, {move.target} did not take it"
        yield logging.ERROR, f"{move.vip}: {back}: {move.cause}"
    for failed in after.failed_moves:
        if before.move is None or failed in before.failed_moves:
            continue
        if failed.phase is Phase.PROMOTING:
            on = f"{after.owner[failed.vip]} gets it, {failed.target} did not take it"
            yield logging.ERROR, f"{failed.vip}: {on}: {failed.cause}"
        else:
            took = 1e3 * (failed.since - before.move.since)
            yield logging.WARNING, f"{failed.vip}: {failed.source} has it again, {took:.0f} ms after that"


def _masters(before: World, after: World) -> Iterator[Notice]:
    """Say what is wrong with the masters from now on, where either of them was looked at."""
    if all(before.hosts[host.name] is after.hosts[host.name] for host in after.masters()):
        return
    known = {_kind(warned) for warned in (*pair_warnings.found(before), *readiness.of_masters(before))}
    for warned in (*pair_warnings.found(after), *readiness.of_masters(after)):
        if _kind(warned) not in known:
            yield logging.WARNING, str(warned)


def _kind(warned: Warned) -> tuple[str, tuple[str, ...]]:
    """Return what makes a warning another one; its figures do not."""
    return warned.code, warned.hosts


def _unshared(before: World, after: World, name: str) -> Iterator[Notice]:
    more = divergence.unshared(after, name)
    if more and not divergence.unshared(before, name):
        known = f"{name}: it has {more} that {divergence.opposite(after)} lacked when it went on without it"
        yield logging.ERROR, f"{known}: it does not come back by itself, see mmm_control explain {name}"


def _diagnosis(before: World, after: World, name: str) -> Iterator[Notice]:
    if not (before.network_up and after.network_up):
        return
    was, found = diagnosis.notable(before, name), diagnosis.notable(after, name)
    if found is not None and found is not was:
        yield logging.WARNING, f"{name}: diagnosis: {found.name}: {diagnosis.said(after, name)}"


def _stalled(before: World, after: World, name: str) -> Iterator[Notice]:
    was, found = silent_lag.said(before, name), silent_lag.said(after, name)
    if found and not was:
        yield logging.WARNING, str(found)
    elif silent_lag.lag(before, name) >= silent_lag.NOTABLE and not silent_lag.lag(after, name):
        yield logging.INFO, f"{name}: it receives what is written again"


def _stranger(before: World, after: World, name: str) -> Iterator[Notice]:
    stranger = after.hosts[name].agent.about.stranger
    if stranger and stranger != before.hosts[name].agent.about.stranger:
        yield logging.ERROR, str(Warned("second_monitor", (name,), {"address": stranger}))


def _job(before: World, after: World, name: str) -> Iterator[Notice]:
    was, now = before.hosts[name].job, after.hosts[name].job
    if now is not None and (was is None or was.broken_off != now.broken_off):
        yield logging.ERROR if now.broken_off else logging.INFO, f"{name}: {rebuilt(name, now)}"


def _unreadable(before: World, after: World, name: str) -> Iterator[Notice]:
    why = divergence.unreadable(after, name)
    if why is not None and why != divergence.unreadable(before, name):
        yield logging.ERROR, f"{name}: it cannot be compared with {divergence.opposite(after)}: {why}"


def _check(name: str, check: str, before: CheckStatus, after: CheckStatus) -> Iterator[Notice]:
    what = f"{name}: {check}"
    if after.exited is not None and after.exited != before.exited:
        yield logging.WARNING, f"{name}: its server's process {after.exited.pid} has ended"
    if after.failed and not before.failed:
        yield logging.ERROR, f"{what} has failed: {after.finding}"
    elif before.failed and not after.failed:
        yield logging.INFO, f"{what} is good again: {after.finding}"
    elif after.error_since is not None and before.error_since is None:
        yield logging.WARNING, f"{what} begins to fail: {after.finding}"
    elif before.error_since is not None and after.error_since is None:
        yield logging.INFO, f"{what} is good again: {after.finding}"
    elif after.unknown and not before.unknown:
        # A server that turns the monitor away is one that the monitor does not watch.
        level = logging.ERROR if check == "mysql" else logging.WARNING
        yield level, f"{what} unknown: {after.finding.detail}"
    elif before.unknown and not after.unknown and after.error_since is None:
        yield logging.INFO, f"{what} is known again: {after.finding}"


def _mmm2(before: World, after: World, name: str) -> Iterator[Notice]:
    """Say what follows from an agent of MMM 2.x."""
    old, host = before.hosts[name], after.hosts[name]
    if host.agent.about.mmm2 and not old.agent.about.mmm2 and after.guarded:
        yield logging.WARNING, _MMM2.format(name)
    if host.replication.skipped_at and host.replication.skipped_at != old.replication.skipped_at:
        yield logging.ERROR, str(Warned("rows_skipped", (name,), {"master": host.replication.skipped_at}))


def _agent(name: str, before: AgentLink, after: AgentLink) -> Iterator[Notice]:
    if after.unreachable and not before.unreachable:
        yield logging.ERROR, f"{name}: its agent cannot be reached: {after.silence}"
    elif before.unreachable and not after.unreachable:
        yield logging.INFO, f"{name}: its agent answers again"
    if after.about.halting and not before.about.halting:
        yield (
            logging.WARNING,
            f"{name}: its machine or its agent is being stopped: its roles go to other hosts",
        )
    if after.refusal and after.refusal != before.refusal:
        yield logging.ERROR, f"{name}: its agent answered '{after.refusal}'; tried again every few seconds"
    elif before.refusal and not after.refusal:
        yield logging.INFO, f"{name}: its agent has done what it was told"
