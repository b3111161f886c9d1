"""A standby that receives nothing, though its server says that it is not behind (rule 10.10)."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from mmm.gtid import mysql
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.transactions import Executed, Transactions
from mmm.monitor.apply.apply import apply
from mmm.monitor.apply.quiet import only_transactions
from mmm.monitor.assess import promotion, silent_lag
from mmm.monitor.report.log_lines import between
from mmm.monitor.world.check_results import Look, Replica, ReplicaChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.world import World
from tests.unit.worlds import (
    NOW,
    WRITER,
    checks,
    cluster,
    finds,
    settle,
    show,
    with_host,
    world,
)

Has = Callable[[int], Executed]
UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def mariadb(last: int) -> Executed:
    return History(applied=(), logged=(Gtid(0, 1, last),))


def from_mysql(last: int) -> Executed:
    return mysql.parse(f"{UUID}:1-{last}")


FAMILIES = pytest.mark.parametrize("has", [mariadb, from_mysql], ids=["MariaDB", "MySQL"])


def look(before: World, name: str, executed: Executed | None, at: float, origin: str = "") -> World:
    """Let a check of the host's replica end that found it not behind."""
    own = "1" if isinstance(executed, History) else UUID
    has = Transactions(at, origin=origin or (own if name == "db1" else "other"), executed=executed)
    result = ReplicaChecked(
        name, "rep_backlog", finds(Outcome.OK), Look(Replica("10.0.0.1", uses_gtid=True, behind=0.0), has)
    )
    return apply(before, result, at)


def writing(limit: float | None = None) -> World:
    return replace(world(conf=cluster(max_lag_on_failover=limit)), last_writer="db1")


@FAMILIES
def test_one_that_follows_has_no_lag_however_the_looks_fall(has: Has) -> None:
    after = writing()
    for second in range(5):
        after = look(after, "db2", has(100 * second + 60), NOW + second - 0.3)
        after = look(after, "db1", has(100 * second + 100), NOW + second)
    assert silent_lag.lag(after, "db2") <= 1.0
    after = look(after, "db2", has(500), NOW + 5)
    assert silent_lag.lag(after, "db2") == 0.0


@FAMILIES
def test_one_that_gets_nothing_is_as_far_behind_as_the_writer_went_on(has: Has) -> None:
    after = writing()
    for second in range(13):
        after = look(after, "db1", has(100 + second), NOW + second)
        after = look(after, "db2", has(100), NOW + second + 0.1)
    assert silent_lag.lag(after, "db2") == 11.0, "the first look that it lacks is that of the second"
    said = "host db2 has received nothing that db1 wrote for 11 s, though its replication runs"
    assert f"# Warning: {said}" in show(after)
    later = look(after, "db2", has(112), NOW + 14)
    assert silent_lag.lag(later, "db2") == 0.0
    assert "got nothing" not in show(later)
    assert (logging.INFO, "db2: it receives what is written again") in list(between(after, later))


def test_it_is_said_in_the_log_when_it_is_seen() -> None:
    after, lines = writing(), []
    for second in range(13):
        after = look(after, "db1", mariadb(100 + second), NOW + second)
        before = after
        after = look(before, "db2", mariadb(100), NOW + second + 0.1)
        found = [line for line in between(before, after) if "replicate" not in line[1]]
        has = Transactions(0.0)
        result = ReplicaChecked("db2", "rep_backlog", finds(Outcome.OK), Look(None, has))
        assert not (found and only_transactions(before, after, result)), "the shell has to look at it"
        lines += found
    assert [line.partition(",")[0] for _, line in lines] == [
        "db2 has received nothing that db1 wrote for 10 s"
    ]


def test_a_writer_at_rest_leaves_nobody_behind() -> None:
    after = writing()
    for second in range(60):
        after = look(after, "db1", mariadb(100), NOW + second)
        after = look(after, "db2", mariadb(100), NOW + second + 0.1)
    assert silent_lag.lag(after, "db2") == 0.0


def test_what_is_lost_with_the_writer_is_no_lag() -> None:
    after = look(look(writing(limit=1.0), "db1", mariadb(100), NOW), "db2", mariadb(99), NOW + 0.1)
    after = look(after, "db2", mariadb(99), NOW + 30)
    assert promotion.lacks(with_host(after, "db1", checks=checks(mysql=NOW)), "db2") is None


def test_one_that_got_nothing_for_long_is_not_promoted_by_itself() -> None:
    after = writing()
    for second in range(63):
        after = look(after, "db1", mariadb(100 + second), NOW + second)
        after = look(after, "db2", mariadb(100), NOW + second + 0.1)
    dead = settle(with_host(after, "db1", checks=checks(mysql=NOW + 63)), NOW + 63)[0]
    assert dead.owner[WRITER] is None
    why = "it has received nothing that db1 wrote for 61 s, though its replication runs; max_lag_on_failover is 60 s"
    assert why in str(promotion.held_back(dead))
    progress = dead.hosts["db2"].progress
    assert progress.transactions is not None
    detached = replace(progress, transactions=replace(progress.transactions, detached=True))
    why = "it is detached from its source, and has received nothing that db1 wrote for 61 s; max_lag_on_failover is"
    assert why in str(promotion.held_back(with_host(dead, "db2", progress=detached)))


def test_what_it_never_gets_is_no_stall() -> None:
    """A dump was loaded into it, or it leaves a domain out: what is behind that hole comes in order."""
    old, ours = "5d22fa47-71ca-11e1-9e33-c80aa9429562", UUID

    def writer(last: int) -> Executed:
        return mysql.parse(f"{ours}:1-{last},{old}:1-7")

    def dumped(last: int) -> Executed:
        return mysql.parse(f"{ours}:1001-{last}")

    def domains(last: int) -> Executed:
        return History(applied=(), logged=(Gtid(0, 1, last), Gtid(5, 1, last)))

    def one_domain(last: int) -> Executed:
        return History(applied=(Gtid(0, 1, last),), logged=())

    for there, here, origin in ((writer, dumped, ours), (domains, one_domain, "1")):
        after = writing()
        for second in range(70):
            after = look(after, "db1", there(5000 + second), NOW + second, origin)
            after = look(after, "db2", here(5000 + second), NOW + second + 0.1)
        assert silent_lag.lag(after, "db2") == 0.0
        for second in range(70, 90):  # then it does stall
            after = look(after, "db1", there(5000 + second), NOW + second, origin)
            after = look(after, "db2", here(5069), NOW + second + 0.1)
        assert silent_lag.lag(after, "db2") == 19.0
