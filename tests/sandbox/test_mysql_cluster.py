"""A cluster of real MySQL servers: it comes up, its writer moves and fails over, and no row is lost or doubled."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.conf import Conf
from mmm.sandbox.faults import heal, inject
from mmm.sandbox.inspect import settle
from mmm.sandbox.watch import Probe
from tests.clusters import Kept, kept
from tests.scenarios import ALL_ONLINE, LIMIT
from tests.servers import kind

pytestmark = [pytest.mark.sandbox, pytest.mark.mysql]


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    conf = Conf(monitor={"flap_count": 0, "failover_block": 0})
    with kept("mysql", conf, server=str(kind("mysql:9.7").binary)) as cluster:
        yield cluster


@pytest.fixture
def mysql(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return own_cluster.healthy()


def locks(sandbox: Sandbox) -> dict[str, tuple[int, int]]:
    question = "SELECT @@read_only AS ordinary, @@super_read_only AS all_users"
    rows = {name: sandbox.sql(name, question)[0] for name in sandbox.hosts}
    return {name: (row["ordinary"], row["all_users"]) for name, row in rows.items()}


def test_the_writer_moves_and_fails_over_without_a_row_lost(mysql: Sandbox) -> None:
    with Probe(mysql) as probe:
        assert locks(mysql) == {"db1": (0, 0), "db2": (1, 1), "db3": (1, 1)}
        assert mysql.ask("move_role writer db2", limit=LIMIT).startswith("OK")
        assert probe.wait_outage(LIMIT).after == "db2"
        settle(mysql)
        assert locks(mysql) == {"db1": (1, 1), "db2": (0, 0), "db3": (1, 1)}
        # All that was acknowledged is on the peer: nothing is written while the server dies.
        assert mysql.ask("move_role writer db1", limit=LIMIT).startswith("OK")
        assert probe.wait_outage(LIMIT, 2).after == "db1"
        settle(mysql)
    assert (probe.report.missing, probe.report.doubled) == ((), ())
    assert all(not rows.missing for rows in probe.report.hosts.values())


@pytest.mark.parametrize("fault", ["kill-mysqld", "freeze-mysqld"])
def test_the_peer_takes_over_when_the_server_fails(mysql: Sandbox, fault: str) -> None:
    before = mysql.writer()
    assert before is not None
    inject(mysql, fault, before)
    mysql.wait_until(lambda: mysql.writer() not in {None, before}, LIMIT, "the peer has the writer's VIP")
    heal(mysql)
    mysql.wait_states(LIMIT, **ALL_ONLINE)
    settle(mysql)
    assert mysql.writer() != before
