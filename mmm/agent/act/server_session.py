"""A connection to a server that an agent keeps for as long as it is good for something."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError, connect

ANSWER_LIMIT = 1.0
"""Seconds that a server on this host may take to let the agent in, and to answer a plain question."""
RENEWED = 10.0
"""Seconds that a connection serves."""

T = TypeVar("T")


@dataclass
class ServerSession:
    """A connection to a server that is opened when it is first needed, and again after it broke."""

    address: Address
    limit: float = ANSWER_LIMIT
    """Seconds that the server may take to let the agent in, and for each answer."""
    _connection: Connection | None = None
    _made: float = 0.0

    @property
    def is_open(self) -> bool:
        """Tell whether there is a connection: the server answered a moment ago."""
        return self._connection is not None

    def open(self) -> Connection:
        """Return the connection; raises MysqlError."""
        if self._connection is None:
            self._connection = connect(self.address, self.limit)
            self._made = time.monotonic()
        self._connection.timeout = self.limit
        return self._connection

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Return what `question` finds out; raises MysqlError.

        A server that has ended the connection since it was last used is asked once more on a new one: only that
        tells whether it lives.
        """
        kept = self.is_open
        try:
            return question(self.open())
        except MysqlError as error:
            if not kept or error.server_alive or error.kind is ErrorKind.TIMED_OUT:
                raise
        self.close()
        return question(self.open())

    def rest(self) -> None:
        """Close the connection if it has served for long enough: a login shows what a kept one does not."""
        if time.monotonic() - self._made > RENEWED:
            self.close()

    def close(self) -> None:
        """Close the connection; `open` makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
