"""What the monitor has told lately: the status, asked for when somebody wants it, and all changes that it keeps."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Any

from mmm.config.endpoint import Endpoint
from mmm.control import follow
from mmm.control.connection import STATUS_LIMIT, NoAnswerError, Wrap, ask
from mmm.control.leader import leading
from mmm.wire.command import JSON, STATUS
from mmm.wire.follow import BEGINNING, Kind, Position, gap, position
from mmm.wire.json_text import parsed

log = logging.getLogger(__name__)

FRESH = 1.0
"""Seconds for which a status is told again without the monitor being asked."""
KEPT = 2000
"""Changes that are kept, as many as the monitor keeps at most."""
_AGAIN = 2.0
"""Seconds before the monitor is followed again."""

Status = Mapping[str, Any]
Change = Mapping[str, Any]


class Feed:
    """The monitor, as far as it is heard; `heard` is called for each change that happens from the start on.

    `limit`: seconds for its status.
    """

    def __init__(
        self,
        monitor: Endpoint,
        wrap: Wrap,
        heard: Callable[[Change], None],
        limit: float = STATUS_LIMIT,
    ) -> None:
        self._monitor, self._wrap, self._heard, self._limit = monitor, wrap, heard, limit
        self.status: Status | None = None
        """What it said last."""
        self.away = "the monitor has not been asked yet"
        """Why it did not answer when it was asked last; empty where it did."""
        self.changes: deque[Change] = deque(maxlen=KEPT)
        self.grown = asyncio.Event()
        """Set when there is a change; who awaits it asks for the next one before it looks."""
        self._asked = -FRESH
        self._asking: asyncio.Task[None] | None = None
        self._new_from: Position | None = None
        """What comes after that position has happened since the start, for as long as the history is the same."""
        self._new_since: float | None = None
        """In another one, as of another monitor: the moment after which changes are new, by the monitors' clocks."""
        self._last = 0.0
        """The last moment up to which a monitor has told all."""

    def start(self) -> None:
        """Follow the monitor from now on, in a thread."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._follow, args=(loop,), daemon=True).start()

    async def fresh(self) -> Status | None:
        """Return the status, not older than FRESH; None where the monitor does not say it: see `away`."""
        if self._asking is None and time.monotonic() - self._asked >= FRESH:
            self._asking = asyncio.create_task(self._refresh())
        if self._asking is not None:
            await asyncio.shield(self._asking)  # a client that goes leaves the question to the others
        return None if self.away else self.status

    async def _refresh(self) -> None:
        try:
            self.status, self.away = await asyncio.to_thread(self._ask), ""
        except NoAnswerError as error:
            self.away = str(error)
        finally:
            self._asking = None
        self._asked = time.monotonic()

    def _ask(self) -> Status:
        found = leading(self._monitor, self._wrap)
        if found.silent:  # who stands by tells of a cluster that it does not look after
            raise NoAnswerError(found.note)
        answer = ask(found.monitor, self._wrap, [JSON, STATUS], self._limit)
        with suppress(ValueError):
            values = parsed(answer, finite=False)
            if isinstance(values, dict) and "hosts" in values:
                return values
            answer = str(values.get("message", answer)) if isinstance(values, dict) else answer
        raise NoAnswerError(f"the monitor has no status: {answer.strip().partition(chr(10))[0]}")

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        last, said = "0", ""
        while not loop.is_closed():
            why = "the monitor has ended the connection"
            try:
                if self._new_from is None:
                    status = self._ask()
                    self._last, self._new_from = status["at"], position(status["position"])
                leader = leading(self._monitor, self._wrap).monitor
                for values in follow.lines(leader, self._wrap, [last]):
                    last, said = values["position"], ""
                    why = values["text"] if values["kind"] == Kind.CUT_OFF else why
                    loop.call_soon_threadsafe(self._take, values)
            except (NoAnswerError, follow.RefusedError) as error:
                why = str(error)
            except (LookupError, TypeError, ValueError) as error:
                why = f"what the monitor says is not understood: {error!r}"
            except RuntimeError:  # the loop is closed: the program ends
                return
            if why != said:
                log.warning("%s; the monitor is followed again every %g s", why, _AGAIN)
            said = why
            time.sleep(_AGAIN)

    def _take(self, values: Change) -> None:
        if values["kind"] == Kind.GAP:
            self.changes.clear()
            self._new_since = self._last
        if values["kind"] in (Kind.CHANGE, Kind.ALIVE):
            self._last = max(self._last, values["at"])
        if values["kind"] != Kind.CHANGE:
            return
        self.changes.append(values)
        if self._is_new(values):
            self._heard(values)
        self.grown.set()
        self.grown = asyncio.Event()

    def _is_new(self, change: Change) -> bool:
        """Tell whether a change has happened since the start and was not told by another monitor before."""
        if self._new_since is not None:
            return bool(change["at"] > self._new_since)
        return self._new_from is None or place(change) > self._new_from

    async def since(self, asked: Position | None) -> AsyncGenerator[Change, None]:
        """Yield the changes after a position, None being now, for ever, and a gap where some of them are lost."""
        newest = place(self.changes[-1]) if self.changes else BEGINNING
        known = newest if asked is None else asked
        while True:
            grown = self.grown
            changes = tuple(self.changes)
            oldest, newest = (place(changes[0]), place(changes[-1])) if changes else (BEGINNING, BEGINNING)
            epochs = (place(change).epoch for change in reversed(changes))
            if changes and (code := gap(known, oldest, newest, epochs)):
                yield {"kind": str(Kind.GAP), "position": str(known), "code": code}
                known = BEGINNING
            for change in changes:
                if place(change) > known:
                    known = place(change)
                    yield change
            await grown.wait()


def place(change: Change) -> Position:
    """Return where a change stands in all that has happened."""
    return position(change["position"]) or BEGINNING
