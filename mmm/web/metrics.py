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
FAILOVER, PLANNED, OTHER = KINDS = ("failover", "planned", "other")
_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

Values = Mapping[str, Any]


class Metrics:
    """What is counted, and a collector of it and of the status that `shown` is given."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._moves: Counter[tuple[str, str]] = Counter()
        self._changes: Counter[tuple[str, str]] = Counter()
        self._lost = Counter[bool]()
        self._losses: dict[tuple[str, str], list[int | None]] = {}
        """All estimates of what a failover has lost, by the hosts from and to which the writer went."""
        self._left: dict[str, str] = {}
        """Why the VIPs that nobody holds were taken from their hosts."""
        self._took = Histogram(
            "mmm_move_duration_seconds",
            "How long a move of an exclusive role took, from its begin until the new holder had confirmed it.",
            ["role", "kind"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._status: Values | None = None
        self._on_disk: str | None = None
        self.registry.register(self)

    def heard(self, change: Values) -> None:
        """Count a change."""
        event = change.get("event") or {}
        fields = event.get("fields", {})
        match event.get("code"):
            case "state":
                self._changes[str(fields.get("host")), str(fields.get("after"))] += 1
                if fields.get("after") == "ONLINE":
                    self._is_back(str(fields.get("host")))
            case "moved":
                self._moved(change, str(fields.get("vip")), arrived=bool(fields.get("target")))
                self._is_back(str(fields.get("target")))
            case "loss":
                self._estimated(change.get("loss") or {})

    def _estimated(self, loss: Values) -> None:
        """Count by how much a failover has lost more than was known of it, and once that nobody knew."""
        most: int | None = loss.get("most")
        known = self._losses.setdefault((str(loss.get("host")), str(loss.get("taker"))), [])
        if most is None:
            self._lost[False] += None not in known
        else:
            self._lost[True] += max(0, most - max((each for each in known if each is not None), default=0))
        known.append(most)

    def _is_back(self, host: str) -> None:
        """Take what is lost from now on with a host for that of another failover: it had the writer in between."""
        self._losses = {hosts: known for hosts, known in self._losses.items() if hosts[0] != host}

    def _moved(self, change: Values, vip: str, *, arrived: bool) -> None:
        """Count a move when it has come to a host, by the reason for which the VIP was taken from the one before."""
        kind, left = kind_of(change), self._left.pop(vip, OTHER)
        if not arrived:
            self._left[vip] = left if kind == OTHER else kind
            return
        role, kind = vip.partition("(")[0], left if kind == OTHER else kind
        self._moves[role, kind] += 1
        if change.get("took") is not None:
            self._took.labels(role, kind).observe(change["took"])

    def shown(self, status: Values | None, on_disk: str | None = None) -> None:
        """Collect this status from now on, and the fingerprint of the conf as it is written now.

        None: the monitor does not answer; the conf cannot be read.
        """
        self._status, self._on_disk = status, on_disk
        for role, kind in _possible_moves(status):
            self._took.labels(role, kind)  # from then on it is there, with 0 moves

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        status = self._status
        yield GaugeMetricFamily("mmm_up", "The monitor answers (1).", value=status is not None)
        yield _hash("mmm_conf_file", "The conf as it is written here now.", self._on_disk)
        if status is not None:
            yield from _of_monitor(status)
            yield from _of_hosts(status["hosts"])
            yield from _of_figures(status["hosts"])
            yield from _of_leases(status["hosts"])
            yield from _of_roles(status["roles"])
        yield from self._counters(status)

    def _counters(self, status: Values | None) -> Iterator[Metric]:
        """Yield what has been counted; what may come is there from the beginning, as 0."""
        hosts = [host["name"] for host in status["hosts"]] if status else []
        moves = CounterMetricFamily(
            "mmm_moves", "Moves of exclusive roles to another host.", labels=["role", "kind"]
        )
        for role, kind in sorted({*self._moves, *_possible_moves(status)}):
            moves.add_metric([role, kind], self._moves[role, kind])
        changes = CounterMetricFamily(
            "mmm_state_changes", "Changes of a host's state.", labels=["host", "to"]
        )
        for host, to in sorted({*self._changes, *((host, to) for host in hosts for to in STATES)}):
            changes.add_metric([host, to], self._changes[host, to])
        yield moves
        yield changes
        yield CounterMetricFamily(
            "mmm_lost_transactions", "What failovers have lost at most, by the highest estimate of each.",
            value=self._lost[True],
        )  # fmt: skip
        yield CounterMetricFamily(
            "mmm_unknown_losses", "Failovers of which nobody knew, for a while at least, what they have lost.",
            value=self._lost[False],
        )  # fmt: skip


def _possible_moves(status: Values | None) -> list[tuple[str, str]]:
    """Return each exclusive role with every kind of move."""
    roles = status["roles"] if status else ()
    return [(role["name"], kind) for role in roles if role["mode"] == "exclusive" for kind in KINDS]


def kind_of(change: Values) -> str:
    """Return why a role moved: by an order, because its host failed, or for another reason."""
    why = change.get("why") or {}
    state = why.get("fields", {}).get("state") if why.get("code") == "state" else None
    if why.get("code") == "admin" or state == "ADMIN_OFFLINE":
        return PLANNED
    return OTHER if state in (None, "ONLINE") else FAILOVER


def _of_monitor(status: Values) -> Iterator[Metric]:
    monitor, health = status["monitor"], status["health"]
    yield InfoMetricFamily("mmm_build", "The version of the monitor.", value={"version": monitor["version"]})
    yield _hash("mmm_conf", "The conf that the monitor goes by.", monitor.get("conf"))
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
    yield from _of_monitors(monitor["lead"])


def _of_monitors(lead: Values | None) -> Iterator[Metric]:
    """Yield which of several monitors leads, and who keeps it so; nothing of the only one."""
    leads = GaugeMetricFamily("mmm_monitor_leads", "The monitor gives the orders (1).", labels=["monitor"])
    answers = GaugeMetricFamily(
        "mmm_monitor_answers", "The monitor answers the others (1).", labels=["monitor"]
    )
    voters = GaugeMetricFamily(
        "mmm_voter_answers", "The host's agent votes on who leads (1).", labels=["host"]
    )
    if lead is not None:
        for each in lead["monitors"]:
            leads.add_metric([each["ip"]], each["leads"])
            answers.add_metric([each["ip"]], each["answers"])
        for host in lead["voters"]:
            voters.add_metric([host], host not in lead["missing"])
    yield from (leads, answers, voters)


def _of_hosts(hosts: Iterable[Values]) -> Iterator[Metric]:
    state = StateSetMetricFamily("mmm_host_state", "A host's state.", labels=["host"])
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
        for check, found in host["checks"].items():
            if found["result"] != "UNKNOWN":
                good.add_metric([*name, check], not found["failed"])
            changed.add_metric([*name, check], found["changed"])
    yield from (state, since, flapping, agent, refused, good, changed)


def _of_leases(hosts: Iterable[Values]) -> Iterator[Metric]:
    """Yield how much is left of what hosts were granted of the writer role; of an older monitor nothing is known."""
    left = GaugeMetricFamily(
        "mmm_writer_lease_left_seconds", "How long the host may hold the writer role yet.", labels=["host"]
    )
    endless = GaugeMetricFamily(
        "mmm_writer_lease_endless", "The host's lease of the writer role has no end (1).", labels=["host"]
    )
    for host in hosts:
        if lease := host.get("lease"):
            endless.add_metric([host["name"]], lease["left"] is None)
            if lease["left"] is not None:
                left.add_metric([host["name"]], lease["left"])
    yield from (left, endless)


def _of_figures(hosts: Iterable[Values]) -> Iterator[Metric]:
    """Yield how far hosts are behind, and how long checks took, as far as that is known."""
    lag = GaugeMetricFamily(
        "mmm_replication_lag_seconds", "How far a host is behind its source.", labels=["host"]
    )
    missing = GaugeMetricFamily(
        "mmm_missing_transactions", "What a host has not applied of what the writer had.", labels=["host"]
    )
    ahead = GaugeMetricFamily(
        "mmm_extra_transactions", "What a host has and the active master has not.", labels=["host"]
    )
    took = GaugeMetricFamily(
        "mmm_check_duration_seconds", "How long the newest run of a check took.", labels=["host", "check"]
    )
    for host in hosts:
        for figure, value in (
            (lag, host["lag"]),
            (missing, host.get("missing")),
            (ahead, host.get("ahead")),
        ):
            if value is not None:
                figure.add_metric([host["name"]], value)
        for check, found in host["checks"].items():
            if (seconds := found.get("took")) is not None:
                took.add_metric([host["name"], check], seconds)
    yield from (lag, missing, ahead, took)


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


def _hash(name: str, text: str, value: str | None) -> Metric:
    """Return an info metric of a conf's fingerprint; without a sample where that is not known."""
    metric = InfoMetricFamily(name, text, labels=[])
    if value is not None:
        metric.add_metric([], {"hash": value})
    return metric


def _one_hot(name: str, text: str, label: str, all_of_them: Iterable[str], now: str) -> Metric:
    """Return a gauge that is 1 for what is so now and 0 for all else."""
    metric = GaugeMetricFamily(name, text, labels=[label])
    for each in all_of_them:
        metric.add_metric([each], each == now)
    return metric
