"""Questions to a server whose session is encrypted: they are asked in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question

T = TypeVar("T")


class InThread:
    """A session that a thread uses when something is asked; `close` it.

    `ended` is called when the server ends the session, or says anything, while nothing is asked.
    """

    def __init__(self, connection: Connection, threads: Executor, ended: Callable[[], None]) -> None:
        self._connection = connection
        self._threads = threads
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._work: Future[Any] | None = None
        """What uses the connection in its thread."""
        self._closed = False
        self._watched = -1
        self._watch()

    @property
    def closed(self) -> bool:
        """Tell whether the session has ended."""
        return self._closed or self._connection.socket.fileno() < 0

    async def ask(self, question: Callable[[Connection], Question[T]], limit: float) -> T:
        """Return what a question comes to within `limit` seconds, all its statements together.

        Raises MysqlError, and what the question makes of an answer that makes no sense. One question at a time.
        """
        if self._work is not None or self.closed:
            raise RuntimeError("asked while it is asked, or after its end")
        self._unwatch()
        self._connection.timeout = limit
        try:
            work = self._work = self._threads.submit(self._ask, question, limit)
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._work = None
            self._watch()

    def _ask(self, question: Callable[[Connection], Question[T]], limit: float) -> T:
        return self._connection.ask(question(self._connection), within=limit)

    def close(self) -> None:
        """End the session; waits for nothing, closing twice is fine. A thread that uses it comes to its end first."""
        self._unwatch()
        if self._closed:
            return
        self._closed = True
        if self._work is None:
            self._connection.close()
        else:  # no two threads can use an encrypted socket
            self._work.add_done_callback(lambda _: self._connection.close())

    def _watch(self) -> None:
        if not self.closed:
            self._watched = self._connection.socket.fileno()
            self._loop.add_reader(self._watched, self._end)

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._loop.remove_reader(self._watched)
            self._watched = -1

    def _end(self) -> None:
        self.close()
        self._ended()
