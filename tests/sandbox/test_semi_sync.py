"""Semi-synchronous replication: its source is where the writer is, and what a failover then loses is nothing."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.semi_sync import only_masters_acknowledge, options
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, LONG_LEASE, Log, check_line, move_writer, wait_back
from tests.servers import kind

pytestmark = pytest.mark.sandbox

SOURCE = "OK: semi-sync source, 1 replica acknowledges"
REPLICA = "OK: semi-sync replica"
WAITING = "SELECT COUNT(*) AS waiting FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for semi-sync ACK%'"


@pytest.fixture(scope="module")
def masters() -> Iterator[Kept]:
    """Give two masters whose my.cnf makes both semi-sync replicas."""
    top = {"vip_lease": LONG_LEASE}
    conf = Conf(slaves=0, top=top, monitor={"flap_count": 0, "failover_block": 0})
    with kept("semi", conf, options={"rpl_semi_sync_slave_enabled": "ON"}) as cluster:
        yield cluster


def wait_roles(sandbox: Sandbox, source: str, replica: str) -> None:
    """Wait until the checks of both say it."""
    for host, words in ((source, SOURCE), (replica, REPLICA)):
        sandbox.wait_until(lambda: check_line(sandbox, host, "rep_threads").endswith(words), LIMIT, words)  # noqa: B023


def test_the_roles_of_semi_sync_follow_the_writer(masters: Kept) -> None:
    sandbox = masters.healthy()
    with Probe(sandbox) as probe:
        for source, replica in (("db1", "db2"), ("db2", "db1"), ("db1", "db2")):
            if sandbox.writer() != source:
                move_writer(sandbox, source)
            wait_roles(sandbox, source, replica)
            probe.wait_writes(LIMIT)
    assert (probe.report.missing, probe.report.doubled) == ((), ())


def test_a_killed_writer_takes_nothing_along_that_clients_were_told_of(masters: Kept) -> None:
    sandbox = masters.healthy()
    wait_roles(sandbox, "db1", "db2")
    log = Log(sandbox)
    with Probe(sandbox) as probe:
        probe.wait_writes(LIMIT, 100)
        inject(sandbox, "kill-mysqld", "db1")
        log.wait("lost with db1 when db2 took over: nothing: ")
        heal(sandbox)
        wait_back(sandbox, log, "db1")
        probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT)
        settle(sandbox)
        wait_roles(sandbox, "db2", "db1")
    assert (probe.report.missing, probe.report.doubled) == ((), ())


@pytest.fixture(scope="module")
def mysql() -> Iterator[Kept]:
    """Give two MySQL masters whose commits wait for each other: for 15 s, where a test says nothing else."""
    conf = fast(Conf(slaves=0, monitor={"flap_count": 0, "failover_block": 0}))
    server = str(kind("mysql:9.7").binary)
    waits = {"rpl_semi_sync_source_timeout": 15000}
    with kept("semi_mysql", conf, server=server, options={**options(server), **waits}) as cluster:
        yield cluster


@pytest.mark.mysql
def test_a_commit_that_waits_while_its_host_is_lost_is_not_overlooked(mysql: Kept) -> None:
    """It is in the binary log, from where a replica gets it, and among the server's GTIDs only when it has ended."""
    sandbox = mysql.healthy()
    only_masters_acknowledge(sandbox, LIMIT)
    sandbox.sql("db1", f"SET GLOBAL rpl_semi_sync_source_timeout={int(10 * LIMIT * 1000)}")
    sandbox.sql("db1", "CREATE TABLE sandbox.rows_of_clients (what VARCHAR(20))")
    settle(sandbox)
    log = Log(sandbox)
    inject(sandbox, "cut", "db1")
    with ThreadPoolExecutor(2) as threads:

        def commit(host: str, what: str) -> Future[object]:
            statement = f"INSERT INTO sandbox.rows_of_clients VALUES ('{what}')"  # noqa: S608
            return threads.submit(sql.query, sandbox.machine(host), statement, limit=LIMIT)

        commit("db1", "old")  # its client is ended when the lease is over, its commit waits until it is told
        log.wait("db2: told ONLINE, .*writer.*, detached from the lost master: OK")
        newer = commit("db2", "new")
        heal(sandbox)
        log.wait("db1: HARD_OFFLINE -> AWAITING_RECOVERY")
        # By now db1 was looked at, and its commit still waits.
        log.wait("ERROR db1: its agent answered 'ERROR: deny writes: .* holds locks")
        assert sandbox.sql("db1", WAITING)[0]["waiting"] == 1
        sandbox.sql("db1", "SET GLOBAL rpl_semi_sync_source_enabled=0")
        log.wait("ERROR db1: it has 1 transaction .* that db2 lacked")
        newer.result()
    rows = sandbox.sql("db2", "SELECT what FROM sandbox.rows_of_clients")
    assert [row["what"] for row in rows] == ["new"]
    assert sandbox.states()["db1"] == "AWAITING_RECOVERY"
