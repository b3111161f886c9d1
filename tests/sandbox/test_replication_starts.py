"""Replication that does not run by itself: servers that do not start it, and a standby that is to stay behind."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.servers import CNF
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from tests.scenarios import LIMIT, Log, has_readers, replicates, switch_off

pytestmark = pytest.mark.sandbox

DELAY = 3600
ROWS = 30


@contextmanager
def told(sandbox: Sandbox, host: str, option: str) -> Iterator[None]:
    """Have the host's my.cnf say an option too, from its server's next start on."""
    path = sandbox.machine(host).skeleton / CNF.lstrip("/")
    before = path.read_text()
    path.write_text(f"{before}{option}\n")
    try:
        yield
    finally:
        path.write_text(before)


def test_a_host_that_is_set_online_replicates_though_its_server_starts_nothing(
    settled_sandbox: Sandbox,
) -> None:
    sandbox = settled_sandbox
    log = Log(sandbox)
    with told(sandbox, "db3", "skip_slave_start"):
        switch_off(sandbox, log, "db3")
        sandbox.power_on("db3")
        log.wait_change("db3", "AWAITING_RECOVERY")
        log.wait("db3: rep_threads has failed")
        assert not replicates(sandbox, "db3")
        sandbox.wait_until(lambda: sandbox.ask("set_online db3").startswith("OK"), LIMIT, "db3 is set online")
        sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 has a reader VIP")
        sandbox.wait_until(lambda: replicates(sandbox, "db3"), LIMIT, "db3 replicates")
    assert ("AWAITING_RECOVERY", "ONLINE", "set_online") in log.story("db3")
    sandbox.wait_states(LIMIT, db3="ONLINE")  # it may have been late to replicate


def test_an_agent_that_was_told_nothing_yet_starts_what_nobody_has_stopped(settled_sandbox: Sandbox) -> None:
    """Its host boots and is set online before it hears of any state: a passive monitor tells it none."""
    sandbox = settled_sandbox
    log, agent = Log(sandbox), Log(sandbox, "db3", "mmm_agentd")
    with told(sandbox, "db3", "skip_slave_start"):
        switch_off(sandbox, log, "db3")
        assert sandbox.ask("set_passive").startswith("OK")
        sandbox.power_on("db3")
        log.wait_change("db3", "AWAITING_RECOVERY")
        log.wait("db3: rep_threads has failed")
        online = "set_online db3"
        sandbox.wait_until(lambda: sandbox.ask(online).startswith("OK"), LIMIT, online)
        assert not replicates(sandbox, "db3")
        assert sandbox.ask("set_active").startswith("OK")
        sandbox.wait_until(lambda: replicates(sandbox, "db3"), LIMIT, "db3 replicates")
    assert not agent.lines("AWAITING_RECOVERY")


def test_a_host_in_use_whose_replication_was_stopped_by_hand_stays_so_when_its_agent_is_started_again(
    sandbox: Sandbox,
) -> None:
    agent = Log(sandbox, "db3", "mmm_agentd")
    assert sandbox.ask("set_passive").startswith("OK")
    sandbox.sql("db3", "STOP SLAVE")
    inject(sandbox, "kill-agent", "db3")
    assert sandbox.ask("set_active").startswith("OK")
    agent.wait("status: db3: UNKNOWN, .* -> (ONLINE|REPLICATION_FAIL)")
    agent.wait("watches the server's process")  # a while later
    assert not agent.lines("start replication")
    assert not replicates(sandbox, "db3")
    heal(sandbox)
    settle(sandbox)


def test_a_host_that_was_set_offline_replicates_again_though_its_agent_was_started_anew_meanwhile(
    sandbox: Sandbox,
) -> None:
    """The agent that is told ONLINE was never told that the host is offline: another one stopped replication."""
    log, agent = Log(sandbox), Log(sandbox, "db3", "mmm_agentd")
    assert sandbox.ask("set_offline db3").startswith("OK")
    sandbox.wait_until(lambda: not replicates(sandbox, "db3"), LIMIT, "db3 does not replicate any more")
    log.wait("db3: told ADMIN_OFFLINE, no roles: OK")
    assert sandbox.ask("set_passive").startswith("OK")
    inject(sandbox, "kill-agent", "db3")
    agent.wait("start: db3 has")
    assert sandbox.ask("set_online db3").startswith("OK")
    assert sandbox.ask("set_active").startswith("OK")
    sandbox.wait_until(lambda: replicates(sandbox, "db3"), LIMIT, "db3 replicates")
    settle(sandbox)


def test_a_delayed_standby_that_dies_while_it_applies_takes_over_with_all_that_it_had_received(
    sandbox: Sandbox,
) -> None:
    """Its delay is being set to 0, which MariaDB does in two steps; in between its server is killed."""
    log, agent = Log(sandbox), Log(sandbox, "db2", "mmm_agentd")
    for statement in ("STOP SLAVE", f"CHANGE MASTER TO MASTER_DELAY={DELAY}", "START SLAVE"):
        sandbox.sql("db2", statement)
    already = rows(sandbox, "db2")
    for _ in range(ROWS):
        sandbox.sql("db1", f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
    wanted = rows(sandbox, "db1")
    last = sandbox.sql("db1", f"SELECT MAX(id) AS id FROM {TICK_TABLE}")[0]["id"]  # noqa: S608
    half = f"IF(NEW.id > {last - ROWS // 2}, SLEEP(600), 0)"
    stop = f"CREATE TRIGGER sandbox.stop BEFORE INSERT ON {TICK_TABLE} FOR EACH ROW SET @stop={half}"
    sql.execute(sandbox.machine("db2"), ["SET SESSION sql_log_bin=0", stop])
    sandbox.sql("db2", "SET GLOBAL slave_run_triggers_for_rbr=1")
    position = sandbox.sql("db1", "SELECT @@global.gtid_binlog_pos AS gtid")[0]["gtid"]
    sandbox.wait_until(lambda: received(sandbox, "db2") == position, LIMIT, "db2 has received all")
    assert rows(sandbox, "db2") == already
    inject(sandbox, "kill-mysqld", "db1")
    agent.wait(f"stays {DELAY} s behind .* that is set to 0 for good")
    sandbox.wait_until(lambda: already < rows(sandbox, "db2") < wanted, LIMIT, "db2 is in the middle of it")
    inject(sandbox, "kill-mysqld", "db2")  # with that no trigger runs any more
    sandbox.start_server("db2")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer")
    assert rows(sandbox, "db2") >= wanted
    heal(sandbox)
    log.wait_change("db1", "ONLINE")
    settle(sandbox)
    status = sandbox.sql("db2", "SHOW SLAVE STATUS")[0]
    assert (status["Master_Host"], status["Using_Gtid"], status["SQL_Delay"]) == ("10.77.0.4", "Slave_Pos", 0)
    sql.execute(sandbox.machine("db2"), ["SET SESSION sql_log_bin=0", "DROP TRIGGER sandbox.stop"])


def rows(sandbox: Sandbox, host: str) -> int:
    """Return how many rows a host has."""
    return int(sandbox.sql(host, f"SELECT COUNT(*) AS n FROM {TICK_TABLE}")[0]["n"])  # noqa: S608


def received(sandbox: Sandbox, host: str) -> str:
    """Return the last GTID that a host has received."""
    return str(sandbox.sql(host, "SHOW SLAVE STATUS")[0]["Gtid_IO_Pos"])
