"""A server that has transactions of its own, and what it takes to save them."""

import os
from pathlib import Path

from mmm.gtid.transactions import Executed
from mmm.mysql.server.log_home import LogHome, look_at_log_home
from mmm.mysql.server.replication import executed
from mmm.mysql.session.connection import Connection
from mmm.process import binlog_program
from mmm.tools.saved.extras import Extras
from mmm.tools.saved.find import find
from mmm.tools.saved.outcome import Saved
from mmm.tools.saved.save import Target, save
from mmm.tools.saved.texts import Sources
from tests.servers import MARIADB, OTHERS, Server, Servers

KINDS = (MARIADB, *OTHERS)
GTIDS = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")


def build(servers: Servers, *options: str) -> Server:
    """Return a server with a table and two rows."""
    by_gtid = () if servers.kind.flavour.mariadb else GTIDS
    server = servers.start("--innodb-flush-log-at-trx-commit=2", *by_gtid, *options)
    server.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200)) ENGINE=InnoDB",
        *inserts("first", "second"),
    )
    return server


def inserts(*what: str) -> list[str]:
    return [f"INSERT INTO shop.orders (what) VALUES ('{one}')" for one in what]  # noqa: S608


def has(server: Server) -> Executed:
    with server.connect() as connection:
        found = executed(connection)
    assert found is not None
    return found


def home(server: Server) -> LogHome:
    with server.connect() as connection:
        return connection.ask(look_at_log_home(connection))


def found(server: Server, there: Executed) -> Extras:
    return find(home(server), there, has(server))


def program_of(server: Server) -> str:
    """Return the program that reads the server's log."""
    own = server.kind.binlog_program()
    return binlog_program.find(str(own or ""), os.environ["PATH"], mariadb=server.kind.flavour.mariadb)


def saved(
    server: Server,
    extras: Extras,
    folder: Path,
    *,
    here: Connection | None = None,
    there: Connection | None = None,
) -> Saved:
    return save(extras, Target(folder, "db1", "db2"), Sources(program_of(server), here, there))
