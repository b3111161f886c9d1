"""The sandbox's own way into a server, on a real one: what may be run twice outlives the end of its session."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import cast

import pytest

from mmm.sandbox.machines import sql
from mmm.sandbox.machines.machine import Machine
from tests.servers import Server, Servers

pytestmark = pytest.mark.mysql

ASKS = "SELECT COALESCE((SELECT MAX(what) FROM test.ended), SLEEP(60)) AS value"
"""Takes a minute unless there is a row."""


@dataclass
class Home:
    """Stands for the machine of a server; only its socket is asked for."""

    server: Server
    pid: int = 0

    def path(self, _: str) -> Path:
        return self.server.directory / "s"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pool = Servers(tmp_path)
    server = pool.start()
    server.run("CREATE TABLE test.ended (what INT)")
    yield server
    pool.stop()


def ended(server: Server, *first: str) -> Thread:
    """Have another client end the session that waits, after it has run these statements."""

    def end() -> None:
        waits = "FROM information_schema.processlist WHERE state='User sleep'"
        server.wait_for_rows(f"SELECT id {waits}")
        server.run(*first, f"KILL CONNECTION {server.value(f'(SELECT id {waits})')}")

    thread = Thread(target=end)
    thread.start()
    return thread


def test_what_may_be_run_twice_is_run_again_where_its_session_was_ended(server: Server) -> None:
    other = ended(server, "INSERT INTO test.ended VALUES (7)")
    assert sql.insist(cast("Machine", Home(server)), ASKS) == [{"value": 7}]
    other.join()


def test_it_is_run_again_only_while_there_is_time(server: Server) -> None:
    with pytest.raises(sql.SqlError, match="2013"):
        sql.insist(cast("Machine", Home(server)), ASKS, limit=1.0)


def test_another_error_is_raised_at_once_and_a_plain_query_is_not_run_again(server: Server) -> None:
    with pytest.raises(sql.SqlError, match="1146"):
        sql.insist(cast("Machine", Home(server)), "SELECT * FROM test.none")
    other = ended(server)
    with pytest.raises(sql.SqlError, match="2013"):
        sql.query(cast("Machine", Home(server)), ASKS)
    other.join()
