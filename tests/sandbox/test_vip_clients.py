"""What clients notice of a VIP that leaves: at once, whether they ask or wait (rule 10.13)."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.witness.health import settle
from tests.scenarios import LIMIT, Log

pytestmark = pytest.mark.sandbox


class Client:
    """A client that is logged in at a server."""

    def __init__(self, sandbox: Sandbox, ip: str) -> None:
        self.socket = sandbox.client.connect((ip, 3306), LIMIT)
        # Over TLS, which MariaDB 11.8 offers by itself, the session takes the socket away.
        self.session: Connection[Any] = Connection(
            user=CLIENT_USER, password=CLIENT_PASSWORD, ssl_disabled=True, read_timeout=LIMIT, defer_connect=True,
        )  # fmt: skip
        self.session.connect(self.socket)

    def waits_in_vain(self) -> bool:
        """Say nothing, and tell whether the connection stands all the same for as long as anybody waits."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return True
        except ConnectionError:
            pass
        return False


@contextlib.contextmanager
def client(sandbox: Sandbox, ip: str) -> Iterator[Client]:
    made = Client(sandbox, ip)
    with made.socket:
        yield made


def reader_of(sandbox: Sandbox, host: str) -> str:
    return next(ip for role, ip in sandbox.show()[host].roles if role == "reader")


def test_a_reader_vip_that_moves_ends_its_own_clients_and_no_others(sandbox: Sandbox) -> None:
    vip, own = reader_of(sandbox, "db3"), sandbox.layout.hosts["db3"].ip
    agent_log = Log(sandbox, "db3", "mmm_agentd")
    errors: list[Exception] = []

    def ask_slowly(session: "Connection[Any]") -> None:
        try:
            session.query("SELECT SLEEP(1000)")
        except pymysql.err.MySQLError as error:
            errors.append(error)

    with client(sandbox, vip) as idle, client(sandbox, vip) as busy, client(sandbox, own) as direct:
        asking = threading.Thread(target=ask_slowly, args=(busy.session,))
        asking.start()
        running = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'"
        sandbox.wait_until(lambda: bool(sandbox.sql("db3", running)), LIMIT, "the slow question is asked")
        assert sandbox.ask("move_role reader db3").startswith("OK")
        assert not idle.waits_in_vain()
        asking.join()
        assert errors[0].args[0] in {1927, 2013}
        direct.session.ping(reconnect=False)
    assert "2 clients ended" in agent_log.wait("unbind reader")
    assert sandbox.sql("db3", running) == []
    settle(sandbox)  # replication among it


def test_clients_of_a_frozen_server_are_reset_when_its_vip_leaves(sandbox: Sandbox) -> None:
    vip = reader_of(sandbox, "db3")
    with client(sandbox, vip) as known:
        inject(sandbox, "freeze-mysqld", "db3")
        # The kernel takes this one in, the server never hears of it.
        with sandbox.client.connect((vip, 3306), LIMIT) as unknown:
            assert not known.waits_in_vain()
            with pytest.raises(ConnectionResetError):
                unknown.recv(1)
