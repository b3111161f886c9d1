"""Clients that write through the writer's VIP as applications do, and record every single deed.

Run on the client's machine by mmm.proving.torture: `python -m mmm.proving.workload PLAN`, until its input ends. A
deed is a row with a unique number, tried once, in one of four ways: alone, in a transaction with an update of a
row that all clients update, from a temporary table, or as a table that is made. It is then

    acknowledged   the server said so: it must be on every host, once
    unknown        the connection went away over it: on every host once, or on none
    refused        the server said no, or it was never sent: on no host

Each line it prints is a JSON object: {"acknowledged": 17} now and then, at last {"deeds": {…}}.
"""

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pymysql
from pymysql.connections import Connection

from mmm.proving import vip_clients
from mmm.proving.outcomes import ACKNOWLEDGED, of_error
from mmm.proving.vip_clients import Plan

DATABASE = "torture"
DEED_TABLE = f"{DATABASE}.deed"
COUNTER_TABLE = f"{DATABASE}.counter"
COUNTERS = 5
USER = "torture"
PASSWORD = "torture-secret"  # noqa: S105  (of a server that only this sandbox reaches)

_BACKOFF = 0.01


def table(run: int | str, client: int, number: int) -> str:
    """Return the name of the table that a deed makes."""
    return f"made_{run}_{client}_{number}"


@dataclass
class Book:
    """What came of every deed: client, number, kind and outcome."""

    deeds: list[tuple[int, int, str, str]] = field(default_factory=list)
    acknowledged: int = 0

    def enter(self, client: int, number: int, kind: str, outcome: str) -> None:
        """Keep what came of a deed."""
        self.deeds.append((client, number, kind, outcome))
        self.acknowledged += outcome == ACKNOWLEDGED


class Client:
    """One client: one connection that is made again at once when it fails."""

    def __init__(self, plan: Plan, number: int, book: Book) -> None:
        self._plan, self._number, self._book = plan, number, book
        self._random = random.Random(f"{plan.run}/{number}")  # noqa: S311
        self._connection: Connection[Any] | None = None
        self._committing = False

    def work(self, stopped: Callable[[], bool]) -> None:
        """Do deed after deed until stopped."""
        kinds: dict[str, Callable[[int], None]] = {
            "row": self._row, "transaction": self._transaction, "temporary": self._temporary, "table": self._table
        }  # fmt: skip
        deed = 0
        while not stopped():
            if self._connection is None and not self._connect():
                time.sleep(_BACKOFF)
                continue
            deed += 1
            kind = self._random.choices(list(kinds), (45, 35, 17, 3))[0]
            self._committing = False
            try:
                kinds[kind](deed)
                outcome = ACKNOWLEDGED
            except (pymysql.err.MySQLError, OSError) as error:
                outcome = of_error(error, committing=self._committing)
                self._drop()
            self._book.enter(self._number, deed, kind, outcome)
            time.sleep(self._plan.period)
        self._drop()

    def _row(self, deed: int) -> None:
        self._commit(self._insert(deed))

    def _transaction(self, deed: int) -> None:
        counter = self._random.randrange(COUNTERS)
        self._run("BEGIN")
        self._run(self._insert(deed, counter))
        self._run(f"UPDATE {COUNTER_TABLE} SET value = value + 1 WHERE id = {counter}")  # noqa: S608
        self._commit("COMMIT")

    def _temporary(self, deed: int) -> None:
        self._run("CREATE TEMPORARY TABLE passing (run INT, client INT, n INT)")
        self._run(f"INSERT INTO passing VALUES ({self._plan.run}, {self._number}, {deed})")  # noqa: S608
        self._commit(f"INSERT INTO {DEED_TABLE} (run, client, n) SELECT run, client, n FROM passing")  # noqa: S608
        self._committing = False
        with suppress(pymysql.err.MySQLError, OSError):  # the deed is done
            self._run("DROP TEMPORARY TABLE passing")
            return
        self._drop()

    def _table(self, deed: int) -> None:
        name = table(self._plan.run, self._number, deed)
        self._commit(f"CREATE TABLE {DATABASE}.{name} (id INT PRIMARY KEY)")

    def _insert(self, deed: int, counter: int | None = None) -> str:
        values = f"{self._plan.run}, {self._number}, {deed}, {'NULL' if counter is None else counter}"
        return f"INSERT INTO {DEED_TABLE} (run, client, n, counter) VALUES ({values})"  # noqa: S608

    def _commit(self, statement: str) -> None:
        self._committing = True
        self._run(statement)

    def _run(self, statement: str) -> None:
        assert self._connection is not None  # noqa: S101
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _connect(self) -> bool:
        try:
            self._connection = vip_clients.connect(self._plan, USER, PASSWORD, DATABASE)
        except (pymysql.err.MySQLError, OSError):
            return False
        return True

    def _drop(self) -> None:
        vip_clients.drop(self._connection)
        self._connection = None


def main() -> None:
    """Run the plan in the first argument until the input ends."""
    plan, book = vip_clients.plan(), Book()
    clients = [Client(plan, number, book) for number in range(plan.clients)]
    vip_clients.until_input_ends(
        [client.work for client in clients], lambda: {"acknowledged": book.acknowledged}
    )
    print(json.dumps({"deeds": book.deeds}), flush=True)


if __name__ == "__main__":
    main()
