"""Whom the next writer follows first, and who is not told of it before: a writer was lost, a slave has more."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.mysql import GtidSet
from mmm.gtid.place import LogPlace
from mmm.gtid.transactions import Executed, Transactions, surplus, union
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import behind_others
from mmm.monitor.report import losses
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.link import Kind
from mmm.monitor.world.orders import Order, Tell
from mmm.monitor.world.world import World
from mmm.wire.caught_up import CaughtUp, Cause
from tests.unit.worlds import (
    CLOCK,
    NOW,
    WRITER,
    answer,
    checks,
    cluster,
    settle,
    take_turn,
    with_agent,
    with_host,
    world,
)

LATER = NOW + 1


def has(last: int, seen: float = LATER, of: str = "3", more: History | None = None) -> Transactions:
    """A replica that has db1's transactions up to a number."""
    return Transactions(seen, of, more or History((Gtid(0, 1, last),), (Gtid(0, 1, last),)))


def lost(*, refuses: bool = True, slaves: int = 1, **replicas: Transactions) -> World:
    """The world in which db1, which wrote last, has failed and is without the role; db2 is to have it."""
    before = replace(world(conf=cluster(slaves=slaves)), last_writer="db1")
    failed = checks(mysql=NOW)
    refused = replace(failed["mysql"], refused=refuses, refused_since=NOW if refuses else None)
    before = with_host(before, "db1", checks={**failed, "mysql": refused})
    for name, transactions in replicas.items():
        before = with_host(before, name, transactions=transactions)
    return before


def told(orders: list[Order], host: str) -> list[Tell]:
    return [order for order in orders if isinstance(order, Tell) and order.host == host]


def test_the_next_writer_follows_the_slave_that_has_more_and_that_one_is_told_later() -> None:
    after, orders = settle(lost(db2=has(100, of="2"), db3=has(103)), LATER)
    (taking,) = [order for order in told(orders, "db2") if WRITER in order.status.vips]
    assert taking.status.catch_up == ("db3",)
    follows = [order for order in told(orders, "db3") if order.status.master == "db2"]
    assert follows
    assert min(map(orders.index, follows)) > orders.index(taking)
    told_last = after.hosts["db3"].agent.told
    assert told_last is not None
    assert told_last.master == "db2"


def test_a_slave_with_no_more_is_not_followed_unless_it_may_have_got_more_since() -> None:
    equal = lost(db2=has(100, of="2"), db3=has(100))
    assert all(not order.status.catch_up for order in told(settle(equal, LATER)[1], "db2"))
    looked_at_before = lost(db2=has(100, of="2"), db3=has(100, seen=NOW - 3))
    assert any(order.status.catch_up == ("db3",) for order in told(settle(looked_at_before, LATER)[1], "db2"))
    silent = lost(refuses=False, db2=has(100, of="2"), db3=has(100))
    assert any(order.status.catch_up == ("db3",) for order in told(settle(silent, LATER)[1], "db2"))


def test_what_was_written_on_a_slave_is_nothing_to_follow_it_for() -> None:
    own = History((Gtid(0, 1, 100),), (Gtid(0, 1, 100), Gtid(0, 3, 101)))
    after = lost(db2=has(100, of="2"), db3=has(0, more=own))
    assert all(not order.status.catch_up for order in told(settle(after, LATER)[1], "db2"))


def test_nobody_is_followed_in_a_planned_move() -> None:
    before = replace(world(), last_writer="db1")
    for name, last in (("db1", 100), ("db2", 100), ("db3", 103)):
        before = with_host(before, name, transactions=has(last, of=name[-1]))
    before = before.with_owner({WRITER: "db2"})
    assert all(not order.status.catch_up for order in told(settle(before, LATER)[1], "db2"))


def test_a_slave_with_an_agent_of_mmm2_goes_on_at_the_end_of_the_log_and_would_get_twice_what_comes() -> None:
    classic = with_agent(lost(db2=has(100, of="2"), db3=has(103)), "db3", kind=Kind.MMM2)
    assert all(not order.status.catch_up for order in told(settle(classic, LATER)[1], "db2"))


def test_a_host_that_does_not_answer_is_not_followed() -> None:
    dead = with_host(lost(db2=has(100, of="2"), db3=has(103)), "db3", checks=checks(mysql=NOW))
    assert all(not order.status.catch_up for order in told(settle(dead, LATER)[1], "db2"))


def test_without_gtids_one_that_is_further_is_named_though_nothing_can_be_had() -> None:
    def at(place: int) -> Transactions:
        log = LogPlace("log.000001", place)
        return Transactions(LATER, "3", None, source_ip="10.0.0.1", source_port=3306, read=log, applied=log)

    _, orders = settle(lost(db2=at(400), db3=at(500)), LATER)
    assert any(order.status.catch_up == ("db3",) for order in told(orders, "db2"))
    _, orders = settle(lost(db2=at(500), db3=at(500)), LATER)
    assert all(not order.status.catch_up for order in told(orders, "db2"))


def test_what_was_got_and_what_not_is_said_with_the_loss() -> None:
    before = lost(db2=has(100, of="2"), db3=has(103))
    before, orders = take_turn(before, LATER)
    for _ in range(9):
        for order in orders:
            if isinstance(order, Tell) and order.status.catch_up:
                done = (
                    CaughtUp("db3", 3, ("0-1-101 to 0-1-103",)),
                    CaughtUp("db4", 0, (), 2, ("0-1-104 to 0-1-105",), cause=Cause.NO_LOG),
                )
                event = Answered(order.host, order.number, Answer.OK, "OK", 501.0, "b.1", caught_up=done)
                before = apply(before, event, LATER)
            else:
                before = answer(before, order, now=LATER)
        before, orders = take_turn(before, LATER + 20)
    assert before.loss is not None
    assert before.loss.known
    said = str(losses.said(before.loss, CLOCK))
    assert "; 3 transactions (0-1-101 to 0-1-103) got from db3 first" in said
    assert (
        "; not got from db4: 2 transactions (0-1-104 to 0-1-105): it does not log what it replicates" in said
    )
    values = losses.encoded(before.loss, CLOCK)["caught_up"]
    assert [(got["host"], got["count"], got["left"], got["why"]) for got in values] == [
        ("db3", 3, 0, ""),
        ("db4", 0, 2, "no_log"),
    ]


ORIGINS = ("3e11fa47-71ca-11e1-9e33-c80aa9429562", "4d22fa47-71ca-11e1-9e33-c80aa9429562")
INTERVAL = st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda of: (of[0], of[0] + of[1]))
SETS = st.dictionaries(st.sampled_from(ORIGINS), INTERVAL, max_size=2).map(
    lambda of: GtidSet({origin: (interval,) for origin, interval in of.items()})
)
IDS = st.tuples(st.integers(0, 1), st.integers(1, 2), st.integers(1, 30)).map(lambda of: Gtid(*of))
HISTORIES = st.lists(IDS, max_size=4).map(lambda ids: union(History((), ()), History(tuple(ids), tuple(ids))))


@given(st.sampled_from([SETS, HISTORIES]).flatmap(lambda kind: st.lists(kind, min_size=2, max_size=6)))
def test_who_follows_them_in_that_order_has_what_all_of_them_have(all_have: list[Executed]) -> None:
    replicas = [Transactions(0.0, f"origin{number}", has) for number, has in enumerate(all_have)]
    ours, others = replicas[0], replicas[1:]
    named = {f"db{number}": theirs for number, theirs in enumerate(others)}
    has_then = ours.executed
    for name in behind_others.in_order(ours, named):
        assert more_of(named[name], has_then), f"{name} has nothing more"
        has_then = with_all_of(named[name], has_then)
    assert not any(more_of(theirs, has_then) for theirs in others)


def more_of(theirs: Transactions, here: Executed | None) -> bool:
    assert theirs.executed is not None
    assert here is not None
    return surplus(theirs.executed, here) is not None


def with_all_of(theirs: Transactions, here: Executed | None) -> Executed:
    assert theirs.executed is not None
    assert here is not None
    return union(here, theirs.executed)
