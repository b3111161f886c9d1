"""Gets the end of the binary log of another host's dead server from that host's agent; runs an event loop itself."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmm.agent.act.binlog_known import NOTHING, Known, Part
from mmm.binlog.events import BEGINNING, DamagedError, EncryptedError, read_format
from mmm.gtid.place import LogPlace
from mmm.network.agent_port import AgentPort, Ends, UnsignedError
from mmm.wire.binlog import LONGEST, Asked, Extent, Piece, ask_binlog, extent_in, piece
from mmm.wire.lines import WireError
from mmm.wire.salvaged import Cause
from mmm.wire.why import why

MEGABYTE = 1024 * 1024
AT_ONCE = 2 * MEGABYTE
"""Bytes of a log that are got before they are applied, but for a transaction that is longer."""
SOON = 0.5
"""Seconds after which what is here is applied before more is got: what came over a slow network is not lost so."""
APPLIED = 64 * MEGABYTE
"""Bytes of a transaction that a server applies in a second on the fastest hosts, once they are got."""
_SURE = 0.3
"""Seconds from which on the speed at which a log comes counts."""
ANSWER_LIMIT = 1.0
"""Seconds that the agent has to take a connection, and for each answer: others wait for the failover."""
_ERRORS = (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, UnsignedError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was got of the log, from a place on to its end."""

    parts: tuple[Part, ...] = ()
    cause: Cause | None = None
    """Why that is not all; None: it was got to its end."""
    why: str = ""
    more: bool = False
    """The log goes on: what was asked for is here, and the rest was not."""

    @property
    def size(self) -> int:
        """Return how many bytes there are."""
        return sum(len(part.data) for part in self.parts)


class _EndedError(Exception):
    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Source:
    """The agent that is asked."""

    host: str
    ip: str
    port: int
    agents: AgentPort
    server_id: int
    """Whose log is meant; 0: whichever is there."""
    known: Known = NOTHING
    """What is here of it already, for which the agent is not asked."""


def never() -> bool:
    """Return that what is got is not enough before it is as much as was asked for."""
    return False


def fetch(
    source: Source,
    since: LogPlace,
    left: Callable[[], float],
    most: int = AT_ONCE,
    soon: float = SOON,
    enough: Callable[[], bool] = never,
) -> Fetched:
    """Return the log behind a place, as far as it came while there was time `left`, in seconds; never raises for it.

    It ends with the piece that makes `most` bytes of it, or that comes after `soon` seconds. Where it comes too slowly
    for `most` bytes in the time that is left, and was to be had whole (`soon` is endless), it is given up at once.
    It also ends with the first piece after which it is `enough`.
    Without a file in `since` it is the newest file, from its beginning.
    """
    fetching = _Fetching(source, left, most, soon, enough)
    asyncio.run(fetching.run(since))  # whose result it is not: in a main thread that would be put into words
    return fetching.fetched


def measure(source: Source, since: LogPlace, left: Callable[[], float]) -> Extent | None:
    """Return how much the log holds behind a place; None where that is not told in time."""
    return asyncio.run(_Fetching(source, left, 0, 0.0).measure(since))


def differs(source: Source, known: Known, left: Callable[[], float]) -> str:
    """Return why what is `known` of the log is not to be relied on, empty where it still stands there so.

    A log grows at its end alone: where its server has cut it off there, as some do when they start after a kill, or has
    begun it anew, the end of what is known is another.
    """
    return asyncio.run(_Fetching(source, left, 0, 0.0).differs(known))


class _Fetching:
    def __init__(
        self,
        source: Source,
        left: Callable[[], float],
        most: int,
        soon: float,
        enough: Callable[[], bool] = never,
    ) -> None:
        self._source = source
        self._left = left
        self._most = most
        self._soon = soon
        self._enough = enough
        self._began = time.monotonic()
        self._parts: list[Part] = []
        self.fetched = Fetched()

    async def measure(self, since: LogPlace) -> Extent | None:
        asked = Asked(self._source.server_id, since.file, since.position, 0)
        request = ask_binlog(self._source.host, asked)
        limit = min(ANSWER_LIMIT, self._left())
        reply = await self._source.agents.ask(self._source.ip, self._source.port, request, limit)
        return extent_in(reply) if reply is not None else None

    async def differs(self, known: Known) -> str:
        last = known.parts[-1]
        begin = max(last.begin, last.end - LONGEST)
        try:
            async with asyncio.timeout(min(ANSWER_LIMIT, max(0.0, self._left()))):
                ends = await self._source.agents.connect(self._source.ip, self._source.port)
                try:
                    found = await self._piece(ends, last.file, begin, last.end - begin)
                finally:
                    ends[1].close()
        except (*_ERRORS, _EndedError, TimeoutError) as error:
            return f"{last.file}:{last.end}: {error or 'no answer in time'}"
        return "" if found.data == last.data[begin - last.begin :] else f"{last.file} is another one"

    async def run(self, since: LogPlace) -> None:
        cause, text, more = None, "", False
        try:
            async with asyncio.timeout(max(0.0, self._left())):
                async with asyncio.timeout(ANSWER_LIMIT):
                    ends = await self._source.agents.connect(self._source.ip, self._source.port)
                try:
                    more = await self._files(ends, since)
                finally:
                    ends[1].close()
        except _EndedError as error:
            cause, text = error.cause, str(error)
        except TimeoutError:
            late = self._left() <= 0
            cause = Cause.LATE if late else Cause.AGENT
            text = f"the agent of {self._source.host} {'has not sent all in time' if late else 'does not answer'}"
        except _ERRORS as error:
            cause, text = Cause.AGENT, f"the agent of {self._source.host}: {error}"
        self.fetched = Fetched(tuple(self._parts), cause, text, more)

    async def _files(self, ends: Ends, since: LogPlace) -> bool:
        """Get one file after the other; returns whether there is more than was asked for."""
        file, position = since.file, since.position
        while True:
            head = await self._piece(ends, file, 0, BEGINNING)
            try:
                form = read_format(head.data)
            except EncryptedError as error:
                raise _EndedError(Cause.ENCRYPTED, f"{head.file}: {error}") from error
            except DamagedError as error:
                raise _EndedError(Cause.DAMAGED, f"{head.file}: {error}") from error
            if (wanted := self._source.server_id) not in {0, form.server_id}:
                text = f"{head.file} was written by a server of server_id {form.server_id}, not {wanted}"
                raise _EndedError(Cause.WRONG_SERVER, text)
            following = await self._rest(ends, Part(head.file, form, max(position, len(form.head)), b""))
            if not following:
                return following is None
            file, position = following, 0

    async def _rest(self, ends: Ends, part: Part) -> str | None:
        """Get a file from where `part` begins to its end; returns the name of the next one, None: that is enough."""
        got = bytearray()
        number = len(self._parts)
        self._parts.append(part)
        before = sum(len(each.data) for each in self._parts)
        try:
            while True:
                found = await self._piece(ends, part.file, part.begin + len(got), LONGEST)
                got += found.data
                if part.begin + len(got) >= found.size:
                    return found.following
                if self._is_enough(before + len(got)):
                    return None
                if not found.data:
                    raise _EndedError(
                        Cause.AGENT, f"{part.file} cannot be read behind {part.begin + len(got)}"
                    )
        finally:
            self._parts[number] = replace(part, data=bytes(got))

    def _is_enough(self, size: int) -> bool:
        """Tell whether that many bytes are enough for now; raises _EndedError where no more can come in time."""
        seconds = time.monotonic() - self._began
        if size >= self._most or seconds > self._soon or self._enough():
            return True
        if self._soon < math.inf or seconds < _SURE or not size:
            return False
        left, needed = self._left(), seconds * (self._most - size) / size
        if needed > 2 * left or self._most / APPLIED > left:
            text = (
                f"{size / MEGABYTE:.1f} of {self._most / MEGABYTE:.1f} MB came in {seconds:.1f} s: too slowly"
            )
            raise _EndedError(Cause.LATE, text)
        return False

    async def _piece(self, ends: Ends, file: str, position: int, length: int) -> Piece:
        if (known := self._source.known.piece(file, position, length)) is not None:
            return known
        request = ask_binlog(self._source.host, Asked(self._source.server_id, file, position, length))
        async with asyncio.timeout(ANSWER_LIMIT):
            reply = await self._source.agents.exchange(ends, request)
        if not reply.ok:
            code = why(reply)
            cause = Cause(code) if code in set(Cause) else Cause.AGENT
            raise _EndedError(cause, f"the agent of {self._source.host} answers '{reply.text}'")
        found = piece(reply)
        if (found.position, file or found.file) != (position, found.file):
            raise WireError(f"asked for {file}:{position}, got {found.file}:{found.position}")
        return found
