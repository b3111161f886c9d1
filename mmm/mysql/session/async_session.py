"""Questions to a server in an event loop: no thread waits for it, and none has to be woken for its answer.

`reach` connects, `InLoop` asks on a session that is logged in and not encrypted. PyMySQL logs in; from then on the
session's socket is read here, as `mmm.mysql.session.text_protocol` says.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import pymysql

from mmm.mysql.session import text_protocol as protocol
from mmm.mysql.session.connection import Address, Connection, MysqlError, family
from mmm.mysql.session.deadline_socket import MAX_ANSWER, Limited, limited
from mmm.mysql.session.errors import classify, lost
from mmm.mysql.session.question import Question

_HELD_UP = 0.1
"""Seconds by which the loop may be late before a question gets as long again."""

T = TypeVar("T")


async def reach(address: Address, limit: float) -> Limited:
    """Return a socket that is connected to a server which has begun to speak, within `limit` seconds.

    Raises MysqlError.
    """
    try:
        sock = socket.socket(family(address), socket.SOCK_STREAM)
    except OSError as error:
        raise classify(error, str(address)) from error
    try:
        sock.setblocking(False)
        async with asyncio.timeout(limit):
            await asyncio.get_running_loop().sock_connect(sock, (address.ip, address.port))
            await _readable(sock)
    except OSError as error:
        sock.close()
        raise classify(error, str(address)) from error
    except BaseException:
        sock.close()
        raise
    return limited(sock)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _come, came)
    try:
        await came
    finally:
        loop.remove_reader(sock)


def _come(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)


class InLoop:
    """A session whose socket belongs to the running event loop; `close` it.

    `ended` is called when the server ends the session while nothing is asked.
    """

    def __init__(self, connection: Connection, ended: Callable[[], None]) -> None:
        self._connection = connection
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._sock = connection.socket
        self._sock.setblocking(False)
        self._exchange = protocol.Exchange()
        self._question: Question[Any] | None = None
        self._answer: asyncio.Future[Any] | None = None
        self._loop.add_reader(self._sock, self._read)

    @property
    def closed(self) -> bool:
        """Tell whether the session has ended."""
        return self._sock.fileno() < 0

    async def ask(self, question: Callable[[Connection], Question[T]], limit: float) -> T:
        """Return what a question comes to within `limit` seconds, all its statements together.

        Raises MysqlError, and what the question makes of an answer that makes no sense. One question at a time.
        """
        if self._answer is not None or self.closed:
            raise RuntimeError("asked while it is asked, or after its end")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._question, self._answer = question(self._connection), answer
        self._limit_at(self._loop.time() + limit)
        self._step(self._question.__next__)
        try:
            return await answer
        finally:
            self._late.cancel()
            self._answer = self._question = None
            if answer.cancelled():
                self.close()

    def close(self) -> None:
        """End the session; waits for nothing, closing twice is fine."""
        if not self.closed:
            self._loop.remove_reader(self._sock)
            self._connection.close()

    def _step(self, step: Callable[..., str], *sent: object) -> None:
        """Go on with the question, and send the statement that it wants to know the answer of."""
        if self._answer is None or self._answer.done():
            return
        try:
            self._send(self._exchange.ask(step(*sent)))
        except StopIteration as done:
            self._answer.set_result(done.value)
        except OSError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whoever asks is to know
            self._answer.set_exception(error)

    def _send(self, packet: bytes) -> None:
        if self._sock.send(packet) < len(packet):
            raise ConnectionAbortedError("it does not take the whole of a statement")

    def _read(self) -> None:
        try:
            data = self._sock.recv(protocol.AT_ONCE)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            self._fail(lost())
        elif self._answer is None or self._answer.done():  # it says why it ends the session
            self._fail(ConnectionAbortedError("it speaks unasked"))
        else:
            self._take_in(data)

    def _take_in(self, data: bytes) -> None:
        try:
            if self._exchange.size + len(data) > MAX_ANSWER:
                raise ConnectionAbortedError(f"answer longer than {MAX_ANSWER} bytes")
            answer = self._exchange.take_in(data)
        except (OSError, protocol.NotMysqlError) as error:
            self._fail(error)
            return
        if answer is None or self._question is None:
            return
        if isinstance(answer, protocol.Failed):
            failed = pymysql.err.OperationalError(answer.number, answer.text)
            self._step(self._question.throw, self._error(failed))
            return
        self._step(self._question.send, answer)

    def _limit_at(self, when: float) -> None:
        self._late = self._loop.call_at(when, self._time_is_over, when)

    def _time_is_over(self, when: float) -> None:
        if self._answer is None or self._answer.done():
            return
        if self._loop.time() - when > _HELD_UP:  # the loop was, and what has come meanwhile was not looked at
            self._limit_at(self._loop.time() + _HELD_UP)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        """End the session by what speaks against the server, and let the question make of it what it can."""
        self.close()
        if self._answer is None or self._answer.done() or self._question is None:
            self._ended()
            return
        failure = self._error(error)
        try:
            self._question.throw(failure)
        except StopIteration as done:
            self._answer.set_result(done.value)
        except Exception as raised:  # noqa: BLE001 - whoever asks is to know
            self._answer.set_exception(raised)
        else:
            self._answer.set_exception(failure)

    def _error(self, error: Exception) -> MysqlError:
        return classify(error, str(self._connection.address))
