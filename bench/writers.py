"""Clients that write side by side through the writer's VIP, and keep book of every transaction that was held up.

Run on the client's machine by bench.move, as a script with its plan as argument, until its input ends. A transaction is
one row. A client whose transaction fails drops the connection and tries it again until it is acknowledged, as an
application does. Each line printed is a JSON object: {"done": 17} ten times a second, at last {"book": […]}: of each
client, when it is tried first and acknowledged (monotonic seconds) and the errors in between, for all that failed or
took longer than WAITING.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection

from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER, PROBE_TABLE

WAITING = 0.1
"""Seconds from which on a transaction counts as waiting."""
_BACKOFF = 0.002
_TICK = 0.1

Deed = tuple[float, float, list[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the clients do; times in seconds."""

    run: str
    writer: str
    port: int = 3306
    clients: int = 8
    period: float = 0.01
    limit: float = 2.0

    def text(self) -> str:
        """Return the plan as an argument for the program."""
        return json.dumps(asdict(self))


class Client:
    """One client; `book` has what did not go through at once."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan, self._number = plan, number
        self._connection: Connection[Any] | None = None
        self.done = 0
        self.book: list[Deed] = []

    def work(self, stopped: Callable[[], bool]) -> None:
        """Write row after row until stopped."""
        run, number = self._plan.run, 0
        while not stopped():
            number += 1
            row = 1_000_000 * self._number + number
            statement = f"INSERT INTO {PROBE_TABLE} (run, n) VALUES ('{run}', {row})"  # noqa: S608
            began, errors = time.monotonic(), []
            while (error := self._attempt(statement)) and not stopped():
                errors.append(error)
                time.sleep(_BACKOFF)
            ended = time.monotonic()
            self.done += 1
            if errors or ended - began > WAITING:
                self.book.append((began, ended, errors))
            time.sleep(self._plan.period)
        self._drop()

    def _attempt(self, statement: str) -> str:
        """Return why the statement was not acknowledged, empty when it was; `not sent` where no connection was had."""
        try:
            if self._connection is None:
                self._connect()
        except (pymysql.err.MySQLError, OSError):
            return "not sent"
        assert self._connection is not None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
        except (pymysql.err.MySQLError, OSError) as error:
            self._drop()
            return str(error)[:80] or type(error).__name__
        return ""

    def _connect(self) -> None:
        plan = self._plan
        self._connection = pymysql.connect(
            host=plan.writer, port=plan.port, user=CLIENT_USER, password=CLIENT_PASSWORD, autocommit=True,
            connect_timeout=plan.limit, read_timeout=plan.limit, write_timeout=plan.limit,
            ssl_disabled=True,  # else PyMySQL reads all authorities for each connection: 20 ms
        )  # fmt: skip

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(pymysql.err.MySQLError, OSError):
                self._connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001
        self._connection = None


def main() -> None:
    """Run the plan in the first argument until the input ends."""
    plan, over = Plan(**json.loads(sys.argv[1])), threading.Event()
    clients = [Client(plan, number) for number in range(plan.clients)]
    threads = [threading.Thread(target=client.work, args=(over.is_set,)) for client in clients]
    threads.append(threading.Thread(target=_tick, args=(clients, over)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"book": [client.book for client in clients]}), flush=True)


def _tick(clients: list[Client], over: threading.Event) -> None:
    while not over.wait(_TICK):
        print(json.dumps({"done": sum(client.done for client in clients)}), flush=True)


if __name__ == "__main__":
    main()
