"""A host that was detached from a lost master, lost the role to it, and finds nobody active master (rule 10.16)."""

from dataclasses import replace

import pytest

from mmm.gtid.transactions import Transactions
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide.reconcile import wanted
from mmm.monitor.world.check_results import Link, Look, Replica, ReplicaChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from tests.unit.worlds import NOW, WRITER, finds, take_turn, with_host, world

LEFT = Transactions(NOW, "1", source_ip="10.0.0.2", source_port=3306, detached=True)
ADMIN, HARD, AWAITING = State.ADMIN_OFFLINE, State.HARD_OFFLINE, State.AWAITING_RECOVERY


def after_db2(
    state: State = ADMIN, *, last: str | None = "db2", read: Transactions = LEFT, lost: bool = False
) -> World:
    """Return the world in which db2, which wrote last, has lost the role; db1 is detached from it."""
    before = replace(world({WRITER: None}), last_writer=last)
    before = with_host(before, "db2", state=state, lost=lost)
    host = before.hosts["db1"]
    return with_host(before, "db1", progress=replace(host.progress, transactions=read))


def test_it_gets_what_the_one_that_wrote_last_has() -> None:
    assert wanted(after_db2(), "db1", NOW).attach
    assert not wanted(after_db2(read=replace(LEFT, detached=False)), "db1", NOW).attach
    assert not wanted(after_db2(read=replace(LEFT, source_ip="10.0.0.9")), "db1", NOW).attach
    assert not any(wanted(after_db2(), name, NOW).attach for name in ("db2", "db3"))


@pytest.mark.parametrize(
    "before",
    [
        after_db2(HARD),
        after_db2(AWAITING),
        after_db2(lost=True),
        after_db2(last="db1"),
        after_db2(last=None),
        after_db2(State.ONLINE).with_owner({WRITER: "db1"}),
    ],
)
def test_it_stays_detached_from_one_that_was_lost_or_where_it_wrote_last_itself(before: World) -> None:
    assert not wanted(before, "db1", NOW).attach


def test_nor_is_it_promoted_before_it_is_attached() -> None:
    """Its checks were good, for nobody is active master: it took writes without what the other had written."""
    result = ReplicaChecked(
        "db1",
        "rep_threads",
        finds(Outcome.ERROR, "detached from 10.0.0.2"),
        Look(Replica("10.0.0.2", uses_gtid=True, link=Link.DETACHED), transactions=LEFT),
    )
    before = with_host(after_db2(), "db1", state=AWAITING, since=NOW - 3600.0)
    before = apply(before, result, NOW)
    assert before.hosts["db1"].checks["rep_threads"].error_since is not None
    online = with_host(before, "db1", state=State.ONLINE)
    after, orders = take_turn(online, NOW + 0.1)
    assert after.owner[WRITER] is None
    (order,) = [order for order in orders if order.host == "db1"]
    assert isinstance(order, Tell)
    assert order.status.attach
    assert WRITER not in order.status.vips
