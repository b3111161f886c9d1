"""Clients that write side by side through the writer's VIP, and keep book of every transaction that was held up.

Run on the client's machine by bench.move, as a script with its plan as argument, until its input ends. A transaction is
one row. A client whose transaction fails drops the connection and tries it again until it is acknowledged, as an
application does. Each line printed is a JSON object: {"done": 17} ten times a second, at last {"book": […]}: of each
client, when it is tried first and acknowledged (monotonic seconds) and the errors in between, for all that failed or
took longer than WAITING.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pymysql
from pymysql.connections import Connection

from mmm.proving import vip_clients
from mmm.proving.vip_clients import Plan
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER, PROBE_TABLE

WAITING = 0.1
"""Seconds from which on a transaction counts as waiting."""
_BACKOFF = 0.002

Deed = tuple[float, float, list[str]]


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
                self._connection = vip_clients.connect(self._plan, CLIENT_USER, CLIENT_PASSWORD)
        except (pymysql.err.MySQLError, OSError):
            return "not sent"
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
        except (pymysql.err.MySQLError, OSError) as error:
            self._drop()
            return str(error)[:80] or type(error).__name__
        return ""

    def _drop(self) -> None:
        vip_clients.drop(self._connection)
        self._connection = None


def main() -> None:
    """Run the plan in the first argument until the input ends."""
    plan = vip_clients.plan()
    clients = [Client(plan, number) for number in range(plan.clients)]
    done = lambda: {"done": sum(client.done for client in clients)}  # noqa: E731
    vip_clients.until_input_ends([client.work for client in clients], done)
    print(json.dumps({"book": [client.book for client in clients]}), flush=True)


if __name__ == "__main__":
    main()
