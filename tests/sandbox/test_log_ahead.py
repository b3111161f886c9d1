"""A killed writer's log is got while its check has not failed yet, and is used or forgotten, as it comes."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import inject, undo
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import Kept, kept
from tests.sandbox.test_salvage import NOTES, ROWS, keep_to_itself, let_back, let_go, rows, with_tables
from tests.scenarios import LIMIT, LONG_LEASE, Log

pytestmark = pytest.mark.sandbox

TRAP = 20
"""Seconds in which a busy machine gets a server to run again."""
MEGABYTES = 3
GOT = "got [0-9.]+ MB of the binary log of db1 in advance$"


@pytest.fixture(scope="module")
def patient() -> Iterator[Kept]:
    conf = Conf(top={"vip_lease": LONG_LEASE}, checks={"mysql": {"trap_period": TRAP}})
    with kept("patient", conf) as cluster:
        yield cluster


@pytest.fixture
def notes(patient: Kept) -> Iterator[Sandbox]:
    with with_tables(patient.healthy(), notes=NOTES, large="id INT PRIMARY KEY, b LONGBLOB") as given:
        yield given


def commit_large(sandbox: Sandbox) -> None:
    """Have db1 commit a transaction of MEGABYTES that nobody gets."""
    large = [f"INSERT INTO sandbox.large VALUES ({row}, REPEAT('x', 1 << 20))" for row in range(MEGABYTES)]  # noqa: S608
    sql.execute(sandbox.machine("db1"), ["BEGIN", *large, "COMMIT"], limit=LIMIT)


def larges(sandbox: Sandbox, host: str) -> int:
    return int(str(sandbox.sql(host, "SELECT COUNT(*) AS n FROM sandbox.large")[0]["n"]))


def test_the_log_is_here_when_the_order_to_take_over_comes(notes: Sandbox) -> None:
    sandbox, log, agent = notes, Log(notes), Log(notes, "db2", "mmm_agentd")
    keep_to_itself(sandbox, "db1", *ROWS)
    commit_large(sandbox)
    inject(sandbox, "kill-mysqld", "db1")
    agent.wait(GOT)
    assert rows(sandbox, "db2") == []
    assert not log.lines("lost with db1")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    agent.wait(r"what was got of the binary log of db1 in advance \([0-9]{7} bytes\) is used")
    assert rows(sandbox, "db2") == ROWS
    assert larges(sandbox, "db2") == MEGABYTES
    assert "nothing: 6 transactions got" in log.wait("lost with db1 when db2 took over: ")
    let_back(sandbox, log)
    assert [larges(sandbox, host) for host in sandbox.hosts] == [MEGABYTES] * 3


def test_a_server_that_is_started_again_in_time_keeps_the_role_and_sends_it_itself(notes: Sandbox) -> None:
    sandbox, log, agent = notes, Log(notes), Log(notes, "db2", "mmm_agentd")
    keep_to_itself(sandbox, "db1", *ROWS)
    inject(sandbox, "kill-mysqld", "db1")
    agent.wait(GOT)
    undo(sandbox, "kill-mysqld", "db1")
    agent.wait("forgets what was got of a binary log in advance")
    let_go(sandbox, "db1")
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES (6, 'later')")
    settle(sandbox)
    catch_up(sandbox)
    assert sandbox.writer() == "db1"
    assert not log.lines("lost with db1")
    assert [rows(sandbox, host) for host in sandbox.hosts] == [[*ROWS, "6"]] * 3


def test_an_agent_that_is_killed_over_it_gets_the_log_with_the_order(notes: Sandbox) -> None:
    sandbox, log, agent = notes, Log(notes), Log(notes, "db2", "mmm_agentd")
    keep_to_itself(sandbox, "db1", *ROWS)
    commit_large(sandbox)
    inject(sandbox, "kill-mysqld", "db1")
    agent.wait(GOT)
    inject(sandbox, "kill-agent", "db2")
    undo(sandbox, "kill-agent", "db2")
    log.wait("db2: told ONLINE, .*writer.*: OK")
    assert rows(sandbox, "db2") == ROWS
    assert larges(sandbox, "db2") == MEGABYTES
    assert "nothing: 6 transactions got" in log.wait("lost with db1 when db2 took over: ")
    let_back(sandbox, log)
