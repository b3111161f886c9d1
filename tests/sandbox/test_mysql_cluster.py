"""Clusters of MySQL servers, with GTIDs and without: the writer moves and fails over, nothing is lost unnoticed."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept, restart
from tests.scenarios import ALL_ONLINE, LIMIT, LONG_LEASE, Log, come_back, lose_the_server, move_writer
from tests.servers import kind

pytestmark = [pytest.mark.sandbox, pytest.mark.mysql]


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    conf = Conf(top={"vip_lease": LONG_LEASE}, monitor={"flap_count": 0, "failover_block": 0})
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
        move_writer(mysql, "db2")
        assert probe.wait_move(LIMIT).after == "db2"
        settle(mysql)
        assert locks(mysql) == {"db1": (1, 1), "db2": (0, 0), "db3": (1, 1)}
        # All that was acknowledged is on the peer: nothing is written while the server dies.
        move_writer(mysql, "db1")
        assert probe.wait_move(LIMIT, 2).after == "db1"
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


def test_a_host_lags_until_it_is_healed(mysql: Sandbox) -> None:
    def behind(host: str) -> int:
        return int(mysql.sql(host, "SHOW REPLICA STATUS")[0]["Seconds_Behind_Source"] or 0)

    inject(mysql, "lag", "db3")
    mysql.wait_until(lambda: behind("db3") >= 2 > behind("db2"), LIMIT, "db3 alone is 2 s behind")
    heal(mysql)
    mysql.wait_until(lambda: behind("db3") == 0, LIMIT, "db3 has caught up")
    settle(mysql)


NO_GTIDS = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}


@pytest.fixture(scope="module")
def old_cluster() -> Iterator[Kept]:
    conf = Conf(top={"vip_lease": LONG_LEASE}, monitor={"flap_count": 0, "failover_block": 0})
    with kept("places", conf, server=str(kind("mysql:9.7").binary), options=NO_GTIDS) as cluster:
        yield cluster


def test_without_gtids_a_lost_writer_is_compared_by_its_log(old_cluster: Kept) -> None:
    """It was killed, so its log goes on in another file, in which there is what it gets of the new writer, too."""
    sandbox = old_cluster.healthy()
    sandbox.sql("db1", "CREATE TABLE sandbox.notes (what VARCHAR(20))")
    wait_for_tables(sandbox)
    log = Log(sandbox)
    inject(sandbox, "cut", "db1")
    for _ in range(2):
        sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES ('lost')")
    inject(sandbox, "kill-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*, detached from the lost master: OK")
    sandbox.sql("db2", "INSERT INTO sandbox.notes VALUES ('new')")
    heal(sandbox)
    log.wait(
        "ERROR db1: it cannot be compared with db2: its binary log goes on behind .* and may not be looked at"
    )
    assert "REPLICATION SLAVE" in sandbox.ask("explain db1")
    assert sandbox.ask("set_online db1").startswith("ERROR: Host 'db1' stays AWAITING_RECOVERY: its trans")
    unlogged = "SET SESSION sql_log_bin=0"
    sql.execute(
        sandbox.machine("db1"),
        [unlogged, "SET GLOBAL super_read_only=0", GRANT, "SET GLOBAL super_read_only=1"],
    )
    log.wait(
        r"ERROR db1: it has 2 transactions \(mysql-bin.* to mysql-bin.* in its binary log\) that db2 lacked"
    )
    restart(sandbox, "monitor", "mmm_mond")
    sandbox.wait_until(
        lambda: "# Warning: host db1 has 2 trans" in sandbox.ask("show"), LIMIT, "a new monitor finds it"
    )
    assert sandbox.ask("set_online db1").startswith(
        "ERROR: Host 'db1' stays AWAITING_RECOVERY: it has 2 trans"
    )
    assert [row["what"] for row in sandbox.sql("db2", "SELECT what FROM sandbox.notes")] == ["new"]
    assert sandbox.ask("set_online --force db1").startswith("OK")
    sandbox.wait_states(LIMIT, db1="ONLINE", db2="ONLINE")


def test_without_gtids_a_lost_writer_that_has_nothing_more_comes_back_by_itself(old_cluster: Kept) -> None:
    sandbox = old_cluster.healthy()
    for name in sandbox.layout.masters:
        unseal = [] if name == sandbox.writer() else ["SET GLOBAL super_read_only=0"]
        sql.execute(
            sandbox.machine(name),
            ["SET SESSION sql_log_bin=0", *unseal, GRANT, *(["SET GLOBAL super_read_only=1"] * bool(unseal))],
        )
    log = Log(sandbox)
    inject(sandbox, "kill-mysqld", "db1")
    log.wait("db2: told ONLINE, .*writer.*, detached from the lost master: OK")
    sandbox.sql("db2", "INSERT INTO sandbox.tick () VALUES ()")
    come_back(sandbox, log, "db1")


GRANT = "GRANT REPLICATION SLAVE ON *.* TO 'mmm_monitor'@'%'"


def wait_for_tables(sandbox: Sandbox) -> None:
    question = "SHOW TABLES FROM sandbox LIKE 'notes'"
    for name in sandbox.hosts:
        sandbox.wait_until(lambda name=name: sandbox.sql(name, question), LIMIT, f"{name} has the table")  # type: ignore[misc]


def test_no_row_that_a_client_was_told_of_is_lost_with_the_server(mysql: Sandbox) -> None:
    report = lose_the_server(mysql)
    assert (report.missing, report.doubled) == ((), ())
