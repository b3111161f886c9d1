"""Gets the end of the binary log of another host's dead server from that host's agent; runs an event loop itself."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmm.binlog.events import DamagedError, EncryptedError, Format, read_format
from mmm.gtid.place import LogPlace
from mmm.network.agent_port import AgentPort, Ends, UnsignedError
from mmm.wire.binlog import LONGEST, Asked, Piece, ask_binlog, piece
from mmm.wire.lines import WireError
from mmm.wire.salvaged import Cause
from mmm.wire.why import why

MOST = 64 * 1024 * 1024
"""Bytes of a log that are got at most: they are kept in memory, and more would not be applied in time anyway."""
ANSWER_LIMIT = 1.0
"""Seconds that the agent has to take a connection, and for each answer: others wait for the failover."""
_BEGINNING = 4096
"""Bytes within which a file's Format_description event ends."""
_ERRORS = (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, UnsignedError)


@dataclass(frozen=True, slots=True)
class Part:
    """What was got of one file of the log."""

    file: str
    form: Format
    begin: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was got of the log, from a place on to its end."""

    parts: tuple[Part, ...] = ()
    cause: Cause | None = None
    """Why that is not all; None: it was got to its end."""
    why: str = ""

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
    most: int = MOST
    """Bytes that are got of it."""


def fetch(source: Source, server_id: int, since: LogPlace, left: Callable[[], float]) -> Fetched:
    """Return the log behind a place, as far as it came while there was time `left`, in seconds; never raises for it.

    Without a file in `since` it is the newest file, from its beginning.
    """
    return asyncio.run(_Fetching(source, server_id, left).run(since))


class _Fetching:
    def __init__(self, source: Source, server_id: int, left: Callable[[], float]) -> None:
        self._source = source
        self._server_id = server_id
        self._left = left
        self._parts: list[Part] = []

    async def run(self, since: LogPlace) -> Fetched:
        cause, text = None, ""
        try:
            async with asyncio.timeout(max(0.0, self._left())):
                async with asyncio.timeout(ANSWER_LIMIT):
                    ends = await self._source.agents.connect(self._source.ip, self._source.port)
                try:
                    await self._files(ends, since)
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
        return Fetched(tuple(self._parts), cause, text)

    async def _files(self, ends: Ends, since: LogPlace) -> None:
        file, position = since.file, since.position
        while True:
            head = await self._piece(ends, file, 0, _BEGINNING)
            try:
                form = read_format(head.data)
            except EncryptedError as error:
                raise _EndedError(Cause.ENCRYPTED, f"{head.file}: {error}") from error
            except DamagedError as error:
                raise _EndedError(Cause.DAMAGED, f"{head.file}: {error}") from error
            if self._server_id not in {0, form.server_id}:
                text = f"{head.file} was written by a server of server_id {form.server_id}, not {self._server_id}"
                raise _EndedError(Cause.WRONG_SERVER, text)
            following = await self._rest(ends, Part(head.file, form, max(position, len(form.head)), b""))
            if not following:
                return
            file, position = following, 0

    async def _rest(self, ends: Ends, part: Part) -> str:
        """Get a file from where `part` begins to its end; returns the name of the next one."""
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
                if before + len(got) > self._source.most:
                    text = f"more than {self._source.most / 2**20:g} MB of it are missing here"
                    raise _EndedError(Cause.TOO_LARGE, text)
                if not found.data:
                    raise _EndedError(
                        Cause.AGENT, f"{part.file} cannot be read behind {part.begin + len(got)}"
                    )
        finally:
            self._parts[number] = replace(part, data=bytes(got))

    async def _piece(self, ends: Ends, file: str, position: int, length: int) -> Piece:
        request = ask_binlog(self._source.host, Asked(self._server_id, file, position, length))
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
