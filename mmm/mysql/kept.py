"""A connection that is used again and again, for questions that are asked every second.

Logging in costs a server and its client ten times what a question does. But a kept connection alone does not prove
that the server lets anybody in: so it is made anew every RENEWED seconds, and whenever it fails.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from mmm.mysql.connection import Address, Connection, ErrorKind, MysqlError, connect

RENEWED = 10.0
"""Seconds that a connection is used."""

T = TypeVar("T")


class Kept:
    """A place for one connection to `address`. Used by one thread at a time; `close` it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._made = 0.0

    @property
    def fileno(self) -> int | None:
        """Return the descriptor of the idle connection; it becomes readable when the server ends it."""
        return None if self._connection is None else self._connection.fileno()

    def ask(self, question: Callable[[Connection], T], timeout: float) -> T:
        """Return what `question` finds out, within `timeout` seconds with all that is needed for it.

        Raises MysqlError. A server that has ended the connection is asked once more on a new one: only that
        tells whether it lives.
        """
        deadline = time.monotonic() + timeout
        kept = self._connection
        if kept is not None and time.monotonic() - self._made < RENEWED:
            kept.timeout = timeout
            try:
                return question(kept)
            except MysqlError as error:
                self.close()
                if error.kind is ErrorKind.TIMED_OUT:
                    raise
        renewed = self._renew(deadline)
        renewed.timeout = max(0.001, deadline - time.monotonic())
        try:
            return question(renewed)
        except MysqlError:
            self.close()
            raise

    def _renew(self, deadline: float) -> Connection:
        """Log in anew; the old connection is given up only for a new one, so that it serves as long as it can."""
        made = connect(self._address, max(0.001, deadline - time.monotonic()))
        self.close()
        self._connection, self._made = made, time.monotonic()
        return made

    def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
