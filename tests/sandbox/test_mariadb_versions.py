"""Clusters of other versions of MariaDB than this Debian's: moved, failed over and rebuilt, no row lost or doubled."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.rejoin import diverge, rejoin
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, LONG_LEASE, Log, come_back, lose_the_server, move_writer
from tests.servers import kind

pytestmark = [pytest.mark.sandbox, pytest.mark.mysql]


@pytest.fixture(scope="module", params=["mariadb:11.8", "mariadb:10.5"])
def own_cluster(request: pytest.FixtureRequest) -> Iterator[Kept]:
    conf = Conf(top={"vip_lease": LONG_LEASE}, monitor={"flap_count": 0, "failover_block": 0})
    with kept("other", conf, server=str(kind(request.param).binary)) as cluster:
        yield cluster


@pytest.fixture
def other(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return own_cluster.healthy()


def test_the_writer_moves_each_way_without_a_row_lost(other: Sandbox) -> None:
    with Probe(other) as probe:
        for number, target in enumerate(("db2", "db1"), 1):
            move_writer(other, target)
            assert probe.wait_move(LIMIT, number).after == target
            settle(other)
    assert (probe.report.missing, probe.report.doubled) == ((), ())
    assert all(not rows.missing for rows in probe.report.hosts.values())


def test_the_peer_takes_over_when_the_server_is_killed(other: Sandbox) -> None:
    """Nothing is written meanwhile, so that the killed one has nothing alone, and comes back by itself."""
    log = Log(other)
    inject(other, "kill-mysqld", "db1")
    other.wait_until(lambda: other.writer() == "db2", LIMIT, "the peer has the writer's VIP")
    come_back(other, log, "db1")
    assert other.writer() == "db2"


def test_no_row_that_a_client_was_told_of_is_lost_with_the_server(other: Sandbox) -> None:
    report = lose_the_server(other)
    assert (report.missing, report.doubled) == ((), ())


def test_a_host_that_has_come_apart_is_wound_back_or_gets_a_copy_by_its_own_programs(other: Sandbox) -> None:
    with pytest.raises(SandboxError, match="db1 is the active master, whose data are never touched"):
        rejoin(other, "db1")
    for method, words in (("rewind", "2 transactions undone"), ("clone", " MB by mariadb-backup in ")):
        diverge(other, "db3", 2)
        said = rejoin(other, "db3", "--method", method)
        assert words in said, said
        assert "Its own 2 transactions are in " in said
        other.bring_online(force=False)
        settle(other)
        assert not surplus(other, "db3", "db1")
