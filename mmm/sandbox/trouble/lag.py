"""Makes a host apply slowly: rows are written through the writer's VIP that take it half a second each.

They are replicated as statements, which sleep for as long as a variable says that is 0 on all other hosts. So nobody
holds a lock, and whoever promotes the host has to wait as for any other that is behind.

Run on the host: `python -m mmm.sandbox.trouble.lag WRITER_IP PORT`. Says when rows are written; ends when killed.
"""

import contextlib
import sys
import time
from typing import Any

import pymysql

from mmm.own_module import own_module
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER, TICK_TABLE
from mmm.sandbox.machines.machine import Machine, NotInTimeError

MODULE = "mmm.sandbox.trouble.lag"
_VARIABLE = "default_week_format"
"""A variable that both kinds of servers have, where nothing else depends on it: tenths of a second."""
_TENTHS = 5
_SLOW, _FAST = (f"SET GLOBAL {_VARIABLE}={tenths}" for tenths in (_TENTHS, 0))
_ROW = f"INSERT INTO {TICK_TABLE} (id) SELECT NULL FROM DUAL WHERE SLEEP(@@global.{_VARIABLE} / 10) = 0"  # noqa: S608
_WRITTEN = "written"
_BEGIN = 20.0
_TICK = 0.1
_LIMIT = 2


def slow_down(machine: Machine, writer_ip: str, port: int) -> None:
    """Have a host's server take its time for such rows, and begin to write them; raises SandboxError, SqlError."""
    sql.execute(machine, [_SLOW])
    log = machine.home / "lag.log"
    log.unlink(missing_ok=True)
    machine.spawn(own_module(MODULE, writer_ip, str(port)), log=log)
    deadline = time.monotonic() + _BEGIN
    while not (log.exists() and _WRITTEN in log.read_text()):
        if time.monotonic() > deadline:
            why = log.read_text().strip() or "no answer"
            raise NotInTimeError(f"{machine.name}: no rows are written: {why}")
        time.sleep(0.01)


def speed_up(machine: Machine) -> None:
    """Have it apply them at once; raises SqlError."""
    sql.execute(machine, [_FAST])


def main() -> None:
    """Write a row now and then, for ever."""
    ip, port = sys.argv[1], int(sys.argv[2])
    while True:
        try:
            _write(ip, port)
        except (pymysql.err.MySQLError, OSError) as error:
            print(error, flush=True)
        time.sleep(_TICK)


def _write(ip: str, port: int) -> None:
    """Write rows for as long as the writer takes them."""
    with contextlib.closing(_connected(ip, port)) as writer, writer.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format='STATEMENT'")
        while True:
            cursor.execute(_ROW)
            print(_WRITTEN, flush=True)
            _stay_slow()
            time.sleep(_TICK)


def _stay_slow() -> None:
    """Say it again, for the server may have been started since."""
    with contextlib.suppress(pymysql.err.MySQLError, OSError), contextlib.closing(
        pymysql.connect(unix_socket=sql.SOCKET, user="root", connect_timeout=_LIMIT, read_timeout=_LIMIT)
    ) as here, here.cursor() as cursor:  # fmt: skip
        cursor.execute(_SLOW)


def _connected(ip: str, port: int) -> "pymysql.connections.Connection[Any]":
    return pymysql.connect(
        host=ip, port=port, user=CLIENT_USER, password=CLIENT_PASSWORD, autocommit=True,
        connect_timeout=_LIMIT, read_timeout=_LIMIT, write_timeout=_LIMIT,
    )  # fmt: skip


if __name__ == "__main__":
    main()
