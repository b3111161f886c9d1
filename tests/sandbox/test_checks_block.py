"""A second failover right after the first (rule 10.18), in a cluster of its own: the shared one does not wait."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log, wait_back

pytestmark = pytest.mark.sandbox

BLOCKED = r"failover of writer is blocked for another \d+ s: db2 lost it within 600 s \(failover_block\)"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters whose failovers wait for ten minutes."""
    with kept("block", Conf(slaves=0, monitor={"flap_count": 0, "failover_block": 600})) as cluster:
        yield cluster


@pytest.fixture
def failed_over(own_cluster: Kept) -> Sandbox:
    """Give the cluster after a failover from db1 to db2, with db1 back as a standby."""
    blocking = own_cluster.healthy()
    log = Log(blocking)
    inject(blocking, "kill-mysqld", "db1")
    blocking.wait_until(lambda: blocking.writer() == "db2", LIMIT, "db2 is the writer")
    heal(blocking)
    log.wait_change("db1", "ONLINE")
    settle(blocking)
    return blocking


def test_a_writer_that_is_cut_off_after_a_failover_is_waited_for_until_the_admin_ends_it(
    failed_over: Sandbox,
) -> None:
    sandbox, log = failed_over, Log(failed_over)
    with Probe(sandbox) as probe:
        inject(sandbox, "cut", "db2")
        log.wait(f"WARN no host holds writer: {BLOCKED}")
        log.wait("FATAL db2: could not be killed")
        assert "# Warning: no host holds writer: failover of writer is blocked for another" in sandbox.ask(
            "show"
        )
        assert "failover of writer is blocked for another" in sandbox.ask("explain")
        assert sandbox.holders(sandbox.layout.writer_ip) in (("db2",), ())  # until its lease is over
        answer = sandbox.ask("set_online db1")
        assert answer.startswith("OK: 'db1' is already ONLINE. Failover is not blocked any more.")
        outage = probe.wait_move(LIMIT)
        assert outage.after == "db1"
        heal(sandbox)
        wait_back(sandbox, log, "db2")
        settle(sandbox)
    assert len(log.lines(BLOCKED)) == 1
    assert probe.report.doubled == ()


def test_a_writer_whose_agent_lets_go_is_not_waited_for(failed_over: Sandbox) -> None:
    sandbox, log = failed_over, Log(failed_over)
    with Probe(sandbox) as probe:
        inject(sandbox, "kill-mysqld", "db2")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db2", "db1")
        heal(sandbox)
        wait_back(sandbox, log, "db2")
        settle(sandbox)
    assert probe.report.doubled == ()
