"""What a writer's server had committed when it died, and no other had received, is on the next writer before it writes.

The last rows are kept from the others: the writer's replication account is locked, and its dump sessions are ended.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import NET, Conf
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.trouble.faults import heal, inject, undo
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, LONG_LEASE, Log, dumps, end_dumps, lose_the_server, wait_back

pytestmark = pytest.mark.sandbox

UNLOGGED = "SET SESSION sql_log_bin=0"
ROWS = [str(number) for number in range(1, 6)]


@contextmanager
def with_tables(sandbox: Sandbox, **tables: str) -> Iterator[Sandbox]:
    """Give tables of these columns, of which all hosts know, for the block; afterwards nothing keeps to itself."""
    for table, columns in tables.items():
        sandbox.sql("db1", f"CREATE OR REPLACE TABLE sandbox.{table} ({columns})")
    catch_up(sandbox)
    yield sandbox
    heal(sandbox)
    let_go(sandbox, "db1")
    sandbox.wait_until(sandbox.writer, LIMIT, "there is a writer")
    writer = sandbox.writer()
    assert writer is not None
    for table in tables:
        sandbox.sql(writer, f"DROP TABLE IF EXISTS sandbox.{table}")


NOTES = "id INT PRIMARY KEY, what VARCHAR(20)"


@pytest.fixture
def notes(sandbox: Sandbox) -> Iterator[Sandbox]:
    with with_tables(sandbox, notes=NOTES) as given:
        yield given


def keep_to_itself(sandbox: Sandbox, host: str, *rows: str) -> None:
    """Have the host commit rows that nobody gets."""
    sql.execute(sandbox.machine(host), [UNLOGGED, "ALTER USER 'replication'@'%' ACCOUNT LOCK"])
    end_dumps(sandbox, host)
    sandbox.wait_until(lambda: not dumps(sandbox, host), LIMIT, f"{host} sends its log to nobody")
    statements = [f"INSERT INTO sandbox.notes VALUES ({row}, 'kept')" for row in rows]  # noqa: S608
    sql.execute(sandbox.machine(host), statements)


def replicate_by(sandbox: Sandbox, gtid: str, *hosts: str) -> None:
    """Have the hosts replicate by file and position, or by GTID, from where they are."""
    for host in hosts:
        statements = ["STOP SLAVE", f"CHANGE MASTER TO MASTER_USE_GTID={gtid}", "START SLAVE"]
        sql.execute(sandbox.machine(host), statements)
    catch_up(sandbox)


def let_go(sandbox: Sandbox, host: str) -> None:
    sql.execute(sandbox.machine(host), [UNLOGGED, "ALTER USER 'replication'@'%' ACCOUNT UNLOCK"])


def let_back(sandbox: Sandbox, log: Log) -> None:
    """Undo what was done to db1, and wait until it is back and all have what the writer has."""
    heal(sandbox)
    let_go(sandbox, "db1")
    wait_back(sandbox, log, "db1")
    settle(sandbox)
    catch_up(sandbox)


def assert_nothing_is_lost(sandbox: Sandbox, log: Log) -> None:
    """Have db1 come back by itself, and every host have all rows."""
    let_back(sandbox, log)
    assert not log.lines("lacked when")
    assert [rows(sandbox, host) for host in sandbox.hosts] == [ROWS] * 3


def rows(sandbox: Sandbox, host: str) -> list[str]:
    return [str(row["id"]) for row in sandbox.sql(host, "SELECT id FROM sandbox.notes ORDER BY id")]


def test_what_only_a_killed_writer_had_is_on_the_next_and_it_comes_back_by_itself(notes: Sandbox) -> None:
    sandbox, log, agent = notes, Log(notes), Log(notes, "db2", "mmm_agentd")
    keep_to_itself(sandbox, "db1", *ROWS)
    inject(sandbox, "kill-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert rows(sandbox, "db2") == ROWS
    said = log.wait("lost with db1 when db2 took over: ")
    assert "nothing: 5 transactions got from the binary log of db1 (0-1-" in said
    agent.wait("get the rest of db1's binary log: db2: 5 transactions got .*, nothing is missing")
    assert_nothing_is_lost(sandbox, log)


def test_a_frozen_writers_log_is_read_once_it_has_let_go(notes: Sandbox) -> None:
    sandbox, log = notes, Log(notes)
    keep_to_itself(sandbox, "db1", *ROWS)
    inject(sandbox, "freeze-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert rows(sandbox, "db2") == ROWS
    assert "nothing: 5 transactions got" in log.wait("lost with db1 when db2 took over: ")
    assert_nothing_is_lost(sandbox, log)


def test_masters_that_replicate_by_position_go_on_behind_it(notes: Sandbox) -> None:
    sandbox, log = notes, Log(notes)
    replicate_by(sandbox, "no", "db1", "db2")
    keep_to_itself(sandbox, "db1", *ROWS)
    inject(sandbox, "kill-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert rows(sandbox, "db2") == ROWS
    assert_nothing_is_lost(sandbox, log)
    replicate_by(sandbox, "slave_pos", "db1", "db2")


def test_an_agent_that_was_restarted_since_the_servers_death_knows_where_its_log_is(notes: Sandbox) -> None:
    sandbox, log = notes, Log(notes)
    keep_to_itself(sandbox, "db1", *ROWS)
    monitor = sandbox.layout.monitor
    inject(sandbox, "freeze-monitor", monitor)  # for a restart takes longer than a failover
    inject(sandbox, "kill-mysqld", "db1")
    sandbox.init("db1", "mysql-mmm-agent", "restart")
    undo(sandbox, "freeze-monitor", monitor)
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert "nothing: 5 transactions got" in log.wait("lost with db1 when db2 took over: ")
    let_back(sandbox, log)


def test_a_writer_whose_log_cannot_be_had_costs_no_time_and_is_named(notes: Sandbox) -> None:
    sandbox, log = notes, Log(notes)
    keep_to_itself(sandbox, "db1", *ROWS)
    for file in sandbox.machine("db1").path(DATADIR).glob("mysql-bin.index"):
        file.rename(file.with_name("hidden"))
    inject(sandbox, "kill-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    said = log.wait("lost with db1 when db2 took over: ")
    assert "the rest of the binary log of db1 was not got: it cannot be read there" in said
    for file in sandbox.machine("db1").path(DATADIR).glob("hidden"):
        file.rename(file.with_name("mysql-bin.index"))
    let_back(sandbox, log)


def test_a_transaction_that_is_too_large_is_named_with_its_size_and_what_stood_before_it_is_got(
    notes: Sandbox,
) -> None:
    """Its 72 MB are more than is kept in memory, so they are not fetched; its host waits with them for an admin."""
    sandbox, log, agent = notes, Log(notes), Log(notes, "db2", "mmm_agentd")
    sandbox.sql("db1", "CREATE OR REPLACE TABLE sandbox.large (id INT PRIMARY KEY, b LONGBLOB)")
    catch_up(sandbox)
    keep_to_itself(sandbox, "db1", *ROWS)
    large = [f"INSERT INTO sandbox.large VALUES ({row}, REPEAT('x', 8 << 20))" for row in range(9)]  # noqa: S608
    sql.execute(sandbox.machine("db1"), ["BEGIN", *large, "COMMIT"], limit=LIMIT)
    at = str(sandbox.sql("db1", "SELECT @@global.gtid_binlog_pos AS at")[0]["at"])
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES (6, 'behind')")
    inject(sandbox, "kill-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert rows(sandbox, "db2") == ROWS
    assert sandbox.sql("db2", "SELECT id FROM sandbox.large") == []
    said = (
        "lost with db1 when db2 took over: 2 transactions that the binary log of db1 has, "
        f"from {at} (72 MB) on: a transaction is too large; 5 transactions got"
    )
    assert said in log.wait("lost with db1 when db2 took over: ")
    agent.wait("a transaction of 72 MB is in it: more than 64 MB are not kept in memory")
    assert said in sandbox.ask("show")
    assert said in sandbox.ask("history")
    told = [entry["loss"] for entry in json.loads(sandbox.ask("json history"))["history"] if entry["loss"]]
    got = next(loss["salvaged"] for loss in told if loss["salvaged"]["at"])
    assert (got["at"], got["why"], got["left"], got["count"]) == (at, "too_large", 2, 5)
    assert 72 << 20 < got["at_bytes"] < 73 << 20
    let_back(sandbox, log)
    sandbox.wait_until(
        lambda: rows(sandbox, "db2") == [*ROWS, "6"], LIMIT, "db2 takes what db1 had, as ordered"
    )
    sandbox.sql("db2", "DROP TABLE sandbox.large")


@pytest.mark.parametrize("fault", ["kill-mysqld", "freeze-mysqld"])
def test_no_row_that_a_client_was_told_of_is_lost_with_a_server(sandbox: Sandbox, fault: str) -> None:
    report = lose_the_server(sandbox, fault)
    assert report.writer == "db2"
    assert (report.missing, report.doubled) == ((), ())


@pytest.fixture(scope="module")
def killing() -> Iterator[Kept]:
    top = {"allow_from": f"{NET}0/24", "kill_frozen_server": "yes", "vip_lease": LONG_LEASE}
    with kept("killing", Conf(top=top, monitor={"flap_count": 0, "failover_block": 0})) as cluster:
        yield cluster


def test_a_frozen_server_that_is_killed_comes_back_with_nothing_that_nobody_else_has(killing: Kept) -> None:
    """What it was committing when it froze would be finished by one that thaws."""
    sandbox = killing.healthy()
    log, agent = Log(sandbox), Log(sandbox, "db1", "mmm_agentd")
    report = lose_the_server(sandbox, "freeze-mysqld")
    agent.wait("kill the server: db1: process [0-9]+ did not answer and is")
    assert not log.lines("lacked when")
    assert (report.missing, report.doubled) == ((), ())
