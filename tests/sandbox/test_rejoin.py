"""A host that has come apart from the others is brought back by one command, and nothing that only it had is lost."""

from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log

pytestmark = pytest.mark.sandbox

TABLE = "sandbox.notes"
ALONE = ("alone", "alone too")
REJOIN_LIMIT = 150.0


@pytest.fixture(scope="module")
def notes() -> Iterator[Kept]:
    conf = Conf(top={"transfer": "plain"}, monitor={"flap_count": 0, "failover_block": 0})
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


def diverge(sandbox: Sandbox, log: Log) -> None:
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


def rejoin(sandbox: Sandbox, host: str, *args: str) -> CompletedProcess[str]:
    return sandbox.machine(host).run([program("mmm_rejoin"), *args], limit=REJOIN_LIMIT, check=False)


def test_the_active_master_is_never_rebuilt(cluster: Sandbox) -> None:
    done = rejoin(cluster, "db1")
    assert (done.returncode, "db1 is the active master, whose data are never touched" in done.stderr) == (
        2,
        True,
    )
    done = rejoin(cluster, "db2")
    assert (done.returncode, "db2 is ONLINE" in done.stderr) == (2, True)


def test_a_writer_that_was_cut_off_with_transactions_of_its_own_is_back_in_one_command(
    cluster: Sandbox,
) -> None:
    log = Log(cluster)
    diverge(cluster, log)
    done = rejoin(cluster, "db1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: db1 is back" in done.stdout
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
