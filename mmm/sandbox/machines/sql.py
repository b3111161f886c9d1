"""The sandbox's own way into each server: root through the Unix socket in the machine's /run."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
from pymysql.connections import Connection

from mmm.sandbox.machines.machine import Machine

SOCKET = "/run/mysqld/mysqld.sock"
_PATH_LIMIT = 100
_CONNECT_LIMIT = 2
LIMIT = 20.0
"""Seconds for a statement: where the machine is busy a commit may take some."""
SqlError = pymysql.err.MySQLError
ENDED = frozenset({2006, 2013, 1927})
"""Errors of a session that was ended: a fence ends those of root, too."""
Row = dict[str, Any]


@contextlib.contextmanager
def session(machine: Machine, limit: float = LIMIT) -> Iterator["Connection[Any]"]:
    """Give a connection as root, statements limited to `limit` seconds; raises SqlError, SandboxError."""
    connection = pymysql.connect(
        unix_socket=_socket_path(machine), user="root", autocommit=True, connect_timeout=_CONNECT_LIMIT,
        read_timeout=limit, write_timeout=limit, cursorclass=pymysql.cursors.DictCursor,
        ssl_disabled=True,  # else PyMySQL reads all authorities for each connection: 20 ms
    )  # fmt: skip
    try:
        yield connection
    finally:
        with contextlib.suppress(SqlError, OSError):
            connection.close()


def query(
    machine: Machine, statement: str, args: Sequence[object] = (), *, limit: float = LIMIT
) -> list[Row]:
    """Run one statement as root and return its rows; raises SqlError."""
    with session(machine, limit) as connection, connection.cursor() as cursor:
        cursor.execute(statement, args or None)
        return list(cursor.fetchall())


def insist(machine: Machine, statement: str, *, limit: float = LIMIT) -> list[Row]:
    """Run what may well be run twice, as `query` does, and again where its session was ended; raises SqlError.

    Nothing is run again once `limit` seconds are over.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            return query(machine, statement, limit=limit)
        except SqlError as error:
            if error.args[0] not in ENDED or time.monotonic() > deadline:
                raise


def execute(machine: Machine, statements: Sequence[str], *, limit: float = LIMIT) -> None:
    """Run statements as root in one session; raises SqlError."""
    with session(machine, limit) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def quoted(text: str) -> str:
    """Return `text` as a string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _socket_path(machine: Machine) -> str:
    """Return the path of the server's socket, through /proc when the plain one is too long for the kernel."""
    plain = str(machine.path(SOCKET))
    return plain if len(os.fsencode(plain)) < _PATH_LIMIT else f"/proc/{machine.pid}/root{SOCKET}"
