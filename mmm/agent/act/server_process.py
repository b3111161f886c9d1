"""Watches the process of this host's server, so that the monitor is told the moment it ends (rule 4).

That is the process which listens where clients connect: a pid file alone may be stale, and name anybody.
"""

import asyncio
import logging
import os
import time
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf
from pathlib import Path

from mmm.config.model import Host
from mmm.network.socket_table import listening_sockets
from mmm.process.socket_owner import Held, UnknownOwnerError, hold_owner
from mmm.wire.watch import HOLD

NEWS = 5.0
"""Seconds for which the end of a process is told that nobody was waiting for."""
WAITING = 16
"""Clients that may wait at once; when one more comes the first is answered."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to say of the server's process: that it `ended`, or runs."""

    pid: int
    ended: bool


@dataclass(frozen=True, slots=True)
class _Watched:
    held: Held
    sockets: frozenset[int]
    """Where it listens."""


class NotWatchedError(Exception):
    """There is no process to watch; the text says why."""


class ServerProcess:
    """The process of a server; lives in an asyncio loop, which its end wakes. `close` it."""

    def __init__(self, here: Host, hold: float = HOLD) -> None:
        self._here = here
        self._hold = hold
        self._watched: _Watched | None = None
        self._finding: asyncio.Task[str] | None = None
        self._news: tuple[int, float] = (0, -inf)
        """The process whose end was told to nobody yet, and when it ended."""
        self._waiting: dict[Hashable, asyncio.Future[int | None]] = {}
        self._closed = False

    async def told(self, who: Hashable) -> Told:
        """Return what there is to tell `who`, once the process has ended or the time is over.

        An earlier question of theirs is answered now. Raises NotWatchedError.
        """
        self._dismiss(who)
        problem = await self._find()
        if self._watched is None:
            return self._last_news(problem)
        if len(self._waiting) >= WAITING:
            self._dismiss(next(iter(self._waiting)))
        pid, answer = self._watched.held.pid, asyncio.get_running_loop().create_future()
        self._waiting[who] = answer
        try:
            async with asyncio.timeout(self._hold):
                ended = await answer
        except TimeoutError:
            ended = None
        finally:
            if self._waiting.get(who) is answer:
                del self._waiting[who]
        return Told(pid if ended is None else ended, ended=ended is not None)

    def close(self) -> None:
        """Watch no more; who waits is told that it runs. A look that is under way finds nothing."""
        self._closed = True
        for who in tuple(self._waiting):
            self._dismiss(who)
        self._let_go()

    def _dismiss(self, who: Hashable) -> None:
        answer = self._waiting.pop(who, None)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def _last_news(self, problem: str) -> Told:
        (pid, at), self._news = self._news, (0, -inf)
        if time.monotonic() - at > NEWS:
            nobody = f"nothing listens at {self._here.ip}:{self._here.mysql_port}"
            raise NotWatchedError(problem or nobody)
        return Told(pid, ended=True)

    async def _find(self) -> str:
        """Watch the process that is the server now, or return why not; those who ask at the same time get one look."""
        if self._finding is None or self._finding.done():
            self._finding = asyncio.get_running_loop().create_task(self._look())
        return await asyncio.shield(self._finding)

    async def _look(self) -> str:
        try:
            found = await asyncio.to_thread(self._found, self._watched)
        except OSError as error:
            return f"the kernel does not say who listens: {error.strerror}"
        except UnknownOwnerError as error:
            return str(error)
        if found is not None and self._closed:
            os.close(found.held.fd)
            return "the agent watches no more"
        if found is not None:
            self._let_go()
            self._watched, self._news = found, (0, -inf)
            asyncio.get_running_loop().add_reader(found.held.fd, self._exited)
            log.info("watches the server's process %d", found.held.pid)
        return ""

    def _found(self, known: _Watched | None) -> _Watched | None:
        """Return the server's process where that is not the `known` one, None where nothing else listens.

        Raises OSError, UnknownOwnerError.
        """
        sockets = listening_sockets(self._here.ip, self._here.mysql_port)
        if not sockets or (known is not None and sockets & known.sockets):
            return None
        return _Watched(hold_owner(sockets, Path(self._here.mysql_pidfile)), sockets)

    def _exited(self) -> None:
        watched = self._watched
        if watched is None:
            return
        self._let_go()
        pid = watched.held.pid
        if self._is_replaced(watched):
            log.info("process %d has ended, and another one is the server", pid)
            for who in tuple(self._waiting):
                self._dismiss(who)
            return
        log.warning("the server's process %d has ended", pid)
        if not self._waiting:
            self._news = pid, time.monotonic()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(pid)

    def _is_replaced(self, watched: _Watched) -> bool:
        """Tell whether somebody listens in place of the process already, at a socket that it did not have."""
        try:
            return bool(listening_sockets(self._here.ip, self._here.mysql_port) - watched.sockets)
        except OSError:
            return False

    def _let_go(self) -> None:
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched.held.fd)
            os.close(self._watched.held.fd)
            self._watched = None
