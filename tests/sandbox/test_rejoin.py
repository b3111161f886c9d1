"""A host that has come apart from the others is brought back by one command, and nothing that only it had is lost."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.rejoin import diverge, rejoin
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log

pytestmark = pytest.mark.sandbox

TABLE = "sandbox.notes"
ALONE = ("alone", "alone too")


@pytest.fixture(scope="module")
def notes() -> Iterator[Kept]:
    conf = Conf(monitor={"flap_count": 0, "failover_block": 0})
    with kept("rejoin", conf) as cluster:
        yield cluster


@pytest.fixture
def cluster(notes: Kept) -> Sandbox:
    """Give it healthy with an empty table of notes, db1 being the writer."""
    sandbox = notes.healthy()
    sandbox.sql(
        "db1", f"CREATE OR REPLACE TABLE {TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20))"
    )
    catch_up(sandbox)
    return sandbox


def write(sandbox: Sandbox, host: str, *notes: str) -> None:
    """Write notes on a host, which may be read-only, a transaction each."""
    sql.execute(sandbox.machine(host), [f"INSERT INTO {TABLE} (what) VALUES ('{note}')" for note in notes])  # noqa: S608


def read(sandbox: Sandbox, host: str) -> list[str]:
    return [str(row["what"]) for row in sandbox.sql(host, f"SELECT what FROM {TABLE} ORDER BY what")]  # noqa: S608


def diverged(sandbox: Sandbox, log: Log) -> None:
    """Have db1 lose the writer's role while it is cut off, and write what nobody gets."""
    write(sandbox, "db1", "both")
    catch_up(sandbox)
    inject(sandbox, "cut", "db1")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    write(sandbox, "db1", *ALONE)
    write(sandbox, "db2", "newer")
    heal(sandbox)
    log.wait_change("db1", "AWAITING_RECOVERY")
    sandbox.wait_until(lambda: sandbox.refused("db1") == "extra_transactions", LIMIT, "db1 is compared")


def test_the_active_master_is_never_rebuilt(cluster: Sandbox) -> None:
    with pytest.raises(SandboxError, match="db1 is the active master, whose data are never touched"):
        rejoin(cluster, "db1")
    assert cluster.writer() == "db1"


def test_a_writer_that_was_cut_off_with_transactions_of_its_own_is_back_in_one_command(
    cluster: Sandbox,
) -> None:
    log = Log(cluster)
    diverged(cluster, log)
    said = rejoin(cluster, "db1")
    assert "OK: db1 is back" in said
    assert "Its own 2 transactions are in " in said
    assert ": INSERT sandbox.notes 2. Its old data" in said
    log.wait_change("db1", "ONLINE")
    settle(cluster)
    catch_up(cluster)
    assert [read(cluster, host) for host in cluster.hosts] == [["both", "newer"]] * 3
    assert not surplus(cluster, "db1", "db2")
    saved = max(cluster.machine("db1").path("/var/lib/mysql-mmm/saved").iterdir())
    summary = (saved / "summary.txt").read_text()
    assert "2 transactions" in summary
    assert "INSERT sandbox.notes 2" in summary
    assert "were not compared" not in summary


def test_a_slave_that_somebody_has_written_to_is_brought_back(cluster: Sandbox) -> None:
    diverge(cluster, "db3", 2)
    rejoin(cluster, "db3")
    cluster.bring_online(force=False)
    settle(cluster)
    assert not surplus(cluster, "db3", "db1")


@pytest.fixture(scope="module")
def mysql() -> Iterator[Kept]:
    conf = Conf(slaves=0, monitor={"flap_count": 0, "failover_block": 0})
    with kept("rejoin_mysql", conf, server="mysql:9.7") as cluster:
        yield cluster


def test_a_mysql_master_gets_its_data_by_the_clone_plugin(mysql: Kept) -> None:
    cluster = mysql.healthy()
    before = cluster.sql("db1", "SELECT @@global.server_uuid AS uuid")[0]["uuid"]
    diverge(cluster, "db1", 3)
    assert "by clone-plugin" in rejoin(cluster, "db1")
    cluster.bring_online(force=False)
    settle(cluster)
    catch_up(cluster)
    assert not surplus(cluster, "db1", "db2")
    assert cluster.sql("db1", "SELECT @@global.server_uuid AS uuid")[0]["uuid"] != before
