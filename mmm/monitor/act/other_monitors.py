"""The other monitors of the conf: who answers, and their word that they do not ask for the lead (rule 14.2)."""

import asyncio
import ssl
from contextlib import suppress

from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.wire import memory, refrain
from mmm.wire.command import CHALLENGE, LEADS, QUIT, signed_words
from mmm.wire.follow import Position
from mmm.wire.memory import Memory

PERIOD = 2.0
LIMIT = 1.0
"""Seconds between two questions, and for an answer."""
_LIVES = f"{LEADS}\n{QUIT}"
"""What shows that a monitor lives; its answer has no line end but that of the connection."""


class OtherMonitors:
    """The other monitors of the conf, asked over `tls`."""

    def __init__(self, conf: Cluster, tls: ssl.SSLContext | None = None) -> None:
        self._own = conf.monitor.ip if conf.monitor else ""
        self._port = conf.monitor.port if conf.monitor else 0
        self.listed = tuple(ip for ip in conf.monitors if ip != self._own)
        self._key = conf.auth_key
        self._tls = tls
        self.answering: tuple[str, ...] = ()
        """Those that answered when they were asked last, in conf order."""

    async def run(self) -> None:
        """Ask them for ever whether they live."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD)

    async def look(self) -> None:
        """Ask each once."""
        answers = await asyncio.gather(*(self._said(ip, _LIVES) for ip in self.listed))
        self.answering = tuple(ip for ip, said in zip(self.listed, answers, strict=True) if said)

    async def words(self, epoch: Lead, length: float, but: str = "") -> bool:
        """Tell whether all of them, `but` one, have given their word to the monitor that leads by this epoch.

        It holds for `length` seconds and the margin from some moment after the question; a length of 0 gives it back.
        With `but` the lead is handed over to that one.
        """
        asked = refrain.words(refrain.Asked(epoch, length, hand_over=bool(but)))
        given = await asyncio.gather(*(self._gives(ip, asked) for ip in self.listed if ip != but))
        return all(given)

    async def stand_by(self) -> bool:
        """Tell whether all of them say that they neither lead nor ask for the lead."""
        asked = refrain.words(refrain.Asked(None, 0))
        return all(await asyncio.gather(*(self._gives(ip, asked) for ip in self.listed)))

    async def memory(self, ip: str, behind: Position) -> Memory | None:
        """Return what the monitor knows that leads there, and changes behind a position; None where it says nothing."""
        said = await self._said(ip, " ".join(memory.words(behind)))
        return memory.decoded(said[0]) if said else None

    async def _gives(self, ip: str, asked: tuple[str, ...]) -> bool:
        said = await self._said(ip, *((CHALLENGE,) if self._key else ()), asked=asked)
        return said is not None and refrain.is_given(said[-1], self._key, said[0], asked)

    async def _said(self, ip: str, *first: str, asked: tuple[str, ...] = ()) -> list[str] | None:
        """Return what a monitor answers to each line, None where it does not; `asked` is signed with the first."""
        said: list[str] = []
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(LIMIT):
                reader, writer = await asyncio.open_connection(
                    ip, self._port, ssl=self._tls, local_addr=(self._own, 0), limit=memory.LONGEST
                )
                try:
                    said = [await _exchanged(reader, writer, line) for line in first]
                    if asked:
                        said.append(await _exchanged(reader, writer, " ".join(self._signed(asked, said))))
                    writer.write(f"{QUIT}\n".encode())
                finally:
                    writer.close()
                return said if all(said) else None
        return None

    def _signed(self, asked: tuple[str, ...], said: list[str]) -> tuple[str, ...]:
        """Return the command as it is sent; raises ValueError where there is no challenge to sign with."""
        if not self._key:
            return asked
        words = signed_words(self._key, said[0], asked)
        if words is None:
            raise ValueError("no challenge")
        return words


async def _exchanged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> str:
    writer.write(f"{line}\n".encode())
    return (await reader.readline()).decode(errors="replace").strip()
