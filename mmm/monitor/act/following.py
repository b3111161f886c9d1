"""Those who follow what happens: each is sent the changes after the position that it names (see `mmm.wire.follow`).

A follower costs the monitor its place in the history and what its connection has not taken yet. Who takes nothing for
as long as the control port waits for a client is cut off, and may come back with the position that it has.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from mmm.monitor.act.journal import Chronicle
from mmm.monitor.command.texts import Verdict
from mmm.monitor.report import changes
from mmm.network.line_server import Stream
from mmm.wire.follow import ALIVE, BEGINNING, VERSION, Kind, Position, gap, line, position

MOST = 20
"""Followers at once: others must get their commands answered."""


_GAPS = {
    "too_old": "what came after {asked} is not kept any more: the changes that are kept follow",
    "unknown": "{asked} is not of this history, which has begun anew or is another monitor's: the changes that are"
    " kept follow",
}


class Followers:
    """All who follow one monitor; `elsewhere` returns the address of another one that leads, empty where none does."""

    def __init__(
        self, chronicle: Chronicle, alive: float = ALIVE, elsewhere: Callable[[], str] = lambda: ""
    ) -> None:
        self._chronicle = chronicle
        self._alive = alive
        self._elsewhere = elsewhere
        self._count = 0

    def follow(self, words: Sequence[str]) -> Stream | Verdict | None:
        """Return the answer to `follow [POSITION]`: from now on without one; None where it is no such command."""
        if len(words) > 2:
            return None
        asked = position(words[1]) if len(words) == 2 else self._chronicle.newest
        if asked is None:
            return Verdict("no_position", {"position": words[1]})
        if self._count >= MOST:
            return Verdict("too_many_followers", {"most": MOST})
        follower = _Follower(self._chronicle, asked, self._alive, self._elsewhere)
        self._count += 1
        return Stream(follower.lines(), follower.too_slow, self._left)

    def _left(self) -> None:
        self._count -= 1


class _Follower:
    def __init__(
        self, chronicle: Chronicle, asked: Position, alive: float, elsewhere: Callable[[], str]
    ) -> None:
        self._chronicle = chronicle
        self._known = asked
        self._alive = alive
        self._elsewhere = elsewhere

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield what the follower is sent."""
        yield line(Kind.BEGIN, self._known, version=VERSION, at=time.time())
        while True:
            grown = self._chronicle.grown
            for said in self._gap():
                yield said
            for entry in changes.since(self._chronicle.entries, self._known):
                values = changes.encoded(entry)
                self._known = entry.position
                yield line(Kind.CHANGE, self._known, **values)
            if leader := self._elsewhere():
                text = f"{leader} leads now, and this monitor stands by: what happens is told there"
                yield line(Kind.CUT_OFF, self._known, code="stands_by", text=text)
                return
            if not grown.is_set() and not await self._wait(grown):
                yield line(Kind.ALIVE, self._known, at=time.time())

    def too_slow(self) -> bytes:
        """Return the last line for a follower that does not take what it is sent."""
        text = "the changes were not taken in time: this client is cut off"
        return line(Kind.CUT_OFF, self._known, code="slow", text=text)

    def _gap(self) -> tuple[bytes, ...]:
        """Return a line that says what is lost, where it is; the follower goes on behind it."""
        entries, asked = self._chronicle.entries, self._known
        oldest = entries[0].position if entries else BEGINNING
        code = gap(asked, oldest, self._chronicle.newest, (entry.epoch for entry in reversed(entries)))
        if not code:
            return ()
        self._known = Position(oldest.epoch, max(0, oldest.number - 1))
        return (
            line(Kind.GAP, self._known, code=code, asked=str(asked), text=_GAPS[code].format(asked=asked)),
        )

    async def _wait(self, grown: asyncio.Event) -> bool:
        """Return whether something has happened before it is time to say that nothing has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._alive):
                await grown.wait()
        return grown.is_set()
