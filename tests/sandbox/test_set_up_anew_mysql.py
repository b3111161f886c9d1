"""A MySQL host is rebuilt from the active master by the words of docs/install.md, its agent being stopped meanwhile."""

import signal
from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import data
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.trouble.faults import server_process
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import Kept, kept
from tests.sandbox.test_set_up_anew import hand_over, move, run, said
from tests.scenarios import ALL_ONLINE, LIMIT, replicates
from tests.servers import kind

pytestmark = [pytest.mark.sandbox, pytest.mark.mysql]


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    with kept(
        "anew_mysql",
        Conf(monitor={"flap_count": 0, "failover_block": 0}),
        server=str(kind("mysql:9.7").binary),
    ) as cluster:
        yield cluster


@pytest.fixture
def mysql(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return own_cluster.healthy()


def uuid(sandbox: Sandbox, host: str) -> str:
    return str(sandbox.sql(host, "SELECT @@server_uuid AS uuid")[0]["uuid"])


def test_a_mysql_host_is_rebuilt_by_hand_and_may_write_again(mysql: Sandbox) -> None:
    """Beside an agent that ran the load ended with error 1290: it had set super_read_only again."""
    mysql.sql("db1", "CREATE TABLE sandbox.notes (what VARCHAR(20) PRIMARY KEY)")
    catch_up(mysql)
    run(mysql, "db1", said("mysqldump --all"))
    hand_over(mysql, "all.sql")
    before = uuid(mysql, "db2")
    assert mysql.ask("set_offline db2").startswith("OK")
    assert mysql.init("db2", "mysql-mmm-agent", "stop").returncode == 0
    (mysql.machine("db2").path(DATADIR) / "auto.cnf").unlink()
    process = server_process(mysql, "db2")
    assert process is not None
    assert process.end(signal.SIGTERM, LIMIT)
    mysql.start_server("db2")
    run(mysql, "db2", said("mysql -e 'STOP REPLICA; SET GLOBAL"))
    run(mysql, "db2", said("| mysql && echo loaded"))
    run(mysql, "db2", said("mysql -e 'SET GLOBAL super_read_only=1'"))
    data.replicate(mysql.machine("db2"), mysql.layout, mysql.server, "db1")
    mysql.start_daemon("db2", "mmm_agentd")
    mysql.sql("db1", "INSERT INTO sandbox.notes VALUES ('db1')")
    mysql.bring_online(limit=LIMIT, force=False)
    mysql.wait_states(LIMIT, **ALL_ONLINE)
    assert uuid(mysql, "db2") != before
    mysql.wait_until(lambda: replicates(mysql, "db1"), LIMIT, "db1 replicates from db2 again")
    move(mysql, "db2")
    mysql.sql("db2", "INSERT INTO sandbox.notes VALUES ('db2')")
    settle(mysql)
    catch_up(mysql)
    told = [mysql.sql(host, "SELECT what FROM sandbox.notes ORDER BY what") for host in mysql.hosts]
    assert [[row["what"] for row in rows] for rows in told] == [["db1", "db2"]] * 3
    mysql.sql("db2", "DROP TABLE sandbox.notes")
