"""By which cause mmm_web counts a move of a role, also one on whose way nobody had it."""

from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from mmm.monitor.report.changes import encoded
from mmm.monitor.report.history import entry
from mmm.monitor.world.happened import Happened, Why
from mmm.monitor.world.host import State
from mmm.web.metrics import KINDS, Metrics
from tests.unit.worlds import WRITER, because


def state(after: State, host: str = "db1") -> Why:
    return Why("state", {"host": host, "state": after, "rule": "r", "why": because("r", "no answer")})


ADMIN, DEAD, OFF = Why("admin"), state(State.HARD_OFFLINE), state(State.ADMIN_OFFLINE)
BACK = state(State.ONLINE, "db2")


def moved(source: str | None, target: str | None, why: Why | None) -> dict[str, Any]:
    return encoded(entry(1.0, Happened("moved", {"vip": WRITER, "source": source, "target": target}), why))


@pytest.mark.parametrize(
    ("moves", "kind"),
    [
        ([("db1", "db2", DEAD)], "failover"),
        ([("db1", "db2", ADMIN)], "planned"),
        ([("db1", "db2", OFF)], "planned"),
        ([("db1", "db2", None)], "other"),
        ([("db1", None, ADMIN), (None, "db2", None)], "planned"),
        ([("db1", None, OFF), (None, "db2", BACK)], "planned"),
        ([("db1", None, DEAD), (None, "db2", None)], "failover"),
        ([("db1", None, DEAD), (None, "db2", BACK)], "failover"),
        ([("db1", None, DEAD), (None, "db2", ADMIN)], "planned"),
        ([(None, "db2", BACK)], "other"),
    ],
)
def test_a_move_is_counted_once_by_why_its_old_host_lost_the_role(
    moves: list[tuple[str | None, str | None, Why | None]], kind: str
) -> None:
    metrics = Metrics()
    for each in moves:
        metrics.heard(moved(*each))
    samples = {each.labels["kind"]: each.value for each in counted(metrics)}
    assert samples == {kind: 1}
    metrics.heard(moved("db2", "db1", None))
    assert {each.labels["kind"] for each in counted(metrics)} == {kind, "other"}, (
        "that was of the first alone"
    )


def counted(metrics: Metrics) -> list[Any]:
    (family,) = (each for each in metrics.registry.collect() if each.name == "mmm_moves")
    return [each for each in family.samples if each.labels.get("kind") in KINDS]
