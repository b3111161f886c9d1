"""Taking the right to write away: who is ended, who is waited for, who stays."""

import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

import pymysql
import pytest

from mmm.mysql.server import processlist
from mmm.mysql.server.processlist import (
    TRANSACTIONS_AGE,
    Ending,
    Fate,
    Session,
    fate,
    survey,
)
from mmm.mysql.server.read_only import (
    allow_writes,
    calm,
    deny_writes,
    writable,
    writers,
)
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError, connect
from tests.servers import Client, Server, Servers
from tests.unit.gate import DENIES, HELD, gate, held_until

pytestmark = pytest.mark.mysql

ONLOOKER = frozenset({"root"})
"""Who looks at the server from beside, and is kept."""


@pytest.fixture(scope="module")
def shop(server: Server) -> Server:
    """The shared server with two tables and an application's account without special rights."""
    server.run(
        "CREATE OR REPLACE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT) ENGINE=InnoDB",
        "INSERT INTO shop.orders (what) VALUES ('first')",
        "CREATE TABLE shop.notes (what TEXT) ENGINE=MyISAM",
        "CREATE OR REPLACE USER shop@'%' IDENTIFIED BY 'x'",
        "GRANT ALL ON shop.* TO shop@'%'",
    )
    return server


@pytest.fixture
def agent(shop: Server) -> Iterator[Connection]:
    with shop.connect() as connection:
        yield connection
    shop.run("SET GLOBAL read_only=0")


@pytest.fixture
def client(shop: Server) -> Iterator[Client]:
    session = shop.client("shop", "x")
    at_rest = "SELECT 1 FROM information_schema.processlist WHERE id = %s AND command = 'Sleep'"
    number = session.thread_id()  # type: ignore[no-untyped-call]
    shop.wait_for_rows(at_rest, number)  # an answer is there before its statement is over
    yield session
    if session.open:
        session.close()


def write_in_transaction(shop: Server, client: Client, what: str) -> None:
    with client.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (session,) = cursor.fetchone() or (0,)
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO shop.orders (what) VALUES (%s)", (what,))
    shop.wait_for_rows(
        "SELECT 1 FROM information_schema.innodb_trx WHERE trx_rows_modified > 0 AND trx_mysql_thread_id = %s",
        session,
    )


def is_gone(client: Client) -> bool:
    try:
        client.ping()
    except pymysql.err.MySQLError:
        return True
    return False


def in_background(shop: Server, client: Client, statement: str) -> Callable[[], Exception | None]:
    """Start a statement, wait until the server runs it, and return what waits for its end and error."""
    outcome: list[Exception] = []

    def run() -> None:
        try:
            client.query(statement)
        except pymysql.err.MySQLError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    shop.wait_for_rows("SELECT 1 FROM information_schema.processlist WHERE info = %s", statement)

    def end() -> Exception | None:
        thread.join(30)
        assert not thread.is_alive()
        return outcome[0] if outcome else None

    return end


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (Session(1, "shop", "Sleep"), Fate.END),
        (Session(1, "shop", "Sleep", modified=1), Fate.GRACE),
        (Session(1, "shop", "Query", "SELECT 1"), Fate.END),
        (Session(1, "shop", "Query", " /* app */ (select 1)"), Fate.END),
        (Session(1, "shop", "Query", "-- why\n# what\nSELECT(1)"), Fate.END),
        (Session(1, "shop", "Query", "SELECT write_it()", modified=3), Fate.GRACE),
        (Session(1, "shop", "Query", "UPDATE t SET a=1"), Fate.GRACE),
        (Session(1, "shop", "Execute", "/*SELECT*/ insert into t values (1)"), Fate.GRACE),
        (Session(1, "shop", "Query", "/*!50000 DELETE FROM t */"), Fate.GRACE),
        (Session(1, "shop", "Query", "SET STATEMENT max_statement_time=9 FOR UPDATE t SET a=1"), Fate.GRACE),
        (Session(1, "shop", "Query", "CALL work()"), Fate.GRACE),
        (Session(1, "shop", "Query", ""), Fate.GRACE),
        (Session(1, "shop", "Killed", "UPDATE t SET a=1", modified=9), Fate.END),
        (Session(1, "mmm_replication", "Binlog Dump"), Fate.KEEP),
        (Session(1, "mmm_replication", "Binlog Dump GTID"), Fate.KEEP),
        (Session(1, "system user", "Slave_SQL", "UPDATE t SET a=1", modified=2), Fate.KEEP),
        (Session(1, "system user", "Query", "UPDATE t SET a=1", modified=2), Fate.KEEP),
        (Session(1, "event_scheduler", "Daemon"), Fate.KEEP),
        (Session(1, "unauthenticated user", "Connect"), Fate.KEEP),
        (Session(1, "backup", "Query", "UPDATE t SET a=1"), Fate.KEEP),
    ],
)
def test_who_goes_and_who_stays(session: Session, expected: Fate) -> None:
    assert fate(session, frozenset({"backup"})) is expected


def test_denied_writes_are_denied_and_allowed_ones_allowed(shop: Server, agent: Connection) -> None:
    deny_writes(agent, grace=1.0)
    assert not writable(agent)
    late = shop.client("shop", "x")
    with pytest.raises(pymysql.err.MySQLError, match="read-only"):
        late.query("INSERT INTO shop.orders (what) VALUES ('too late')")
    allow_writes(agent)
    assert writable(agent)
    late.query("INSERT INTO shop.orders (what) VALUES ('again')")
    late.close()


def test_idle_sessions_are_ended_at_once(agent: Connection, client: Client) -> None:
    report = deny_writes(agent, grace=3600.0)
    assert is_gone(client)
    assert report.ended >= 1
    assert (report.ended_writers, report.remaining, report.problem) == (0, 0, "")


def test_a_long_read_is_ended_at_once(shop: Server, agent: Connection, client: Client) -> None:
    end = in_background(shop, client, "SELECT SLEEP(600) FROM shop.orders LIMIT 1")
    assert deny_writes(agent, grace=3600.0).ended_writers == 0
    assert end() is not None


def test_an_open_transaction_that_has_only_read_is_ended_at_once(agent: Connection, client: Client) -> None:
    client.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    client.query("SELECT * FROM shop.orders")
    assert deny_writes(agent, grace=3600.0).ended_writers == 0
    assert is_gone(client)


def test_a_writing_statement_may_finish(shop: Server, agent: Connection, client: Client) -> None:
    with held_until(shop, DENIES):
        slow = f"UPDATE shop.orders SET what=CONCAT('kept', {HELD}) ORDER BY id LIMIT 1"  # noqa: S608
        end = in_background(shop, client, slow)
        deny_writes(agent, grace=3600.0, keep=ONLOOKER)
    assert end() is None
    assert shop.value("(SELECT what FROM shop.orders ORDER BY id LIMIT 1)") == "kept1"


@pytest.mark.parametrize("table", ["orders", "notes"])
def test_a_writing_statement_is_ended_after_its_grace(
    shop: Server, agent: Connection, client: Client, table: str
) -> None:
    end = in_background(shop, client, f"INSERT INTO shop.{table} (what) SELECT SLEEP(600)")
    report = deny_writes(agent, grace=0.2)
    assert end() is not None
    assert not writable(agent)
    assert report.ended_writers == 1
    assert shop.value(f"(SELECT COUNT(*) FROM shop.{table} WHERE what='0')") == "0"  # noqa: S608


def test_a_transaction_that_has_written_is_not_waited_for_once_its_commit_would_be_refused(
    shop: Server, agent: Connection, client: Client
) -> None:
    write_in_transaction(shop, client, "never committed")
    report = deny_writes(agent, grace=3600.0)
    assert is_gone(client)
    assert (report.ended_writers, report.remaining) == (1, 0)
    assert shop.value("(SELECT COUNT(*) FROM shop.orders WHERE what='never committed')") == "0"


def wait_for_age(shop: Server, command: str) -> None:
    shop.wait_for_rows(
        "SELECT 1 FROM information_schema.processlist WHERE user='shop' AND command=%s AND time >= 1", command
    )


def test_a_transaction_at_rest_is_ended_while_others_write(
    shop: Server, agent: Connection, client: Client
) -> None:
    write_in_transaction(shop, client, "at rest")
    wait_for_age(shop, "Sleep")
    busy = shop.client("shop", "x")
    write_in_transaction(shop, busy, "busy")
    calm(agent, grace=3600.0)
    assert is_gone(client)
    assert writable(agent)
    busy.commit()
    busy.close()


def at_second_look(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Have that done once somebody who ends sessions has seen who is there, and looks again."""
    look, looks = Ending._sessions, itertools.count()

    def look_again(ending: Ending) -> list[Session]:
        if next(looks) == 1:
            then()
        return look(ending)

    monkeypatch.setattr(Ending, "_sessions", look_again)


def test_a_long_statement_is_waited_for_while_others_write(
    shop: Server, agent: Connection, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gate(shop) as opened, monkeypatch.context() as patched:
        end = in_background(shop, client, f"INSERT INTO shop.notes (what) SELECT {HELD}")
        wait_for_age(shop, "Query")
        at_second_look(patched, opened)
        calm(agent, grace=3600.0)
        writing = "(SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT%')"
        assert shop.value(writing) == "0"
    assert end() is None
    end = in_background(shop, client, "INSERT INTO shop.notes (what) SELECT SLEEP(600)")
    wait_for_age(shop, "Query")
    calm(agent, grace=0.0)
    assert deny_writes(agent, grace=0.0).ended_writers == 1
    assert end() is not None


def test_nobody_is_ended_where_nobody_may_write(shop: Server, agent: Connection, client: Client) -> None:
    root = shop.client()
    write_in_transaction(shop, root, "an administrator's")
    wait_for_age(shop, "Sleep")
    agent.execute("SET GLOBAL read_only=1")
    calm(agent, grace=3600.0)
    assert not is_gone(root)
    assert not is_gone(client)
    root.close()


def test_a_privileged_session_cannot_go_on_writing(shop: Server, agent: Connection) -> None:
    root = shop.client()
    root.query("SELECT 1")
    deny_writes(agent, grace=0.0)
    with pytest.raises(pymysql.err.MySQLError):
        root.query("INSERT INTO shop.orders (what) VALUES ('root')")


def test_a_forgotten_lock_does_not_keep_read_only_off(agent: Connection, client: Client) -> None:
    client.query("LOCK TABLES shop.orders WRITE")
    deny_writes(agent, grace=3600.0)
    assert not writable(agent)
    assert is_gone(client)


def test_users_to_keep_are_kept(agent: Connection, client: Client) -> None:
    deny_writes(agent, grace=0.0, keep=frozenset({"shop"}))
    assert not is_gone(client)


def test_writers_are_the_sessions_whose_transaction_has_written(agent: Connection, client: Client) -> None:
    client.query("BEGIN")
    client.query("INSERT INTO shop.orders (what) VALUES ('open')")
    limit = time.monotonic() + 10
    while len(writers(agent)) != 1:  # the server answers from a list that is up to 0.1 s old
        assert time.monotonic() < limit
        time.sleep(TRANSACTIONS_AGE)
    assert not writers(agent, keep=frozenset({"shop"}))
    client.query("ROLLBACK")


def test_the_survey_tells_who_would_be_ended_and_how_old_the_oldest_work_is(
    shop: Server, agent: Connection, client: Client
) -> None:
    agent.execute("SET time_zone='+09:00'")  # the server tells the beginning of a transaction in its own
    idle = shop.client("shop", "x")
    idle.query("SELECT 1")
    write_in_transaction(shop, client, "open")
    limit = time.monotonic() + 10
    while (found := survey(agent, keep=ONLOOKER)).oldest < 1:
        assert time.monotonic() < limit, found
        time.sleep(TRANSACTIONS_AGE)
    assert (found.at_rest, found.writing) == (1, 1)
    assert found.oldest < 60
    assert found.who.startswith("session ")
    assert found.who.endswith(" of shop")
    kept = survey(agent, keep=ONLOOKER | {"shop"})
    assert (kept.at_rest, kept.writing, kept.oldest, kept.who) == (0, 0, 0.0, "")
    client.rollback()
    idle.close()


def test_the_survey_names_who_is_idle_in_a_transaction(
    shop: Server, agent: Connection, client: Client
) -> None:
    client.query("BEGIN")
    client.query("SELECT * FROM shop.orders FOR UPDATE")
    wait_for_age(shop, "Sleep")
    found = survey(agent, keep=ONLOOKER)
    assert (found.idle, found.at_rest, found.writing) == (1, 1, 0)
    assert found.idle_for >= 1
    assert "of shop@" in found.idle_who
    assert found.idle_who.endswith("whose transaction holds locks on rows")
    client.query("INSERT INTO shop.orders (what) VALUES ('idle')")
    limit = time.monotonic() + 10
    while not (found := survey(agent, keep=ONLOOKER)).idle_who.endswith("has changed 1 row"):
        assert time.monotonic() < limit, found
        time.sleep(TRANSACTIONS_AGE)
    client.query("COMMIT")
    client.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    while (found := survey(agent, keep=ONLOOKER)).idle:
        assert time.monotonic() < limit, found
        time.sleep(TRANSACTIONS_AGE)
    assert found.idle_who == ""


def test_writers_that_wait_for_each_other_do_not_hold_the_move_up(shop: Server, agent: Connection) -> None:
    """One waits for a row of the other, whose next statement would wait behind read_only."""
    holder, waiter = shop.client("shop", "x"), shop.client("shop", "x")
    write_in_transaction(shop, holder, "holds")
    holder.query("UPDATE shop.orders SET what='held' WHERE id=1")
    end_waiter = in_background(shop, waiter, "UPDATE shop.orders SET what='waited' WHERE id=1")

    def go_on() -> None:
        shop.wait_for_rows(DENIES)
        holder.query("INSERT INTO shop.orders (what) VALUES ('next')")
        holder.commit()

    going_on = threading.Thread(target=go_on)
    going_on.start()
    deny_writes(agent, grace=3600.0, keep=ONLOOKER)
    going_on.join()
    assert end_waiter() is None
    assert shop.value("(SELECT COUNT(*) FROM shop.orders WHERE what='next')") == "1"
    assert shop.value("(SELECT what FROM shop.orders WHERE id=1)") == "waited"


def test_what_cannot_be_ended_is_an_error_and_not_a_silence(agent: Connection, client: Client) -> None:
    client.query("LOCK TABLES shop.orders WRITE")
    with pytest.raises(MysqlError, match="read_only could not be set"):
        deny_writes(agent, grace=0.0, keep=frozenset({"shop"}))
    assert writable(agent)


def test_without_the_privilege_it_is_denied(shop: Server) -> None:
    with shop.connect("shop", "x") as connection, pytest.raises(MysqlError) as caught:
        deny_writes(connection, grace=0.0)
    assert caught.value.kind is ErrorKind.DENIED


def test_replication_goes_on_in_both_directions(server_pool: Servers) -> None:
    one, two = server_pool.pair()
    with one.connect() as agent:
        deny_writes(agent, grace=0.0)
        allow_writes(agent)
    one.run("CREATE DATABASE after_it")
    two.wait_for_rows("SHOW DATABASES LIKE 'after_it'")
    for server in (one, two):
        with server.connect() as connection:
            assert connection.query("SHOW GLOBAL STATUS LIKE 'Slaves_connected'")[0]["Value"] == "1"
            assert connection.query("SHOW STATUS LIKE 'Slave_received_heartbeats'")


@contextmanager
def slowed(server: Server, pause: float) -> Iterator[Address]:
    """Give an address at which the server answers, each answer a `pause` late."""
    direct = server.address()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client = listener.accept()[0]
            there = socket.create_connection((direct.ip, direct.port))
            with client, there, suppress(OSError):
                while True:
                    for ready in select.select([client, there], [], [])[0]:
                        if not (data := ready.recv(65536)):
                            return
                        if ready is there:
                            time.sleep(pause)
                        (there if ready is client else client).sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield replace(direct, ip="127.0.0.1", port=listener.getsockname()[1])


def test_a_server_that_is_slow_with_every_session_holds_nobody_up_once_it_is_read_only(
    shop: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processlist, "PATIENCE", 1.5, raising=False)
    with ExitStack() as stack:
        clients = [stack.enter_context(shop.client("shop", "x")) for _ in range(60)]
        stack.callback(shop.run, "SET GLOBAL read_only=0")
        address = stack.enter_context(slowed(shop, 0.05))
        ended = deny_writes(stack.enter_context(connect(address, 5.0)), grace=0.0)
        with shop.connect() as agent:
            assert not writable(agent)
        assert 0 < ended.ended < len(clients)
        assert ended.remaining
        assert ended.stay is None, "others are there yet, and the kernel is to end them"
        assert "too long" in ended.problem
