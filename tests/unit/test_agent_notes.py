"""What an agent sees in its server's list of threads."""

import time

import pytest

from mmm.agent.act import notes
from mmm.mysql.session.connection import Connection
from mmm.wire.questions import DISK_FULL, EVENTS, Note
from tests.servers import Server


def awaited(server: Server, found: tuple[Note, ...]) -> bool:
    deadline = time.monotonic() + 20
    with server.connect() as connection:
        while (seen := notes.look(connection)) != found and time.monotonic() < deadline:
            time.sleep(0.05)
        return seen == found


@pytest.mark.mysql
def test_an_event_that_is_enabled_is_seen_and_one_that_is_not_is_none(server: Server) -> None:
    server.run("CREATE DATABASE of_events", "SET GLOBAL event_scheduler=ON")
    try:
        assert awaited(server, ())
        server.run("CREATE EVENT of_events.e ON SCHEDULE EVERY 1 SECOND DO DO 1")
        assert awaited(server, (Note(EVENTS),))
        server.run("ALTER EVENT of_events.e DISABLE ON SLAVE")
        assert awaited(server, ())
    finally:
        server.run("SET GLOBAL event_scheduler=OFF", "DROP DATABASE of_events")


@pytest.mark.parametrize("state", ["Waiting for someone to free space", "Waiting for disk space"])
def test_threads_that_wait_for_a_disk_are_seen_by_the_longest(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"state": state, "seconds": 3},
        {"state": state, "seconds": 37},
        {"state": "Waiting for tables", "seconds": 99},
    ]
    monkeypatch.setattr(Connection, "ask", lambda *_: rows)
    assert notes.look(Connection.__new__(Connection)) == (Note(DISK_FULL, 37.0),)
