"""A new writer gets what a slave has and it lacks before it takes writes; real servers, one master dead."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from mmm.agent.act.catch_up_step import CatchUpStep
from mmm.agent.act.replication_steps import ReplicationSteps
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.step_error import LeaseOverError, StepError
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import CatchUp, OwnSource
from mmm.gtid.transactions import surplus
from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.borrowed_source import borrow_source
from mmm.mysql.server.follow import Followed, follow
from mmm.mysql.server.replication import BinlogPosition, executed, received_in, replica_status
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.errors import MysqlError
from mmm.wire.caught_up import Cause
from tests.servers import MARIADB, Server, Servers, kind
from tests.unit.test_mysql_servers import LONG, caught, replicate
from tests.unit.trio import AGENT, MONITOR, REPLICATION, agent, cut_off, insert, on_servers, rows_of, source
from tests.unit.worlds import WRITER, cluster

pytestmark = pytest.mark.mysql


@dataclass
class Four:
    """db1, whose server dies, db2, which takes over, and the slaves db3 and db4 of db1."""

    servers: tuple[Server, Server, Server, Server]
    lifetime: Callable[[], int] = lambda: 0

    def __post_init__(self) -> None:
        conf = on_servers(cluster(slaves=2), self.servers)
        self.at = Workplace(replace(conf, this="db2", sync_timeout=LONG))
        self.step = CatchUpStep(self.at, lambda _: self.lifetime())
        self.session = ServerSession(self.servers[1].address(AGENT.user, AGENT.password))

    def catch_up(self, *hosts: str) -> str:
        return self.step.do(CatchUp(hosts, WRITER), self.session)


@pytest.fixture(params=[MARIADB, "mysql:9.7"])
def four(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    """Give the four; db3 has three rows that db2 lacks, and db1 is dead."""
    servers = Servers(tmp_path_factory.mktemp("four"), kind(request.param))
    try:
        one, two, three, last = (servers.start("--log-slave-updates=ON") for _ in range(4))
        for server in (one, two, three, last):
            server.run(
                *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
                "SET SESSION sql_log_bin=0",
                "CREATE DATABASE shop",
                "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
                "SET SESSION sql_log_bin=1",
            )
        for replica, origin in ((one, two), (two, one), (three, one), (last, one)):
            replicate(replica, origin, by_gtid=True)
        insert(one, "before")
        for replica in (two, three, last):
            assert caught(replica, one) is Caught.REACHED
        for replica in (two, last):
            cut_off(replica)
        insert(one, "a", "b", "c")
        assert caught(three, one) is Caught.REACHED
        one.kill()
        yield Four((one, two, three, last))
    finally:
        servers.stop()


def gives_up(monkeypatch: pytest.MonkeyPatch, when: Callable[[], object]) -> None:
    """Have the step's time be over once that is so, while it waits for what the other server has."""

    def wait(server: Connection, target: BinlogPosition, _: float, between: Callable[[], object]) -> Caught:
        while not when():
            time.sleep(0.02)
        return wait_for_source(server, target, 0.0, between)

    monkeypatch.setattr(f"{CatchUpStep.__module__}.wait_for_source", wait)


def has_received(server: Server, other: Server) -> bool:
    """Tell whether a server has received or applied all that the other one has."""
    with agent(server) as here, agent(other) as there:
        has, status, wanted = executed(here), replica_status(here), executed(there)
    assert has is not None
    assert status is not None
    assert wanted is not None
    return surplus(wanted, received_in(has, status)) is None


def is_detached(server: Server, origin: Server) -> bool:
    with agent(server) as here:
        status = replica_status(here)
    assert status is not None
    return status.detached and (status.source_port, status.io_running) == (origin.port, "No")


def test_what_a_slave_has_more_is_got_once_and_the_slave_follows(four: Four) -> None:
    one, two, three, last = four.servers
    said = four.catch_up("db3", "db4")
    (got,) = four.step.done
    assert (got.host, got.count, got.left, got.cause) == ("db3", 3, 0, None)
    assert said.startswith("3 transactions (")
    assert rows_of(two) == ["a", "b", "before", "c"]
    assert is_detached(two, one)
    four.catch_up("db3", "db4")  # the same order again
    assert four.step.done[0].count == 3
    assert rows_of(two) == ["a", "b", "before", "c"]
    for slave in (three, last):
        with agent(slave) as here, agent(two) as there:
            assert follow(here, source(two), there, LONG) is Followed.SWITCHED
    insert(two, "later")
    for slave in (three, last):
        assert caught(slave, two) is Caught.REACHED
        assert rows_of(slave) == rows_of(two)


def test_a_lease_that_ends_meanwhile_ends_it_with_the_own_source_back(four: Four) -> None:
    one, two, _, _ = four.servers
    four.lifetime = lambda: -1
    with pytest.raises(LeaseOverError):
        four.catch_up("db3")
    assert [got.cause for got in four.step.done] == [Cause.LATE]
    assert rows_of(two) == ["before"]
    four.lifetime = lambda: 0
    four.catch_up("db3")  # the same order comes again with a younger token
    assert [(got.count, got.cause) for got in four.step.done] == [(3, None)]
    assert is_detached(two, one)


def test_what_is_not_applied_in_time_is_named(four: Four, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, _ = four.servers
    flavour = two.kind.flavour
    begins = flavour.change_source.replace("%s", "''")
    two.run(flavour.stop_replica, f"{begins} {flavour.option_prefix}DELAY=3600")
    gives_up(monkeypatch, lambda: has_received(two, three))
    four.catch_up("db3")
    (got,) = four.step.done
    assert (got.count, got.left, got.cause) == (0, 3, Cause.LATE)
    with agent(two) as here, agent(three) as there:
        has, lacks = executed(here), executed(there)
    assert has is not None
    assert lacks is not None
    more = surplus(lacks, has)
    assert more is not None
    assert got.lacks == more.names
    assert is_detached(two, one)


def test_nobody_writes_before_replication_from_the_slave_has_stopped(
    four: Four, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came of it later would come among newer transactions."""
    one, two, _, _ = four.servers
    four.at.keep |= {"root"}
    with two.client() as locker, locker.cursor() as cursor, monkeypatch.context() as patched:
        cursor.execute("LOCK TABLES shop.orders READ")
        gives_up(patched, lambda: is_blocked(two))
        with pytest.raises((StepError, MysqlError)):  # MariaDB may answer nothing while it stops
            four.catch_up("db3")
    four.catch_up("db3")  # the same order again
    assert rows_of(two) == ["a", "b", "before", "c"]
    assert is_detached(two, one)


def is_blocked(server: Server) -> bool:
    """Tell whether something waits for a table there."""
    waits = "SELECT 1 AS one FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%lock'"
    with agent(server) as here:
        return bool(here.query(waits))


def test_what_was_written_on_a_slave_does_not_come_along(four: Four) -> None:
    _, two, three, _ = four.servers
    insert(three, "mine")
    four.catch_up("db3")
    (got,) = four.step.done
    assert got.cause is Cause.OWN
    assert got.left == 4 or (got.left > 4 and not got.exact)
    assert rows_of(two) == ["before"]


def test_a_slave_that_dies_is_not_waited_for(four: Four) -> None:
    _, two, three, _ = four.servers
    three.kill()
    four.catch_up("db3")
    assert (four.step.done[0].host, four.step.done[0].cause) == ("db3", Cause.SILENT)
    assert rows_of(two) == ["before"]


def test_a_slave_that_does_not_log_what_it_replicates_can_give_nothing(four: Four) -> None:
    _, two, three, _ = four.servers
    three.kill()
    three.options = (*three.options, "--log-slave-updates=OFF")
    three.restart()
    four.catch_up("db3")
    assert (four.step.done[0].cause, four.step.done[0].left) == (Cause.NO_LOG, 3)
    assert rows_of(two) == ["before"]


def test_a_slave_whose_log_was_purged_says_so(four: Four) -> None:
    """Each family has its own number for that."""
    _, two, three, _ = four.servers
    three.run("FLUSH BINARY LOGS")
    while log_files(three) > 1:  # MariaDB keeps one until InnoDB needs it no more
        three.purge_logs()
    four.catch_up("db3")
    (got,) = four.step.done
    assert (got.count, got.left, got.cause) == (0, 3, Cause.PURGED)
    assert rows_of(two) == ["before"]


def log_files(server: Server) -> int:
    with server.connect() as session:
        return len(session.query("SHOW BINARY LOGS"))


def test_where_each_slave_has_what_the_other_lacks_one_is_followed_after_the_other(four: Four) -> None:
    one, two, three, last = four.servers
    if three.kind.flavour.mariadb:
        pytest.skip("a replica of MariaDB gets a domain's transactions in their order")
    with agent(three) as here:
        origin = str(here.query("SELECT @@global.gtid_executed AS has")[0]["has"]).split(":")[0]
    last.run(
        f"SET GTID_NEXT='{origin}:1000'",
        "INSERT INTO shop.orders VALUES (100, 'd')",
        "SET GTID_NEXT='AUTOMATIC'",
    )
    four.catch_up("db3", "db4")
    assert [(got.host, got.count, got.cause) for got in four.step.done] == [
        ("db3", 3, None),
        ("db4", 1, None),
    ]
    assert rows_of(two) == ["a", "b", "before", "c", "d"]
    assert is_detached(two, one)


def test_catching_up_that_was_broken_off_leaves_no_master_at_a_slave(four: Four) -> None:
    one, two, three, _ = four.servers
    with agent(two) as here, agent(three) as there:
        borrow_source(here, source(three), there, LONG)  # and its agent is killed
    assert caught(two, three) is Caught.REACHED
    ReplicationSteps(four.at).do(OwnSource("db1", detached=True), four.session)
    assert is_detached(two, one)
    four.catch_up("db3")
    assert four.step.done == ()
    assert rows_of(two) == ["a", "b", "before", "c"]
