"""Hosts that have transactions which others lack: named, kept out of use, and taken back when that is mended."""

import re
from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.restore import make_equal
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import catch_up, host_facts, settle
from tests.scenarios import (
    ALL_ONLINE,
    LIMIT,
    Log,
    check_line,
    has_readers,
    move_writer,
    replicates,
    switch_off,
    wait_failed,
)

pytestmark = pytest.mark.sandbox


@pytest.fixture
def notes(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give the cluster a table that only the test writes to, on every host."""
    sandbox.sql("db1", "CREATE OR REPLACE TABLE sandbox.notes (what VARCHAR(20))")
    catch_up(sandbox)
    yield sandbox
    heal(sandbox)
    sandbox.wait_until(sandbox.writer, LIMIT, "there is a writer")
    make_equal(sandbox)  # logs with transactions out of their order concern nobody else
    writer = sandbox.writer()
    assert writer is not None
    sandbox.sql(writer, "DROP TABLE IF EXISTS sandbox.notes")


def write(sandbox: Sandbox, host: str, *what: str) -> None:
    """Write as a client on the host itself does, who may write in spite of read_only."""
    for one in what:
        sandbox.sql(host, f"INSERT INTO sandbox.notes VALUES ('{one}')")  # noqa: S608


def lost_writer(sandbox: Sandbox, *what: str) -> Log:
    """Cut the writer off with a client on it that goes on writing, and let the others go on without it."""
    log = Log(sandbox)
    inject(sandbox, "cut", "db1")
    write(sandbox, "db1", *what)
    log.wait("db2: told ONLINE, .*writer.*: OK")
    wait_failed(log, "db1", "ping", "mysql")
    return log


def test_a_lost_writer_with_writes_that_nobody_got_stays_out_until_it_is_forced(notes: Sandbox) -> None:
    sandbox = notes
    log = lost_writer(sandbox, "1", "2", "3")
    wait_detached(sandbox)  # so it was asked what it had when it took over
    write(sandbox, "db2", "4")
    heal(sandbox)
    log.wait("ERROR db1: it has (up to )?3 transactions .* that db2 lacked")
    log.wait_change("db1", "AWAITING_RECOVERY")
    log.wait("db1: told AWAITING_RECOVERY, no roles: OK")
    log.wait("INFO db1: mysql is good again")
    assert re.search(r"# Warning: host db1 has (up to )?3 transactions \(0-1-", sandbox.ask("show"))
    assert "kept AWAITING_RECOVERY (has_more_than_active_master): it has " in sandbox.ask("explain db1")
    assert sandbox.ask("set_online db1").startswith("ERROR: Host 'db1' stays AWAITING_RECOVERY: it has ")
    assert sandbox.ask("set_online --force db1").startswith("OK")
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    assert "host db1 has" not in sandbox.ask("show")
    settle(sandbox)
    assert log.story("db1") == [
        ("ONLINE", "HARD_OFFLINE", "host_failed"),
        ("HARD_OFFLINE", "AWAITING_RECOVERY", "back"),
        ("AWAITING_RECOVERY", "ONLINE", "set_online"),
    ]


def test_the_new_writer_takes_nothing_of_the_lost_one_before_the_admin_says_so(notes: Sandbox) -> None:
    """An UPDATE of the lost writer, replicated as a row, would put an old value over a newer one."""
    sandbox = notes
    sandbox.sql("db1", "CREATE OR REPLACE TABLE sandbox.notes (id INT PRIMARY KEY, what VARCHAR(20))")
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES (1, 'old')")
    catch_up(sandbox)
    log = Log(sandbox)
    inject(sandbox, "cut", "db1")
    sandbox.sql("db1", "UPDATE sandbox.notes SET what='lost'")
    log.wait("db2: told ONLINE, .*writer.*, detached from the lost master: OK")
    wait_detached(sandbox)
    sandbox.sql("db2", "UPDATE sandbox.notes SET what='new'")
    heal(sandbox)
    log.wait("ERROR db1: it has 1 transaction .* that db2 lacked")
    assert "replication from db1 is suspended until that is compared" in sandbox.ask("explain db2")
    inject(sandbox, "kill-mysqld", "db2")
    log.wait_change("db2", "HARD_OFFLINE")
    heal(sandbox)  # a server that starts begins to replicate by itself
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer again")
    replica = host_facts(sandbox, "db2").replica
    assert replica is not None
    assert (replica.detached, replica.io) == (True, "Connecting")
    assert said(sandbox, "db2") == said(sandbox, "db3") == ["new"]
    assert sandbox.ask("set_online --force db1").startswith("OK")
    settle(sandbox)
    sandbox.wait_until(lambda: said(sandbox, "db2") == ["lost"], LIMIT, "db2 takes what db1 had, as ordered")


def said(sandbox: Sandbox, host: str) -> list[str]:
    return [str(row["what"]) for row in sandbox.sql(host, "SELECT what FROM sandbox.notes ORDER BY what")]


def wait_detached(sandbox: Sandbox) -> None:
    where = "detached from 10.77.0.4, which was lost"
    for check in ("rep_threads", "rep_backlog"):
        sandbox.wait_until(
            lambda check=check: f"OK: {where}" in check_line(sandbox, "db2", check),  # type: ignore[misc]
            LIMIT,
            f"{check} of db2 says that it is detached",
        )


def test_what_only_a_slave_has_got_of_a_lost_writer_is_not_lost(notes: Sandbox) -> None:
    """The standby heard the writer no more when the last rows came; they have reached the slave."""
    sandbox, log, agent = notes, Log(notes), Log(notes, "db2", "mmm_agentd")
    inject(sandbox, "cut-from-peer", "db2")
    write(sandbox, "db1", "1", "2", "3")
    sandbox.wait_until(lambda: len(said(sandbox, "db3")) == 3, LIMIT, "db3 has got the rows")
    assert said(sandbox, "db2") == []
    inject(sandbox, "cut", "db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert said(sandbox, "db2") == ["1", "2", "3"]
    agent.wait(r"catch up from db3: db2: (up to )?\d+ transactions \(0-1-.* got from db3")
    log.wait(r"lost with db1 when db2 took over: .*; (up to )?\d+ transactions \(0-1-.* got from db3 first")
    assert re.search(r"transactions \(0-1-.* got from db3 first", sandbox.ask("history"))
    write(sandbox, "db2", "4")
    sandbox.wait_until(lambda: said(sandbox, "db3") == ["1", "2", "3", "4"], LIMIT, "db3 follows db2")
    assert log.story("db3") == []
    heal(sandbox)
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    settle(sandbox)
    catch_up(sandbox)
    assert said(sandbox, "db1") == ["1", "2", "3", "4"]


def test_a_slave_with_a_write_of_its_own_loses_its_roles_until_it_can_follow(notes: Sandbox) -> None:
    sandbox, log = notes, Log(notes)
    write(sandbox, "db3", "mine")
    move_writer(sandbox, "db2")
    change = log.wait_change("db3", "REPLICATION_FAIL")
    assert change.rule == "refuses_to_follow"
    assert "it has 1 transaction (0-3-" in change.sentence
    sandbox.wait_until(lambda: not has_readers(sandbox, "db3"), LIMIT, "db3 has no role")
    ips = [vip.ip for vip in sandbox.layout.cluster.vips]
    sandbox.wait_until(lambda: all(map(sandbox.holders, ips)), LIMIT, "others have what db3 had")
    assert "refuses to follow" in sandbox.ask("explain db3")
    assert "refuses to follow" in sandbox.ask("show")
    log.wait("db3: told REPLICATION_FAIL, no roles: ERROR")
    assert sandbox.init("db3", "mysql-mmm-agent", "stop").returncode == 0
    log.wait("db3: told REPLICATION_FAIL, no roles: REFUSED", 2)
    assert log.lines("db3: .*kill") == [], "its agent has said that nothing is left there"
    position = sandbox.sql("db2", "SELECT @@gtid_binlog_pos AS gtid")[0]["gtid"]
    undo = ["STOP SLAVE", "SET SESSION sql_log_bin=0", "DELETE FROM sandbox.notes WHERE what='mine'"]
    sql.execute(sandbox.machine("db3"), [*undo, "RESET MASTER", f"SET GLOBAL gtid_slave_pos='{position}'"])
    assert sandbox.init("db3", "mysql-mmm-agent", "start").returncode == 0
    log.wait_change("db3", "ONLINE")
    sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 gets its share of readers")
    assert replicates(sandbox, "db3")
    settle(sandbox)
    assert [rule for _, _, rule in log.story("db3")] == ["refuses_to_follow", "replication_good"]


def test_after_a_total_outage_the_host_that_has_everything_comes_back_by_itself(notes: Sandbox) -> None:
    sandbox, log = notes, Log(notes)
    write(sandbox, "db1", "last")
    settle(sandbox)
    for host in ("db2", "db1"):
        switch_off(sandbox, log, host)
    sandbox.power_on("db2")
    log.wait_change("db2", "AWAITING_RECOVERY")
    waits = "what db1 has is not known: it is HARD_OFFLINE"
    sandbox.wait_until(lambda: waits in sandbox.ask("explain db2"), LIMIT, "db2 waits for what db1 has")
    sandbox.power_on("db1")
    sandbox.wait_until(sandbox.writer, LIMIT, "there is a writer again")
    first = sandbox.writer()
    assert first is not None
    assert [change.rule for change in log.changes(first)][-1] == "has_everything"
    sandbox.bring_online()
    settle(sandbox)
