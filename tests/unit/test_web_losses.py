"""What mmm_web counts as lost: each failover once, however often the monitor knows better."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from mmm.monitor.report import losses
from mmm.monitor.report.changes import encoded
from mmm.monitor.report.history import entry
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.loss import Loss, LossCode
from mmm.web.metrics import Metrics
from tests.unit.worlds import CLOCK, NOW, WRITER


def lost(most: int | None, host: str = "db1", taker: str = "db2") -> dict[str, Any]:
    code = LossCode.LOOKED_ONCE if most is None else LossCode.AT_MOST
    loss = Loss(host, taker, NOW, taken=NOW, code=code, most=most, missing=most or 0, seen=NOW, rate=1.0)
    loss = replace(loss, rate_age=0.0, about={"lacks": ""})
    said = Happened("loss", {"said": losses.said(loss, CLOCK)})
    return encoded(replace(entry(1.0, said), loss=losses.encoded(loss, CLOCK)))


def online(host: str) -> dict[str, Any]:
    states = {"host": host, "before": State.AWAITING_RECOVERY, "after": State.ONLINE}
    return encoded(entry(1.0, Happened("state", states)))


def moved(source: str | None, target: str | None) -> dict[str, Any]:
    return encoded(entry(1.0, Happened("moved", {"vip": WRITER, "source": source, "target": target})))


def counted(changes: Iterable[dict[str, Any]]) -> tuple[float, float]:
    """Return how many transactions are counted as lost, and how many losses as unknown."""
    metrics = Metrics()
    for change in changes:
        metrics.heard(change)
    values = {each.name: each.samples[0].value for each in metrics.registry.collect() if "lo" in each.name}
    return values["mmm_lost_transactions"], values["mmm_unknown_losses"]


THERE = moved("db1", "db2")


@pytest.mark.parametrize(
    ("changes", "sums"),
    [
        ([lost(12), THERE, lost(20), lost(3)], (20, 0)),
        ([lost(None), THERE, lost(None), lost(5), lost(None)], (5, 1)),
        ([lost(5), THERE, lost(7), online("db1"), THERE, lost(4)], (11, 0)),
        ([lost(5), THERE, moved("db2", "db1"), lost(None), THERE, lost(4), lost(None)], (9, 1)),
        ([lost(5), THERE, lost(2, "db2", "db3"), moved("db2", "db3"), lost(3, "db2", "db3")], (8, 0)),
        ([lost(5), THERE, moved("db2", None), online("db3"), lost(6)], (6, 0)),
    ],
)
def test_each_failover_is_counted_by_its_highest_estimate(
    changes: list[dict[str, Any]], sums: tuple[int, int]
) -> None:
    assert counted(changes) == sums
