"""Makes a host lag: locks the sandbox's tables on its own server and writes rows through the writer's VIP.

Run on the host: `python -m mmm.sandbox.trouble.lag WRITER_IP PORT`. Prints "locked" when the lock is held; ends when
killed.
"""

import contextlib
import sys
import time

import pymysql

from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER, PROBE_TABLE, TICK_TABLE
from mmm.sandbox.machines.sql import SOCKET

_TICK = 0.25


def main() -> None:
    """Hold the lock and write a row now and then, for ever."""
    ip, port = sys.argv[1], int(sys.argv[2])
    holder = pymysql.connect(unix_socket=SOCKET, user="root", connect_timeout=5)
    with holder.cursor() as cursor:
        cursor.execute("SET SESSION wait_timeout=604800, lock_wait_timeout=10")
        cursor.execute(f"LOCK TABLES {PROBE_TABLE} READ, {TICK_TABLE} READ")
    print("locked", flush=True)
    while True:
        with contextlib.suppress(pymysql.err.MySQLError, OSError):
            _tick(ip, port)
        time.sleep(_TICK)


def _tick(ip: str, port: int) -> None:
    """Write rows for as long as the writer takes them."""
    limit = 1
    with pymysql.connect(
        host=ip, port=port, user=CLIENT_USER, password=CLIENT_PASSWORD, autocommit=True,
        connect_timeout=limit, read_timeout=limit, write_timeout=limit,
    ) as writer, writer.cursor() as cursor:  # fmt: skip
        while True:
            cursor.execute(f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
            time.sleep(_TICK)


if __name__ == "__main__":
    main()
