"""A connection that is used again: who notices what, on a real server."""

import selectors

import pytest

from mmm.mysql import kept as module
from mmm.mysql.access import writable
from mmm.mysql.connection import Connection, ErrorKind, MysqlError
from mmm.mysql.kept import Kept
from tests.servers import Server, Servers

pytestmark = pytest.mark.mysql
LIMIT = 5.0


def session_id(connection: Connection) -> int:
    return int(connection.query("SELECT CONNECTION_ID() AS id")[0]["id"])


def sessions(server: Server) -> set[int]:
    with server.connect() as other:
        rows = other.query("SELECT ID AS id FROM information_schema.PROCESSLIST")
    return {int(row["id"]) for row in rows}


def test_questions_go_over_one_connection(server: Server) -> None:
    kept = Kept(server.address())
    first = kept.ask(session_id, LIMIT)
    assert kept.ask(session_id, LIMIT) == first
    assert first in sessions(server)
    kept.close()
    server.wait_for_rows(f"SELECT 1 WHERE {first} NOT IN (SELECT ID FROM information_schema.PROCESSLIST)")  # noqa: S608


def test_a_connection_is_replaced_when_its_time_is_over(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWED", 0.0)
    kept = Kept(server.address())
    assert kept.ask(session_id, LIMIT) != kept.ask(session_id, LIMIT)
    kept.close()


def test_one_that_is_due_serves_on_while_the_server_lets_nobody_in(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.run("CREATE USER kept@'%' IDENTIFIED BY 'secret'")
    kept = Kept(server.address("kept", "secret"))
    first = kept.ask(session_id, LIMIT)
    server.run("ALTER USER kept@'%' IDENTIFIED BY 'other'")
    monkeypatch.setattr(module, "RENEWED", 0.0)
    with pytest.raises(MysqlError) as denied:
        kept.ask(session_id, LIMIT)
    assert (denied.value.kind, denied.value.number) == (ErrorKind.DENIED, 1045)
    monkeypatch.undo()
    assert kept.ask(session_id, LIMIT) == first
    kept.close()
    server.run("DROP USER kept@'%'")


def test_an_ended_connection_is_seen_at_once_and_made_anew(server: Server) -> None:
    kept = Kept(server.address())
    first = kept.ask(session_id, LIMIT)
    assert kept.fileno is not None
    with selectors.DefaultSelector() as selector:
        selector.register(kept.fileno, selectors.EVENT_READ)
        server.run(f"KILL {first}")
        assert selector.select(LIMIT)
    assert kept.ask(session_id, LIMIT) != first
    kept.close()


def test_a_server_that_died_refuses_and_one_that_froze_costs_one_limit(server_pool: Servers) -> None:
    with server_pool.lent() as lent:
        server = lent.start()
        kept = Kept(server.address())
        kept.ask(writable, LIMIT)
        with server.frozen(), pytest.raises(MysqlError) as frozen:
            kept.ask(writable, 0.3)
        assert (frozen.value.kind, kept.fileno) == (ErrorKind.TIMED_OUT, None)
        kept.ask(writable, LIMIT)
        server.kill()
        with pytest.raises(MysqlError) as dead:
            kept.ask(writable, LIMIT)
        assert (dead.value.kind, kept.fileno) == (ErrorKind.REFUSED, None)
