"""Writes numbered rows through the writer's VIP for as long as it may, and tells of each what came of it.

Run on a machine by mmm.proving.chaos.recorders: `python -m mmm.proving.chaos.client PLAN`, until its input ends. Each
line it prints is a JSON list: number, when it was sent, when answered, outcome, the server's id in the answer. Every
number is tried once. What acknowledges a row says who it is in the same answer: LAST_INSERT_ID(@@server_id) comes back
with it, so no proxy, cache or older answer can stand between the row and the name.
"""

import contextlib
import json
import sys
import threading
import time
from typing import Any

import pymysql
from pymysql.connections import Connection

from mmm.proving import outcomes, vip_clients
from mmm.proving.vip_clients import Plan
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER, DATABASE

TABLE = f"{DATABASE}.chaos"
PERIOD = 0.05
"""Seconds between two rows of a client."""
LIMIT = 1.0
"""Seconds for connecting and for every row."""


class Client:
    """One connection that is made again at once when it fails."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._connection: Connection[Any] | None = None

    def attempt(self, number: int) -> list[object]:
        """Try a row and return what came of it."""
        plan, sent, server = self._plan, time.monotonic(), 0
        committing = False
        try:
            connection = self._connection or self._connect()
            with connection.cursor() as cursor:
                sent, committing = time.monotonic(), True
                cursor.execute(
                    f"INSERT INTO {TABLE} VALUES (%s, %s, LAST_INSERT_ID(@@server_id))",  # noqa: S608
                    (plan.run, number),
                )
                server = cursor.lastrowid
            outcome = outcomes.ACKNOWLEDGED
        except (pymysql.err.MySQLError, OSError) as error:
            outcome = outcomes.of_error(error, committing=committing)
            self.drop()
        return [number, sent, time.monotonic(), outcome, server]

    def drop(self) -> None:
        """Close the connection without a word."""
        vip_clients.drop(self._connection)
        self._connection = None

    def _connect(self) -> "Connection[Any]":
        self._connection = vip_clients.connect(self._plan, CLIENT_USER, CLIENT_PASSWORD)
        return self._connection


def main() -> None:
    """Run the plan in the first argument until the input ends."""
    plan, over = vip_clients.plan(), threading.Event()
    threading.Thread(target=_await_end, args=(over,), daemon=True).start()
    client, number = Client(plan), 0
    with contextlib.suppress(BrokenPipeError):
        while not over.is_set():
            number += 1
            print(json.dumps(client.attempt(number)), flush=True)
            over.wait(plan.period)
    client.drop()


def _await_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
