"""Roles without an address: HAProxy in front, as a cloud's load balancer, asks the hosts who holds them (rule 15.4)."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mmm.monitor.act.agents import ORDER_TIMEOUT
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import NotInTimeError
from mmm.sandbox.proxy import start_proxy, with_health
from mmm.sandbox.trouble.faults import daemon_processes, heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, health, kept, needs_haproxy
from tests.scenarios import LIMIT, Log, move_writer, refuses_writes, wait_back, writable, writes_to
from tests.written import writers

pytestmark = pytest.mark.sandbox

HEALTH = {"vip_via": "health"}
OK = 200
ANSWERS = 30


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters and a slave whose roles have no address, and HAProxy on the client's machine."""
    needs_haproxy()
    conf = with_health(
        Conf(
            monitor={"flap_count": 0, "failover_block": 0, "agent_failover": 1},
            roles={"writer": HEALTH, "reader": HEALTH},
        )
    )
    with kept("asked", conf, furnish=start_proxy) as cluster:
        yield cluster


@pytest.fixture
def asked(own_cluster: Kept) -> Sandbox:
    """Give that cluster healthy, db1 being the writer."""
    return own_cluster.healthy()


def test_writes_follow_the_role_and_reach_nobody_else(asked: Sandbox) -> None:
    log, probe = Log(asked), Probe(asked, proxy=True)
    assert asked.layout.writer_ip not in asked.machine("db1").run(["ip", "-o", "addr"]).stdout
    assert "# Role writer is reached by health, not by ARP." in asked.ask("show")
    probe.start()
    try:
        probe.wait_writes(LIMIT)
        move_writer(asked, "db2")
        writes_to(probe, "db2")
        inject(asked, "kill-mysqld", "db2")
        writes_to(probe, "db1")
        heal(asked)
        wait_back(asked, log, "db2")
        settle(asked)
        for fault in ("freeze-mysqld", "freeze-agent"):
            inject(asked, fault, "db1")
        writes_to(probe, "db2")
        heal(asked)
        asked.wait_until(lambda: refuses_writes(asked, "db1"), LIMIT, "db1, thawed, takes no writes")
        wait_back(asked, log, "db1")
        settle(asked)
        inject(asked, "cut", "db2")  # it may be left with rows that nobody got
        writes_to(probe, "db1")
        probe.wait_writes(LIMIT)
    finally:
        report = probe.stop(catch_up=0.0)
    assert report.doubled == ()
    assert writers(asked, probe.run) == ["db1", "db2", "db1", "db2", "db1"]


def test_an_agent_that_is_stopped_gives_up_a_role_of_which_nobody_else_would_tell(asked: Sandbox) -> None:
    with Probe(asked, proxy=True) as probe:
        probe.wait_writes(LIMIT)
        assert asked.init("db1", "mysql-mmm-agent", "stop").returncode == 0
        writes_to(probe, "db2")
        probe.wait_writes(LIMIT)
    assert writers(asked, probe.run) == ["db1", "db2"]
    assert not writable(asked, "db1")
    heal(asked)


def test_load_balancers_are_told_the_same_while_a_conf_is_taken(asked: Sandbox) -> None:
    file, log = asked.machine("db1").etc / "mmm_common.conf", Log(asked, "db1", "mmm_agentd")
    before, told, over = file.read_text(), list[str](), threading.Event()

    def ask() -> None:
        while not over.is_set():
            told.append(health(asked, "db1", "/writer")[1]["why"])

    asking = threading.Thread(target=ask)
    asked.wait_until(lambda: health(asked, "db1", "/writer")[0] == OK, LIMIT, "db1 says that it writes")
    asking.start()
    try:
        for number, text in enumerate(
            (f"{before}keep_old_data 5\n", f"{before}keep_old_data 6\n", before), 1
        ):
            file.write_text(text)
            os.kill(daemon_processes(asked, "db1", "mmm_agentd")[0].pid, signal.SIGHUP)
            log.wait("the conf is taken: keep_old_data", number)
            enough = len(told) + ANSWERS
            asked.wait_until(lambda: len(told) > enough, LIMIT, "that is asked for often enough")  # noqa: B023
    finally:
        over.set()
        asking.join()
        file.write_text(before)
    if log.lines(r"the lease of writer.* is over"):
        raise NotInTimeError(f"its lease of 2 s was not renewed in time: {set(told)}")
    assert set(told) == {"held"}


def test_where_agent_and_angel_are_killed_or_hang_the_guard_ends_writing(asked: Sandbox) -> None:
    for fault, writer, other in (("kill-agent", "db1", "db2"), ("freeze-agent", "db2", "db1")):
        wait_leased(asked, writer)
        log = Log(asked, writer, "mmm_agentd")
        inject(asked, fault, writer, angel=True, guard=False)
        log.wait("FATAL the lease of writer is over, and neither agent nor angel has acted")
        asked.wait_until(lambda: refuses_writes(asked, writer), LIMIT, f"{writer} takes no writes")  # noqa: B023
        # An order that an agent was carrying out is waited for before the agent counts as silent.
        limit = LIMIT + ORDER_TIMEOUT
        asked.wait_until(lambda: asked.writer() == other, limit, f"{other} is the writer")  # noqa: B023
        heal(asked)
        settle(asked)


def wait_leased(sandbox: Sandbox, host: str) -> None:
    """Wait until the host holds the role by a lease that ends: none does while the other master's agent is gone."""

    def is_leased() -> bool:
        told = health(sandbox, host, "/")[1]
        return told["roles"]["writer"]["ok"] and not told["lease"]["for_good"]

    sandbox.wait_until(is_leased, LIMIT, f"{host} holds the role by a lease that ends")
