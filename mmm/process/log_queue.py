"""Lines on their way to a log that may hang: a full disk, a network file system, a fifo that nobody reads.

A thread writes. Whoever logs waits for that a moment, so that a line is there once what follows it happens; when the
log hangs nobody waits any more, lines are kept up to a bound, and those beyond it are counted. Made anew after a fork.

While clients wait for what is done, lines are held: handing one over takes as long as a statement or a netlink call.
"""

import copy
import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from weakref import WeakSet

PATIENCE = 0.05
"""Seconds that a line is waited for, while the log is not known to hang."""
BOUND = 10_000
"""Lines that are kept while it hangs."""
HELD = 0.03
"""Longest time, in seconds, for which lines are held."""

_FORMATTER = logging.Formatter()


class Queued(logging.Handler):
    """Has a thread do what `handlers` do; none of them is touched by another."""

    def __init__(self, handlers: Iterable[logging.Handler]) -> None:
        super().__init__()
        self._hangs = False
        self.handlers = tuple(handlers)
        self._begin()
        _ALL.add(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record over, and wait for it unless the log hangs."""
        try:
            record = _frozen(record)
        except Exception:  # noqa: BLE001 - arguments that do not fit their text, as logging itself treats them
            self.handleError(record)
            return
        with self._changed:
            if len(self._lines) >= BOUND:
                self._dropped += 1
                return
            self._lines.append(record)
            self._handed += 1
            if time.monotonic() < self._held_until:
                return
            self._wake()
            if not self._hangs:
                self._hangs = not self._wait_for(self._handed, PATIENCE)

    def hold_lines(self, seconds: float) -> None:
        """Keep lines back for some seconds, or until `hand_over`; they are then written together."""
        with self._changed:
            self._held_until = time.monotonic() + seconds

    def hand_over(self) -> None:
        """Have the lines written that were held; waits for nothing."""
        with self._changed:
            self._held_until = 0.0
            if self._lines:
                self._wake()

    def reopen(self) -> None:
        """Have every file opened anew with the next line."""
        with self._changed:
            self._anew = True
            self._wake()

    def drain(self, limit: float) -> bool:
        """Wait until all is written, `limit` seconds at most; tells whether it is."""
        self.hand_over()
        with self._changed:
            return self._wait_for(self._handed, limit)

    def close(self) -> None:
        """Close the handlers, if they do not hang."""
        if self.drain(PATIENCE):
            for handler in self.handlers:
                _close(handler)
        super().close()

    def forked(self) -> None:
        """Begin anew in a child: the thread is the parent's, and so is what it was about to write.

        Files are left as they are and opened anew, for the parent may be in the middle of a line.
        """
        self._begin()
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler) and handler.stream is not None:
                _LEFT.append(handler.stream)
                handler.stream = None

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._lines: deque[logging.LogRecord] = deque()
        self._handed = self._written = self._dropped = 0
        self._hangs = self._anew = False
        self._held_until = 0.0
        self._thread: threading.Thread | None = None

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _wait_for(self, number: int, limit: float) -> bool:
        end = time.monotonic() + limit
        while self._written < number:
            if not self._changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                return False
        return True

    def _write(self) -> None:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, signal.valid_signals()
        )  # they are for those that wait for them
        while True:
            with self._changed:
                while not (self._lines or self._anew):
                    self._changed.wait()
                anew, self._anew = self._anew, False
                records = [self._lines.popleft()] if self._lines else []
                dropped, self._dropped = self._dropped, 0
            if anew:
                self._close_files()
            for record in (*([_said(dropped)] if dropped else []), *records):
                self._hand_on(record)
            with self._changed:
                self._written += len(records)
                self._hangs = self._hangs and bool(self._lines)
                self._changed.notify_all()

    def _hand_on(self, record: logging.LogRecord) -> None:
        for handler in self.handlers:
            if record.levelno >= handler.level:
                with suppress(Exception):  # they say what is wrong themselves
                    handler.handle(record)

    def _close_files(self) -> None:
        for handler in self.handlers:
            if isinstance(handler, logging.FileHandler):
                _close(handler)


def _close(handler: logging.Handler) -> None:
    """Close it: a file that cannot be written, as on a full disk, lets go of what it still had and is closed too."""
    with suppress(Exception):  # the thread that logs must outlive it
        handler.close()


def hold(later: Callable[[float, Callable[[], None]], object]) -> None:
    """Have all lines held from now on, on the way to every log, until `release`, or for HELD seconds.

    `later` is the `call_later` of the loop that calls.
    """
    for each in queued():
        each.hold_lines(HELD)
    later(HELD, release)


def release() -> None:
    """Have all lines written that were held; waits for nothing."""
    for each in queued():
        each.hand_over()


def queued() -> tuple[Queued, ...]:
    """Return all that are in use."""
    return tuple(_ALL)


def _all_forked() -> None:
    for each in queued():
        each.forked()


def _frozen(record: logging.LogRecord) -> logging.LogRecord:
    """Return the record as it is said now: its arguments may be others when it is written."""
    after = copy.copy(record)
    after.msg, after.args = record.getMessage(), None
    if record.exc_info:
        after.exc_text, after.exc_info = _FORMATTER.formatException(record.exc_info), None
    return after


def _said(dropped: int) -> logging.LogRecord:
    text = f"{dropped} lines before this one are missing: the log hung"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)


_ALL: "WeakSet[Queued]" = WeakSet()
_LEFT: list[object] = []
"""What was open in the parent: never closed, for that would write."""

os.register_at_fork(after_in_child=_all_forked)
