"""What programs share that write through the writer's VIP as applications do, and how they are started and read.

They run on a machine of the sandbox with a plan as their argument, print lines of JSON, and end with their input.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import pymysql
from pymysql.connections import Connection

_TICK = 0.1
_END_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the clients of a program do; times in seconds."""

    run: str
    """What their rows say of who wrote them."""
    writer: str
    """The writer's VIP."""
    port: int = 3306
    clients: int = 1
    period: float = 0.005
    """Between two deeds of a client."""
    limit: float = 2.0
    """For connecting and for every statement."""

    def text(self) -> str:
        """Return the plan as an argument for the program."""
        return json.dumps(asdict(self))


def plan() -> Plan:
    """Return the plan that this program was started with."""
    return Plan(**json.loads(sys.argv[1]))


def connect(plan: Plan, user: str, password: str, database: str | None = None) -> "Connection[Any]":
    """Return a session through the VIP; raises pymysql.err.MySQLError, OSError."""
    return pymysql.connect(
        host=plan.writer, port=plan.port, user=user, password=password, database=database,
        autocommit=True, connect_timeout=plan.limit, read_timeout=plan.limit, write_timeout=plan.limit,
        ssl_disabled=True,  # else PyMySQL reads all authorities for each connection: 20 ms
    )  # fmt: skip


def drop(connection: "Connection[Any] | None") -> None:
    """Close a session without a word to the server."""
    if connection is not None:
        with suppress(pymysql.err.MySQLError, OSError):
            connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001


def until_input_ends(
    work: Sequence[Callable[[Callable[[], bool]], None]], said: Callable[[], object]
) -> None:
    """Do the work of all clients side by side until the input ends, and print what is `said` ten times a second.

    Each is told by a call whether it is to stop.
    """
    over = threading.Event()
    threads = [threading.Thread(target=each, args=(over.is_set,)) for each in work]
    threads.append(threading.Thread(target=_tick, args=(said, over)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()


def _tick(said: Callable[[], object], over: threading.Event) -> None:
    while not over.wait(_TICK):
        print(json.dumps(said()), flush=True)


class Started:
    """A program of clients at work from `with` to its end; `take` is called with each line that it prints."""

    def __init__(self, argv: Sequence[str], take: Callable[[str], None]) -> None:
        self._argv, self._take = argv, take

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.stdin:
            self._child.stdin.close()
        try:
            self._child.wait(_END_LIMIT)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._listener.join(_END_LIMIT)

    def _listen(self) -> None:
        for line in self._child.stdout or ():
            self._take(line)
