"""The metrics for Prometheus, made from the status and from the changes that were heard since the start."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)

STATES = (
    "ONLINE", "ADMIN_OFFLINE", "HARD_OFFLINE", "AWAITING_RECOVERY", "REPLICATION_FAIL", "REPLICATION_DELAY",
)  # fmt: skip
MODES = ("ACTIVE", "MANUAL", "WAIT", "PASSIVE")
HEALTH = ("OK", "WARNING", "CRITICAL")
KINDS = ("failover", "planned", "other")
_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

Values = Mapping[str, Any]


class Metrics:
    """What is counted, and a collector of it and of the status that `shown` is given."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._moves: Counter[tuple[str, str]] = Counter()
        self._changes: Counter[tuple[str, str]] = Counter()
        self._lost = Counter[bool]()
        self._took = Histogram(
            "mmm_move_duration_seconds",
            "How long a move of an exclusive role took, from its begin until the new holder had confirmed it.",
            ["role"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._status: Values | None = None
        self.registry.register(self)

    def heard(self, change: Values) -> None:
        """Count a change."""
        event = change.get("event") or {}
        fields = event.get("fields", {})
        match event.get("code"):
            case "state":
                self._changes[str(fields.get("host")), str(fields.get("after"))] += 1
            case "moved" if fields.get("target"):
                role = str(fields.get("vip")).partition("(")[0]
                self._moves[role, kind_of(change)] += 1
                if change.get("took") is not None:
                    self._took.labels(role).observe(change["took"])
            case "loss":
                most = (change.get("loss") or {}).get("most")
                self._lost[True] += most or 0
                self._lost[False] += most is None

    def shown(self, status: Values | None) -> None:
        """Collect this status from now on; None: the monitor does not answer."""
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        status = self._status
        yield GaugeMetricFamily("mmm_up", "The monitor answers (1).", value=status is not None)
        if status is not None:
            yield from _of_monitor(status)
            yield from _of_hosts(status["hosts"])
            yield from _of_roles(status["roles"])
        yield from self._counters(status)

    def _counters(self, status: Values | None) -> Iterator[Metric]:
        """Yield what has been counted; what may come is there from the beginning, as 0."""
        hosts = [host["name"] for host in status["hosts"]] if status else []
        roles = [role["name"] for role in status["roles"] if role["mode"] == "exclusive"] if status else []
        moves = CounterMetricFamily(
            "mmm_moves", "Moves of exclusive roles to another host.", labels=["role", "kind"]
        )
        for role, kind in sorted({*self._moves, *((role, kind) for role in roles for kind in KINDS)}):
            moves.add_metric([role, kind], self._moves[role, kind])
        changes = CounterMetricFamily(
            "mmm_state_changes", "Changes of a host's state.", labels=["host", "to"]
        )
        for host, to in sorted({*self._changes, *((host, to) for host in hosts for to in STATES)}):
            changes.add_metric([host, to], self._changes[host, to])
        yield moves
        yield changes
        yield CounterMetricFamily(
            "mmm_lost_transactions", "Transactions that failovers have lost at most, where that is known.",
            value=self._lost[True],
        )  # fmt: skip
        yield CounterMetricFamily(
            "mmm_unknown_losses", "Failovers of which nobody knows how many transactions they have lost.",
            value=self._lost[False],
        )  # fmt: skip


def kind_of(change: Values) -> str:
    """Return why a role moved: by an order, because its host failed, or for another reason."""
    why = change.get("why") or {}
    if why.get("code") == "admin":
        return "planned"
    lost = why.get("code") == "state" and why.get("fields", {}).get("state") not in (None, "ONLINE")
    return "failover" if lost else "other"


def _of_monitor(status: Values) -> Iterator[Metric]:
    monitor, health = status["monitor"], status["health"]
    yield InfoMetricFamily("mmm_build", "The version of the monitor.", value={"version": monitor["version"]})
    yield _one_hot("mmm_mode", "The monitor's mode.", "mode", MODES, monitor["mode"])
    yield _one_hot("mmm_health", "What mmm_control health says.", "status", HEALTH, health["status"])
    yield GaugeMetricFamily(
        "mmm_network_up", "The monitor reaches its network (1).", value=monitor["network_up"]
    )
    yield GaugeMetricFamily(
        "mmm_other_monitor", "Agents obey another monitor (1).", value=monitor["other_monitor"] is not None
    )
    reasons = GaugeMetricFamily("mmm_warnings", "What is to be warned of now.", labels=["level"])
    for level in ("WARNING", "CRITICAL"):
        reasons.add_metric([level], sum(reason["level"] == level for reason in health["reasons"]))
    yield reasons


def _of_hosts(hosts: Iterable[Values]) -> Iterator[Metric]:
    state = StateSetMetricFamily("mmm_host_state", "A host's state.", labels=["host"])
    lag = GaugeMetricFamily(
        "mmm_replication_lag_seconds", "How far a host is behind its source.", labels=["host"]
    )
    since = GaugeMetricFamily(
        "mmm_host_state_changed_timestamp_seconds", "When it came to its state.", labels=["host"]
    )
    flapping = GaugeMetricFamily("mmm_host_flapping", "It went out of use too often (1).", labels=["host"])
    agent = GaugeMetricFamily("mmm_agent_reachable", "Its agent answers (1).", labels=["host"])
    refused = GaugeMetricFamily(
        "mmm_agent_order_failed", "Its agent could not do as ordered (1).", labels=["host"]
    )
    good = GaugeMetricFamily("mmm_check_good", "A check has not failed (1).", labels=["host", "check"])
    changed = GaugeMetricFamily(
        "mmm_check_changed_timestamp_seconds", "When a check became good or failed.", labels=["host", "check"]
    )
    for host in hosts:
        name = [host["name"]]
        state.add_metric(name, {each: each == host["state"] for each in STATES})
        since.add_metric(name, host["since"])
        flapping.add_metric(name, host["flapping"])
        agent.add_metric(name, host["agent"]["unreachable"] is None)
        refused.add_metric(name, host["agent"]["error"] is not None)
        if host["lag"] is not None:
            lag.add_metric(name, host["lag"])
        for check, found in host["checks"].items():
            if found["result"] != "UNKNOWN":
                good.add_metric([*name, check], not found["failed"])
            changed.add_metric([*name, check], found["changed"])
    yield from (state, since, flapping, lag, agent, refused, good, changed)


def _of_roles(roles: Iterable[Values]) -> Iterator[Metric]:
    names = ["role", "vip", "host"]
    assigned = GaugeMetricFamily(
        "mmm_role_assigned", "A VIP of a role is meant to be on the host (1).", labels=names
    )
    held = GaugeMetricFamily(
        "mmm_role_held", "The host's agent has confirmed that it holds it (1).", labels=names
    )
    writer = GaugeMetricFamily("mmm_writer_held", "A host holds the writer role (1).")
    for role in roles:
        for ip in role["ips"]:
            for host in role["hosts"]:
                assigned.add_metric([role["name"], ip["ip"], host], ip["holder"] == host)
                held.add_metric([role["name"], ip["ip"], host], host in ip["confirmed"])
            if role["writer"]:
                writer.add_metric([], bool(ip["confirmed"]))
    yield from (assigned, held, writer)


def _one_hot(name: str, text: str, label: str, all_of_them: Iterable[str], now: str) -> Metric:
    """Return a gauge that is 1 for what is so now and 0 for all else."""
    metric = GaugeMetricFamily(name, text, labels=[label])
    for each in all_of_them:
        metric.add_metric([each], each == now)
    return metric
