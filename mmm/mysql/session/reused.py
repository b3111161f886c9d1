"""A session that is used again and again, for questions that are asked every second.

Logging in costs a server and its client ten times what a question does. But a kept session alone does not prove that
the server lets anybody in: so it is made anew now and then, and whenever it fails.
"""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from mmm.mysql.session.async_session import InLoop, reach
from mmm.mysql.session.connection import (
    Address,
    Connection,
    ErrorKind,
    MysqlError,
    login,
    tls_context,
)
from mmm.mysql.session.deadline_socket import Limited, LimitedContext
from mmm.mysql.session.errors import classify
from mmm.mysql.session.question import Question
from mmm.mysql.session.threaded import InThread

RENEWED = 10.0
"""Seconds that a session is used which is to prove that the server lets us in."""
_SOON = 0.001

T = TypeVar("T")


def _nothing() -> None:
    """Take no note of the end of a session."""


class Kept:
    """A place for one session at `address`. Used by one task at a time; `close` it.

    Logging in is done by `threads`. A session is used for `renewed` seconds. `ended` is called when the server ends
    it while nothing is asked.
    """

    def __init__(
        self,
        address: Address,
        threads: Executor,
        *,
        renewed: float = math.inf,
        ended: Callable[[], None] = _nothing,
    ) -> None:
        self._address = address
        self._threads = threads
        self._renewed = renewed
        self._ended = ended
        self._session: InLoop | InThread | None = None
        self._made = -math.inf

    @property
    def idle(self) -> bool:
        """Tell whether there is a session."""
        return self._session is not None and not self._session.closed

    async def ask(self, question: Callable[[Connection], Question[T]], limit: float) -> T:
        """Return what `question` finds out, within `limit` seconds with all that is needed for it.

        Raises MysqlError. A server that has ended the session is asked once more on a new one: only that tells whether
        it lives.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + limit
        kept = self._session
        if kept is not None and not kept.closed and now() - self._made < self._renewed:
            try:
                return await kept.ask(question, limit)
            except MysqlError as error:
                self.close()
                if error.kind is ErrorKind.TIMED_OUT:
                    raise
        made = await self._renew(deadline)
        if now() >= deadline:  # it lets us in, but late: the next question may be in time
            raise classify(TimeoutError(), str(self._address))
        try:
            return await made.ask(question, deadline - now())
        except MysqlError:
            self.close()
            raise

    async def _renew(self, deadline: float) -> InLoop | InThread:
        """Log in anew; the old session is given up only for a new one, so that it serves as long as it can."""
        loop, address = asyncio.get_running_loop(), self._address
        context = None
        if address.tls is not None:
            context = await loop.run_in_executor(self._threads, tls_context, address)
        sock = await reach(address, max(_SOON, deadline - loop.time()))
        work = self._threads.submit(_logged_in, sock, address, deadline, loop.time(), context)
        try:
            made = await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            work.add_done_callback(lambda ended: _dropped(ended, sock))
            raise
        self.close()
        if address.tls is None:
            self._session = InLoop(made, self._ended)
        else:
            self._session = InThread(made, self._threads, self._ended)
        self._made = loop.time()
        return self._session

    def close(self) -> None:
        """End the session, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _logged_in(
    sock: Limited, address: Address, deadline: float, queued: float, context: LimitedContext | None
) -> Connection:
    """Return a session that knows what kind of server it is: no question has to wait for that.

    Where this machine took more of the time than it left to the server, it is no one else's fault. Raises MysqlError.
    """
    began = time.monotonic()
    held_up = began - queued > deadline - began
    try:
        made = login(sock, address, max(_SOON, deadline - began), context)
        try:
            made.timeout = max(_SOON, deadline - time.monotonic())
            made.flavour  # noqa: B018 - it is asked for here, once
        except MysqlError:
            made.close()
            raise
    except MysqlError as error:
        if held_up and error.kind is ErrorKind.TIMED_OUT:
            busy = f"MySQL at {address}: not asked in time, this machine is busy"
            raise MysqlError(ErrorKind.FAILED, 0, busy) from error
        raise
    return made


def _dropped(ended: "Future[Connection]", sock: Limited) -> None:
    """Close what nobody waits for any more."""
    if ended.cancelled():
        sock.close()
    elif ended.exception() is None:
        ended.result().close()
