"""Which sessions are those of the clients that the kernel names."""

import ipaddress

import pytest

from mmm.mysql.server.client_sessions import end_clients, sort_out
from mmm.mysql.server.processlist import Session
from mmm.mysql.session.connection import Connection
from tests.servers import Client, Server

KEEP = frozenset({"agent"})
CLIENT = ("10.0.0.9", 40000)


def session(number: int, client: str, user: str = "shop", command: str = "Sleep") -> Session:
    return Session(number, user, command, client=client)


@pytest.mark.parametrize(
    ("sessions", "ended", "kept"),
    [
        ([session(1, "10.0.0.9:40000"), session(2, "10.0.0.9:40001"), session(3, "10.0.0.8:40000")], [1], False),
        ([session(1, "app.example.org:40000"), session(2, "10.0.0.8:40000")], [1], False),
        ([session(1, "app.example.org:40000"), session(2, "web.example.org:40000")], [], False),
        ([session(1, "app.example.org:40000"), session(2, "web.example.org:40000", "agent")], [], True),
        ([session(1, "10.0.0.9:40000", "agent")], [], True),
        ([session(1, "10.0.0.9:40000", "repl", "Binlog Dump")], [], True),
        ([session(1, "10.0.0.9:40000", command="Query")], [1], False),
        ([session(1, "localhost"), session(2, ""), session(3, "10.0.0.9:ssh")], [], False),
        # It has not said who it is: whatever it would be, it can come again.
        ([session(1, "10.0.0.9:40000", "unauthenticated user", "Connect")], [1], False),
    ],
)  # fmt: skip
def test_sessions_are_told_apart_by_where_they_come_from(
    sessions: list[Session], ended: list[int], *, kept: bool
) -> None:
    assert sort_out(sessions, [CLIENT], KEEP) == (ended, frozenset({CLIENT} if kept else ()))


def test_ipv6_clients_are_told_apart_too() -> None:
    listed = [session(1, "fd00::9:40000"), session(2, "::ffff:10.0.0.9:40000"), session(3, "fd00::8:40000")]
    assert sort_out(listed, [(str(ipaddress.ip_address("fd00:0::9")), 40000), CLIENT], KEEP)[0] == [1, 2]


@pytest.mark.mysql
def test_the_server_ends_who_is_meant_and_keeps_the_others(server: Server) -> None:
    with server.connect() as agent:
        first, second, mine = server.client("root"), server.client("root"), server.client("root")
        threads = [thread(each) for each in (first, second)]
        clients = [place(agent, number) for number in threads]
        told = end_clients(agent, clients, frozenset(), 5.0)
        assert (told.ended, told.kept) == (2, frozenset())
        server.wait_for_rows(
            "SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM information_schema.processlist WHERE id IN (%s, %s))",
            *threads,
        )
        mine.ping()
        assert end_clients(agent, [place(agent, thread(mine))], frozenset({"root"}), 5.0).ended == 0
        mine.close()


def thread(client: Client) -> int:
    with client.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int((cursor.fetchone() or (0,))[0])


def place(agent: Connection, thread: int) -> tuple[str, int]:
    row = agent.query("SELECT host FROM information_schema.processlist WHERE id = %s", (thread,))[0]
    ip, _, port = str(row["host"]).rpartition(":")
    return ip, int(port)
