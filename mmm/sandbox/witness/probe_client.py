"""The client program of a rehearsal: numbered rows through the writer's VIP, reads through the reader VIPs.

Run on the client's machine by mmm.sandbox.witness.probe_run. Every line it prints is a JSON object with an "event":

    begin    at                                         the first row was acknowledged
    fail     kind vip at error host                     the first failure after a success
    back     kind vip at since ms before after errors   the first success after it; ms from the last success
    stall    vip at ms host                             a row that took long but came through
    tick     at acknowledged                            a sign of life, ten times a second
    end      at last unknown refused                    the run is over: rows 1 to last were tried

`at` is the monotonic clock, which all machines share. A number is tried once: when its outcome is unknown (the
connection went away) or it was refused, the next attempt takes the next number, so a row seen twice was doubled.
"""

import contextlib
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection

from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER, PROBE_TABLE

_TICK = 0.1
# Server errors after which the statement may have been done all the same: shutdown, interrupted, connection killed.
_OPEN_ENDED = frozenset({1053, 1317, 1927, 2006, 2013, 2014, 2055})
NEVER_SENT = 2003


@dataclass(frozen=True, slots=True)
class Plan:
    """What a probe does; times in seconds."""

    run: str
    writer: str
    readers: tuple[str, ...]
    port: int = 3306
    read_port: int = 0
    """The port to read from; 0: the same."""
    period: float = 0.002
    read_period: float = 0.02
    limit: float = 0.25
    """For every statement."""
    connect_limit: float = 0.25
    """For connecting: while nobody answers an outage is seen to end this much too late."""
    stall: float = 0.1
    """A row that takes longer is told."""
    backoff: float = 0.005
    """After a failure."""

    def text(self) -> str:
        """Return the plan as an argument for the program."""
        return json.dumps(asdict(self))


class _Told:
    """The JSON lines, written by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "at": time.monotonic(), **fields})
        with self._lock, contextlib.suppress(BrokenPipeError):
            print(line, flush=True)


class _Stream:
    """One VIP as a client sees it: a connection that is made again at once when it fails, and the outages."""

    def __init__(self, plan: Plan, kind: str, vip: str, told: _Told) -> None:
        self._plan, self._kind, self._vip, self._told = plan, kind, vip, told
        self._port = (plan.read_port if kind == "read" else 0) or plan.port
        self._connection: Connection[Any] | None = None
        self.host = ""
        self._last_host = ""
        self._last_good = 0.0
        self._errors: Counter[str] = Counter()

    def attempt(self, statement: str) -> int:
        """Run the statement; return 0 when it is acknowledged, NEVER_SENT, or the error's number (-1: none)."""
        began = time.monotonic()
        try:
            connection = self._connection or self._connect()
            with connection.cursor() as cursor:
                cursor.execute(statement)
        except (pymysql.err.MySQLError, OSError) as error:
            return self._failed(error)
        self._succeeded(began)
        return 0

    def _connect(self) -> "Connection[Any]":
        plan = self._plan
        # The hosts' own names are those of their machines, so @@hostname tells who answers behind a VIP.
        made = pymysql.connect(
            host=self._vip, port=self._port, user=CLIENT_USER, password=CLIENT_PASSWORD, autocommit=True,
            connect_timeout=plan.connect_limit, read_timeout=plan.limit, write_timeout=plan.limit,
            ssl_disabled=True,  # else PyMySQL reads all authorities for each connection: 20 ms
        )  # fmt: skip
        try:
            with made.cursor() as cursor:
                cursor.execute("SELECT @@hostname")
                self.host = str((cursor.fetchone() or [""])[0])
        except BaseException:
            _drop(made)
            raise
        self._connection = made
        return made

    def _failed(self, error: Exception) -> int:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else -1
        text = f"({number}) {error.args[-1] if error.args else error}"[:120]
        if not self._errors and self._last_good:
            self._told("fail", kind=self._kind, vip=self._vip, error=text, host=self._last_host)
        self._errors[text] += 1
        unsent = self._connection is None  # then the statement never left
        self.close()
        time.sleep(self._plan.backoff)
        return NEVER_SENT if unsent else number

    def _succeeded(self, began: float) -> None:
        now = time.monotonic()
        if self._errors and self._last_good:
            self._told(
                "back", kind=self._kind, vip=self._vip, since=self._last_good,
                ms=round((now - self._last_good) * 1000, 1), before=self._last_host, after=self.host,
                errors=dict(self._errors),
            )  # fmt: skip
        elif now - began > self._plan.stall and self._last_good:
            self._told(
                "stall", kind=self._kind, vip=self._vip, ms=round((now - began) * 1000, 1), host=self.host
            )
        self._errors.clear()
        self._last_good, self._last_host = now, self.host

    def close(self) -> None:
        """Drop the connection without a word to the server."""
        if self._connection is not None:
            _drop(self._connection)
        self._connection = None


def _drop(connection: "Connection[Any]") -> None:
    connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001


def write_rows(plan: Plan, told: _Told, stopped: Callable[[], bool]) -> None:
    """Write numbered rows until stopped, and tell what came of them."""
    stream = _Stream(plan, "write", plan.writer, told)
    unknown: list[int] = []
    refused: list[int] = []
    number = acknowledged = 0
    due = ticked = time.monotonic()
    while not stopped():
        number += 1
        outcome = stream.attempt(f"INSERT INTO {PROBE_TABLE} (run, n) VALUES ('{plan.run}', {number})")  # noqa: S608
        if outcome == 0:
            acknowledged += 1
            if acknowledged == 1:
                told("begin", host=stream.host)
        elif outcome == NEVER_SENT:
            number -= 1
        else:
            (unknown if outcome in _OPEN_ENDED or outcome < 0 else refused).append(number)
        now = time.monotonic()
        if now - ticked > _TICK:
            ticked = now
            told("tick", acknowledged=acknowledged)
        due = max(due + plan.period, now)
        time.sleep(due - now)
    stream.close()
    told("end", last=number, unknown=unknown, refused=refused)


def read_rows(plan: Plan, told: _Told, stopped: Callable[[], bool]) -> None:
    """Read through each reader VIP in turn until stopped."""
    streams = [_Stream(plan, "read", vip, told) for vip in plan.readers]
    while streams and not stopped():
        for stream in streams:
            stream.attempt(f"SELECT MAX(n) FROM {PROBE_TABLE} WHERE run = '{plan.run}'")  # noqa: S608
        time.sleep(plan.read_period)


def main() -> None:
    """Run the plan in the first argument until SIGTERM or SIGINT, or until the reader of the lines is gone."""
    values = json.loads(sys.argv[1])
    plan = Plan(**{**values, "readers": tuple(values["readers"])})
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    told = _Told()
    reader = threading.Thread(target=read_rows, args=(plan, told, over.is_set))
    reader.start()
    write_rows(plan, told, over.is_set)
    reader.join()


if __name__ == "__main__":
    main()
