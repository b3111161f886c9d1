"""The document that `mmm_control status` answers: all that the monitor tells, as values. Pure.

docs/status.schema.json describes it. Moments are seconds since 1970, durations seconds.
"""

from typing import Any

from mmm import __version__
from mmm.config.effective import fingerprint
from mmm.config.model import Vip
from mmm.lease.rules import FOREVER, NEVER
from mmm.monitor.assess.divergence import ahead
from mmm.monitor.assess.missing import missing
from mmm.monitor.decide import unheld
from mmm.monitor.decide.reconcile import holders
from mmm.monitor.report import changes, leading
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.explain import explained
from mmm.monitor.report.health import encoded, health
from mmm.monitor.report.history import SHOWN, Entry
from mmm.monitor.report.status import of_show
from mmm.monitor.world import said
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.world import Mode, World
from mmm.wire.follow import VERSION


def document(world: World, now: float, clock: Clock, entries: tuple[Entry, ...]) -> dict[str, Any]:
    """Return the document."""
    told = {host.name: host.vips for host in of_show(world, now, clock).hosts}
    why = {host["host"]: host for host in explained(world, "all", now, clock)["hosts"]}
    return {
        "version": VERSION,
        "at": clock.wall(now),
        "position": str(changes.newest(entries)),
        "monitor": {**_monitor(world), "lead": leading.encoded(world, clock)},
        "health": encoded(health(world, now, clock)),
        "hosts": [_host(world, name, told[name], why[name], now, clock) for name in world.hosts],
        "roles": [_role(world, name, told) for name in world.conf.roles],
        "history": [changes.encoded(entry) for entry in entries[-SHOWN:]],
    }


def _monitor(world: World) -> dict[str, Any]:
    cause = world.passive_cause if world.mode is Mode.PASSIVE else None
    return {
        "program": "mmm_mond",
        "version": __version__,
        "conf": fingerprint(world.conf),
        "mode": str(world.mode),
        "why": None if cause is None else said.encoded(cause),
        "network_up": world.network_up,
        "hosts_silent": world.hosts_silent,
        "other_monitor": world.other_monitor or None,
    }


def _host(
    world: World, name: str, vips: tuple[Vip, ...], why: dict[str, Any], now: float, clock: Clock
) -> dict[str, Any]:
    host, conf = world.hosts[name], world.conf.hosts[name]
    names = ("why", "diagnosis", "kept_by", "job", "auto_rejoin", "suspended", "ways", "set_online", "agent")
    return {
        "name": name,
        "ip": conf.ip,
        "mode": conf.mode,
        "health_port": conf.health_port,
        "state": str(host.state),
        "since": clock.wall(host.since),
        "flapping": host.flapping,
        "follows": world.peer(name),
        "roles": [_vip(vip) for vip in sorted(vips, key=str)],
        "lag": _lag(host.checks["rep_backlog"]),
        "missing": missing(world, name),
        "ahead": ahead(world, name),
        "lease": _lease(host.agent.given.until, now),
        "checks": {
            check: {
                **_check(status, clock),
                "ignored": check == "ping" and world.only_ping_lost(name),
                "took": clock.took(name, check),
            }
            for check, status in host.checks.items()
        },
        **{each: why[each] for each in names},
    }


def _lag(status: CheckStatus) -> float | None:
    """Return how many seconds a replica is behind its source, as rep_backlog has found; None: that is not known."""
    found = status.finding
    match found.code:
        case "good":
            return 0.0
        case "behind" | "too_far_behind":
            return float(found.fields["seconds"])
        case _:
            return None


def _lease(until: float, now: float) -> dict[str, float | None] | None:
    """Return what is left of the writer lease that the host was granted; None where it has none (rule 11.1)."""
    if until == NEVER:
        return None
    return {"left": None if until == FOREVER else max(0.0, until - now)}


def _check(status: CheckStatus, clock: Clock) -> dict[str, Any]:
    found = status.finding
    return {
        "failed": status.failed,
        "changed": clock.wall(status.changed),
        "failing_since": None if status.error_since is None else clock.wall(status.error_since),
        "result": str(found.outcome),
        "code": found.code,
        "fields": said.plain(found.fields),
        "message": found.detail,
    }


def _role(world: World, name: str, told: dict[str, tuple[Vip, ...]]) -> dict[str, Any]:
    role = world.conf.roles[name]
    kept_away = [host for left_out, host in sorted(world.left_out) if left_out == name]
    return {
        "name": name,
        "mode": role.mode,
        "writer": name == world.conf.active_master_role,
        "vip_via": role.vip_via,
        "vip_script": role.vip_script or None,
        "prefer": role.prefer,
        "hosts": list(role.hosts),
        "excluded": kept_away,
        "ips": [_ip(world, vip, told) for vip in role.vips],
    }


def _ip(world: World, vip: Vip, told: dict[str, tuple[Vip, ...]]) -> dict[str, Any]:
    """Return where an IP is: `holder` is meant to have it, `confirmed` are those whose agents say that they have."""
    owner = world.owner[vip]
    why = unheld.why(world, vip) if owner is None else None
    return {
        "ip": vip.ip,
        "holder": owner,
        "confirmed": [host for host, vips in told.items() if vip in vips],
        "waits_for": [] if owner is None else sorted(holders(world, vip) - {owner}),
        "why": None if why is None else said.encoded(why),
    }


def _vip(vip: Vip) -> dict[str, str]:
    return {"role": vip.role, "ip": vip.ip}
