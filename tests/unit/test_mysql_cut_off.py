"""A source that dies in the middle of sending a transaction: its replica has all there is to have."""

import socket
import threading
from contextlib import suppress

import pytest

from mmm.mysql.server.await_applied import Caught, wait_applied
from mmm.mysql.server.replication import replica_status
from tests.servers import Servers

pytestmark = pytest.mark.mysql


class CutOff:
    """Carries connections to a server on loopback until told to let only so many more bytes through."""

    def __init__(self, port: int) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.happened = threading.Event()
        self.left: int | None = None
        self._server_port = port
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _accept(self) -> None:
        while not self.happened.is_set():
            try:
                client, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                return
            for pair in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket, counted: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while not self.happened.is_set() and (data := here.recv(4096)):
                passed = data[: self.left] if counted else data
                if counted and self.left is not None:
                    self.left -= len(passed)
                there.sendall(passed)
                if counted and self.left == 0:
                    self.happened.set()
        for side in (here, there):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=["MASTER_USE_GTID=slave_pos", "MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=4"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_half_a_transaction_is_not_waited_for(server_pool: Servers, how: str) -> None:
    with server_pool.lent() as pool:
        source, replica = pool.start("--binlog-format=ROW"), pool.start()
        line = CutOff(source.port)
        replica.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={line.port}, MASTER_USER='root', {how}",
            "START SLAVE",
        )
        source.run("CREATE TABLE test.whole (id INT PRIMARY KEY)", "INSERT INTO test.whole VALUES (1)")
        source.run("CREATE TABLE test.half (what MEDIUMTEXT)")
        replica.wait_for_rows("SELECT 1 FROM information_schema.tables WHERE table_name='half'")
        line.left = 500_000
        source.run("INSERT INTO test.half VALUES " + ", ".join(["(REPEAT('x', 50000))"] * 40))  # noqa: S608
        assert line.happened.wait(20)
        replica.wait_for_rows("SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Reconnecting%'")
        with replica.connect() as connection:
            status = replica_status(connection)
            assert status
            assert not status.all_applied
            assert wait_applied(connection, 60.0) is Caught.REACHED
        assert replica.value("(SELECT COUNT(*) FROM test.whole)") == "1"
        assert replica.value("(SELECT COUNT(*) FROM test.half)") == "0"
        line.close()
