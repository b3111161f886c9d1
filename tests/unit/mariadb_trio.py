"""The trio on MariaDB with GTIDs, or set up by file and position, and what tests do with it.

All is asked as the accounts that `grants` makes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.replication import (
    BinlogPosition,
    binlog_position,
    replica_status,
)
from mmm.mysql.session.connection import Connection
from tests.servers import Server, Servers
from tests.unit.trio import AGENT, MONITOR, REPLICATION, Trio

LONG = 30.0


def catch_up(replica: Server, source: Server) -> None:
    with source.connect() as there, replica.connect() as here:
        assert wait_for_source(here, binlog_position(there), LONG) is Caught.REACHED


def make_accounts(*servers: Server) -> None:
    for server in servers:
        with server.connect() as connection:
            for statement in grants(connection.flavour, MONITOR, AGENT, REPLICATION):
                connection.execute(statement)


def build(pool: Servers, how: str) -> Trio:
    trio = Trio(pool.start(), pool.start(), pool.start())
    make_accounts(*trio.all)
    login = f"{how}, MASTER_USER='{REPLICATION.user}', MASTER_PASSWORD='r\\\\r'"
    trio.two.replicate_from(trio.one, login)
    trio.one.replicate_from(trio.two, login)
    trio.slave.replicate_from(trio.one, login)
    trio.one.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(99)) ENGINE=InnoDB",
        "CREATE TABLE shop.notes (what VARCHAR(99)) ENGINE=MyISAM",
    )
    return trio


@contextmanager
def held_up(server: Server, table: str = "orders") -> Iterator[None]:
    """Keep the server's replication from applying rows of a table."""
    client = server.client()
    client.query(f"LOCK TABLES shop.{table} WRITE")
    try:
        yield
    finally:
        client.close()


def wait_until_received(replica: Server, source: Server) -> None:
    with source.connect() as connection:
        end = binlog_position(connection).place
    with replica.connect() as connection:
        while not (status := replica_status(connection)) or not status.read.reaches(end):
            pass


def position(server: Server) -> BinlogPosition:
    with server.connect() as connection:
        return binlog_position(connection)


def copy(origin: Server, to: Server, place: str = "") -> None:
    """Make `to` a copy of the rows and the place of a server, without its binary log, as a dump or a backup is."""
    with origin.connect() as connection:
        found = connection.query("SELECT id, what FROM shop.orders")
    rows = ", ".join(f"({row['id']}, '{row['what']}')" for row in found)
    to.run(
        "STOP SLAVE",
        "RESET MASTER",
        "SET SESSION sql_log_bin=0",
        "DELETE FROM shop.orders",
        f"INSERT INTO shop.orders VALUES {rows}",  # noqa: S608
        f"SET GLOBAL gtid_slave_pos='{origin.value('@@gtid_current_pos')}'",
        *([f"CHANGE MASTER TO {place}"] if place else []),
        "START SLAVE",
    )


def wait_until_source_lacks_log(replica: Connection) -> None:
    while (status := replica_status(replica)) is None or not status.source_lacks_log:
        pass
