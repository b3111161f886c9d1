"""A replica that cannot log in to its source: it is connecting for ever, and its lag is not known (rule 10.6)."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from tests.scenarios import LIMIT, Log, check_line, end_dumps, has_readers, wait_failed

pytestmark = pytest.mark.sandbox

CONNECTING = "IO thread is connecting to 10.77.0.4:3306"


def log_in_with(sandbox: Sandbox, host: str, password: str) -> None:
    """Let the replica of a host log in to its source with a password."""
    statements = [
        "STOP SLAVE",
        f"CHANGE MASTER TO MASTER_PASSWORD={sql.quoted(password)}",
        "START SLAVE",
    ]
    sql.execute(sandbox.machine(host), statements)


def let_in_with(sandbox: Sandbox, password: str) -> None:
    """Have db1 let replicas in with a password."""
    user = sandbox.layout.agents["db1"].hosts["db1"].replication_user
    statements = [
        "SET SESSION sql_log_bin=0",
        f"ALTER USER {sql.quoted(user)}@'%' IDENTIFIED BY {sql.quoted(password)}",
    ]
    sql.execute(sandbox.machine("db1"), statements)


@pytest.fixture
def locked_out(settled_sandbox: Sandbox) -> Iterator[tuple[Sandbox, Log]]:
    """Give the cluster with a db3 that db1 does not let in, whatever the conf says, and the log since before."""
    log = Log(settled_sandbox)
    let_in_with(settled_sandbox, "other")
    try:
        end_dumps(settled_sandbox, "db1", "db3")  # threads that are stopped would be a failure of their own
        yield settled_sandbox, log
    finally:
        let_in_with(settled_sandbox, replication_password(settled_sandbox))
        settle(settled_sandbox)


def replication_password(sandbox: Sandbox) -> str:
    return sandbox.layout.agents["db3"].hosts["db3"].replication_password


def test_a_replica_that_is_turned_away_fails_at_once(locked_out: tuple[Sandbox, Log]) -> None:
    sandbox, log = locked_out
    log.wait("WARN db3: rep_threads begins to fail: ERROR: .*Access denied")
    change = log.wait_change("db3", "REPLICATION_FAIL")
    assert change.rule == "replication_failed"
    assert "Access denied" in change.sentence
    assert "]  UNKNOWN: Backlog is null" in check_line(sandbox, "db3", "rep_backlog")
    sandbox.wait_until(lambda: not has_readers(sandbox, "db3"), LIMIT, "db3 has no role")
    let_in_with(sandbox, replication_password(sandbox))
    log.wait_change("db3", "ONLINE")
    sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 gets its share of readers")
    assert [rule for _, _, rule in log.story("db3")] == ["replication_failed", "replication_good"]


def test_a_replica_with_a_wrong_password_gets_that_of_the_conf(settled_sandbox: Sandbox) -> None:
    sandbox, agent_log = settled_sandbox, Log(settled_sandbox, "db3", "mmm_agentd")
    log_in_with(sandbox, "db3", "wrong")
    agent_log.wait("INFO renew the login at db1: db3")
    settle(sandbox)


def test_a_source_that_is_down_is_not_held_against_those_that_connect_to_it(settled_sandbox: Sandbox) -> None:
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    assert sandbox.ask("set_manual").startswith("OK")
    inject(sandbox, "stop-mysqld", "db1")
    wait_failed(log, "db1", "mysql")
    sandbox.wait_until(
        lambda: f"]  OK: {CONNECTING}" in check_line(sandbox, "db3", "rep_threads"),
        LIMIT,
        "db3 is connecting",
    )
    moment = check_line(sandbox, "db3", "rep_threads")
    heal(sandbox)
    log.wait("INFO db1: mysql is good again")
    sandbox.wait_until(lambda: check_line(sandbox, "db3", "rep_threads") != moment, LIMIT, "db3 is connected")
    assert not log.lines(f"db3: rep_threads (begins to fail: .*{CONNECTING}|has failed)")
    assert log.story("db3") == []
