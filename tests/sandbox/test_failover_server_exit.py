"""The process of a server ends: its agent tells, and what follows is as `server_exit` says.

Traps are longer than any scenario here: what moves has not waited for one.
"""

from collections.abc import Iterator

import pytest

from mmm.sandbox.machines.conf import NET, Conf
from mmm.sandbox.trouble.faults import heal, inject, undo
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import ALL_ONLINE, LIMIT, LONG_LEASE, Log, assert_was_away, wait_back, watched

pytestmark = pytest.mark.sandbox

TRAP = 600


def conf(server_exit: str) -> Conf:
    monitor = {"flap_count": 0, "failover_block": 0, "server_exit": server_exit}
    top = {"allow_from": f"{NET}0/24", "vip_lease": LONG_LEASE}
    return Conf(top=top, monitor=monitor, checks={"mysql": {"trap_period": TRAP}})


@pytest.fixture(scope="module")
def certain() -> Iterator[Kept]:
    with kept("exit", conf("failover")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def patient() -> Iterator[Kept]:
    with kept("trap", conf("trap")) as cluster:
        yield cluster


@pytest.mark.parametrize("fault", ["kill-mysqld", "stop-mysqld"])
def test_the_peer_takes_over_at_once_when_the_writers_server_has_ended(certain: Kept, fault: str) -> None:
    sandbox = certain.healthy()
    log, pid = Log(sandbox), watched(sandbox, "db1")
    with Probe(sandbox) as probe:
        inject(sandbox, fault, "db1")
        outage = probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT)
        assert sandbox.holders(sandbox.layout.writer_ip) == ("db2",)
        heal(sandbox)
        wait_back(sandbox, log, "db1")
        settle(sandbox)
    assert (outage.before, outage.after) == ("db1", "db2")
    assert_was_away(log, "db1")
    assert log.changes("db1")[0].sentence.endswith(f"; its process {pid} has ended")
    assert log.story("db2") == []
    assert probe.report.doubled == ()


def test_a_server_that_is_started_again_within_the_trap_keeps_the_role(patient: Kept) -> None:
    sandbox = patient.healthy()
    log, pid = Log(sandbox), watched(sandbox, "db1")
    with Probe(sandbox, readers=False) as probe:
        inject(sandbox, "kill-mysqld", "db1")
        log.wait(f"db1: its server's process {pid} has ended")
        log.wait("db1: mysql begins to fail")
        sandbox.start_server("db1")
        outage = probe.wait_outage(LIMIT)
        log.wait("db1: mysql is good again")
    assert (outage.before, outage.after) == ("db1", "db1")
    assert log.story("db1") == log.story("db2") == []
    assert watched(sandbox, "db1") != pid


def test_an_agent_that_was_killed_meanwhile_watches_again(certain: Kept) -> None:
    sandbox = certain.healthy()
    watched(sandbox, "db1")
    agent = Log(sandbox, "db1", "mmm_agentd")
    inject(sandbox, "kill-agent", "db1")
    agent.wait("watches the server's process")
    log = Log(sandbox)
    inject(sandbox, "kill-mysqld", "db1")
    log.wait_change("db1", "HARD_OFFLINE")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer")
    heal(sandbox)
    wait_back(sandbox, log, "db1")


def test_the_news_of_a_frozen_agent_count_when_it_thaws_and_the_server_is_still_away(certain: Kept) -> None:
    sandbox = certain.healthy()
    watched(sandbox, "db3")
    log = Log(sandbox)
    inject(sandbox, "freeze-agent", "db3")
    inject(sandbox, "kill-mysqld", "db3")
    log.wait("db3: mysql begins to fail")
    assert log.story("db3") == []
    undo(sandbox, "freeze-agent", "db3")
    log.wait_change("db3", "HARD_OFFLINE")
    heal(sandbox)
    sandbox.wait_states(LIMIT, **ALL_ONLINE)


def test_the_news_of_a_frozen_agent_are_void_when_it_thaws_and_the_server_is_back(certain: Kept) -> None:
    sandbox = certain.healthy()
    pid = watched(sandbox, "db3")
    log, agent = Log(sandbox), Log(sandbox, "db3", "mmm_agentd")
    inject(sandbox, "freeze-agent", "db3")
    inject(sandbox, "kill-mysqld", "db3")
    log.wait("db3: mysql begins to fail")
    sandbox.start_server("db3")
    log.wait("db3: mysql is good again")
    undo(sandbox, "freeze-agent", "db3")
    agent.wait(f"process {pid} has ended, and another one is the server")
    assert watched(sandbox, "db3") != pid
    assert log.story("db3") == []
