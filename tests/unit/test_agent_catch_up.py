"""A host that is promoted applies what it has, whoever locks what on it; real servers, one without its source."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import pymysql
import pytest

from mmm.agent.act.catch_up import LOST_LIMIT, CatchUpError, Patience, catch_up
from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.blockers import blocked, end_blockers
from mmm.mysql.server.follow import Followed, FollowRefusedError, SourceBehindError, follow
from mmm.mysql.server.replication import binlog_position, replica_status, start_replica
from mmm.mysql.session.connection import Address, Connection
from tests.servers import MARIADB, Client, Server, Servers, kind
from tests.unit.test_mysql_servers import LONG, build
from tests.unit.trio import AGENT, REPLICATION, Trio, agent, cut_off, insert, rows_of, source

pytestmark = pytest.mark.mysql

T = TypeVar("T")
OURS = frozenset({AGENT.user, REPLICATION.user})


@pytest.fixture(scope="module", params=[MARIADB, "mysql:9.7"])
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    servers = Servers(tmp_path_factory.mktemp("locked"), kind(request.param))
    try:
        found = build(servers)
        for server in found.all:
            server.run("SET SESSION sql_log_bin=0", "CREATE USER shop", "GRANT ALL ON *.* TO shop")
        yield found
    finally:
        servers.stop()


@pytest.fixture
def lost(trio: Trio) -> Iterator[Server]:
    """Give the standby, whose source is lost in the middle: it receives nothing more from `leave` on."""
    for replica in (trio.two, trio.slave):
        wait_applied_here(replica, trio.one)
    yield trio.two
    with agent(trio.two) as two, agent(trio.slave) as slave, agent(trio.one) as one:
        start_replica(two)
        wait_applied_here(trio.two, trio.one)
        wait_applied_here(trio.one, trio.two)
        follow(slave, source(trio.one), one, LONG)
        wait_applied_here(trio.slave, trio.one)


def leave(replica: Server, origin: Server) -> None:
    wait_received(replica, origin)
    cut_off(replica)


def wait_applied_here(replica: Server, origin: Server) -> None:
    with origin.connect() as there, agent(replica) as here:
        assert wait_for_source(here, binlog_position(there), LONG) is Caught.REACHED


def wait_received(replica: Server, origin: Server) -> None:
    with origin.connect() as there, agent(replica) as here:
        end, deadline = binlog_position(there).place, time.monotonic() + LONG
        while not (status := replica_status(here)) or not status.read.reaches(end):
            assert time.monotonic() < deadline


LOCKS = {
    "global": ["FLUSH TABLES WITH READ LOCK"],
    "table": ["LOCK TABLES shop.orders READ"],
    "reader": ["START TRANSACTION", "SELECT * FROM shop.orders"],
    "rows": ["START TRANSACTION", "UPDATE shop.orders SET what='mine' WHERE what='locked'"],
}


def lock(server: Server, how: str, user: str = "shop") -> Client:
    client = server.client(user)
    with client.cursor() as cursor:
        for statement in LOCKS[how]:
            cursor.execute(statement)
    return client


def number_of(client: Client) -> int:
    return int(client.thread_id())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("how", LOCKS)
def test_who_holds_a_lock_that_replication_waits_for_is_ended(
    trio: Trio, lost: Server, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    insert(trio.one, "locked")
    wait_applied_here(lost, trio.one)
    client = lock(lost, how)
    if how == "reader":
        trio.one.run("ALTER TABLE shop.orders COMMENT='changed'")
    trio.one.run(f"UPDATE shop.orders SET what='{how} is gone' WHERE what='locked'")  # noqa: S608
    leave(lost, trio.one)
    with agent(lost) as server, caplog.at_level(logging.WARNING):
        catch_up(server, None, Patience(LONG, OURS))
    assert f"{how} is gone" in rows_of(lost)
    assert f"session {number_of(client)} of shop@" in caplog.text


def test_who_reads_a_table_that_is_being_flushed_is_ended(
    trio: Trio, lost: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """FLUSH TABLES waits for the reader, and replication for both."""
    stages = "('Waiting for table flush', 'Waiting for table metadata lock')"
    waits = f"SELECT id FROM information_schema.processlist WHERE state IN {stages}"  # noqa: S608
    insert(trio.one, "flushed")
    wait_applied_here(lost, trio.one)
    reader, flusher = lost.client("shop"), lost.client("shop")
    asked = [
        threading.Thread(target=told, args=each)
        for each in (
            (reader, "SELECT SLEEP(1000) FROM shop.orders"),
            (flusher, "FLUSH TABLES shop.orders"),
        )
    ]
    asked[0].start()
    lost.wait_for_rows("SELECT id FROM information_schema.processlist WHERE state = 'User sleep'")
    asked[1].start()
    lost.wait_for_rows(waits)
    insert(trio.one, "behind the flush")
    lost.wait_for_rows(f"{waits} AND user = 'system user'")
    leave(lost, trio.one)
    with agent(lost) as server, caplog.at_level(logging.WARNING):
        catch_up(server, None, Patience(LONG, OURS))
    assert "behind the flush" in rows_of(lost)
    assert f"session {number_of(reader)} of shop@" in caplog.text
    for each in asked:
        each.join(LONG)


def told(client: Client, statement: str) -> None:
    """Have a client say something that its session may not outlive."""
    with suppress(pymysql.err.Error):
        client.query(statement)


def test_a_user_to_be_kept_is_named_with_what_to_do(trio: Trio, lost: Server) -> None:
    client = lock(lost, "global")
    insert(trio.one, "waits")
    leave(lost, trio.one)
    with agent(lost) as server:
        with pytest.raises(CatchUpError) as raised:
            catch_up(server, None, Patience(1.5, OURS | {"shop"}))
        number = number_of(client)
        assert f"session {number} of shop@" in str(raised.value)
        assert f"KILL {number}" in str(raised.value)
        client.close()
        catch_up(server, None, Patience(LONG, OURS))


def test_a_slave_waits_for_a_source_that_is_still_applying(trio: Trio, lost: Server) -> None:
    client = lock(lost, "global")
    insert(trio.one, "has gone further")
    leave(lost, trio.one)
    wait_applied_here(trio.slave, trio.one)
    with agent(lost) as there, agent(trio.slave) as here:
        with pytest.raises(SourceBehindError):
            follow(here, source(lost), there, 0.5)
        client.close()
        assert follow(here, source(lost), there, LONG) is Followed.SWITCHED


def test_a_slave_does_not_wait_for_a_writer_that_applies_nothing_of_what_it_has_received(
    trio: Trio, lost: Server
) -> None:
    """By a forced promotion: its replication is broken, and what it has received it will never have."""
    with agent(lost) as there:
        there.execute("STOP SLAVE SQL_THREAD" if there.flavour.mariadb else "STOP REPLICA SQL_THREAD")
        insert(trio.one, "is left behind")
        leave(lost, trio.one)
        wait_applied_here(trio.slave, trio.one)
        with agent(trio.slave) as here:
            lost.run("SET GLOBAL read_only=ON")
            with pytest.raises(SourceBehindError):
                follow(here, source(lost), there, 0.2)
            lost.run("SET GLOBAL read_only=OFF")
            with pytest.raises(FollowRefusedError):
                follow(here, source(lost), there, 0.2)


def test_clients_of_a_new_writer_are_freed_of_a_lock_that_was_there_before(trio: Trio) -> None:
    old = lock(trio.two, "global")
    with agent(trio.two) as server:
        assert not blocked(server, OURS, 0.0).waiting  # nobody wants to write yet
        writer = threading.Thread(target=insert, args=(trio.two, "free"))
        writer.start()
        trio.two.wait_for_rows(
            "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for %% lock'"
        )
        assert not end_blockers(server, OURS, 1000.0).holders
        holder = number_of(old)
        assert holder in {each.id for each in end_blockers(server, OURS, 0.0).holders}
        writer.join(LONG)
    assert "free" in rows_of(trio.two)


def test_a_lost_peer_that_hangs_is_waited_for_once(trio: Trio) -> None:
    """Clients wait for it, and with a lease of a second the order would be over before its end."""
    peer = ServerSession(Address("127.0.0.1", trio.one.port, AGENT.user, AGENT.password))
    asked: list[float] = []

    def count(question: Callable[[Connection], T]) -> T:
        asked.append(peer.limit)
        return ServerSession.ask(peer, question)

    peer.open()
    with trio.one.frozen(), agent(trio.two) as here, pytest.MonkeyPatch.context() as patched:
        patched.setattr(peer, "ask", count)
        assert catch_up(here, peer, Patience(LONG, OURS, LOST_LIMIT)) == "applied all that was received"
        assert asked == [LOST_LIMIT]
    assert peer.limit == ANSWER_LIMIT, "it is asked again once it is back"
