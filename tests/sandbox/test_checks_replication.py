"""A replica that cannot log in to its source: it is connecting for ever, and its lag is not known (SPEC 10.6)."""

from collections.abc import Iterator

import pytest

from mmm.sandbox import sql
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.faults import heal, inject
from mmm.sandbox.inspect import settle
from tests.scenarios import LIMIT, Log, check_line, has_readers, wait_failed

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


@pytest.fixture
def locked_out(settled_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give the cluster with a db3 that replicates with a wrong password."""
    log_in_with(settled_sandbox, "db3", "wrong")
    try:
        yield settled_sandbox
    finally:
        password = settled_sandbox.layout.agents["db3"].hosts["db3"].replication_password
        log_in_with(settled_sandbox, "db3", password)
        settle(settled_sandbox)


def test_a_replica_with_a_wrong_password_fails_after_connect_grace(locked_out: Sandbox) -> None:
    sandbox, log = locked_out, Log(locked_out)
    log.wait(f"WARN db3: rep_threads begins to fail: ERROR: {CONNECTING} .*Access denied.*, limit 2 s")
    change = log.wait_change("db3", "REPLICATION_FAIL")
    assert change.rule == "replication_failed"
    assert "Access denied" in change.sentence
    assert "]  UNKNOWN: Backlog is null" in check_line(sandbox, "db3", "rep_backlog")
    sandbox.wait_until(lambda: not has_readers(sandbox, "db3"), LIMIT, "db3 has no role")
    log_in_with(sandbox, "db3", sandbox.layout.agents["db3"].hosts["db3"].replication_password)
    log.wait_change("db3", "ONLINE")
    sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 gets its share of readers")
    assert [rule for _, _, rule in log.story("db3")] == ["replication_failed", "replication_good"]


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
    assert not log.lines("db3: rep_threads")
    assert log.story("db3") == []
