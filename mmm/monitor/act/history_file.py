"""The file of the history, beside the status file: a thread writes it, for its disk may hang (rules 10.38, 11.3).

Whoever adds to it waits a moment, so that a line is there once what follows it happens; when the disk hangs nobody
waits any more. What is to be written is kept meanwhile: nothing is lost but by the end of the monitor.
"""

import logging
import signal
import stat
import threading
import time
from pathlib import Path

from mmm.monitor.act import status_file
from mmm.monitor.act.complaint import Complaint
from mmm.monitor.report import changes, history
from mmm.monitor.report.history import Entry

PATIENCE = 0.1
"""Seconds that a line is waited for, while the disk is not known to hang."""

log = logging.getLogger(__name__)


class HistoryFile:
    """What has happened, in a file with a line for each entry."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._entries: tuple[Entry, ...] = ()
        """All that the file is to say; of these `_new` are to be put behind what it says, or all of it `_anew`."""
        self._new: list[Entry] = []
        self._anew = False
        self._handed = self._written = 0
        self._hangs = False
        self._complaint = Complaint(f"history {path}")
        self._whole = False
        """The file says all that it was to, with a line end behind."""

    def read(self) -> tuple[Entry, ...]:
        """Return what the file says; that it cannot be read is logged."""
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                log.error("history %s is no regular file: it is replaced by one", self._path)
                return ()
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            log.error("history %s cannot be read: %s", self._path, error.strerror or error)
            text = ""
        self._whole = text.endswith("\n") or not text
        return tuple(changes.numbered(history.decode(text)))[-history.KEPT :]

    def keep(self, entries: tuple[Entry, ...], new: Entry | None) -> None:
        """Have the file say all `entries`: the `new` one is the only one that it does not yet, None: write it anew."""
        with self._changed:
            self._entries = entries
            if new is None or len(self._new) >= history.KEPT:
                self._anew, self._new = True, []
            else:
                self._new.append(new)
            self._handed += 1
            self._wake()
            if not self._hangs and not self._wait_for(self._handed):
                self._hangs = True
                log.error("history %s: its disk hangs: what happens is kept in memory meanwhile", self._path)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="history", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _wait_for(self, number: int) -> bool:
        end = time.monotonic() + PATIENCE
        while self._written < number:
            if not self._changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                return False
        return True

    def _run(self) -> None:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, signal.valid_signals()
        )  # they are for those that wait for them
        while True:
            with self._changed:
                while not (self._new or self._anew):
                    self._changed.wait()
                entries, new, handed = self._entries, self._new, self._handed
                anew = self._anew or not self._whole
                self._new, self._anew = [], False
            self._write(entries if anew else new, anew=anew)
            with self._changed:
                self._written = handed
                if self._hangs and self._handed == handed:
                    self._hangs = False
                    if self._whole:
                        log.warning("history %s: its disk goes on, and the file says all again", self._path)
                self._changed.notify_all()

    def _write(self, entries: "tuple[Entry, ...] | list[Entry]", *, anew: bool) -> None:
        text = "".join(map(history.encode, entries))
        self._whole = False  # until the lines are there
        try:
            if anew:
                status_file.write(self._path, text)
            else:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(text)
            self._whole = True
            self._complaint.is_written()
        except OSError as error:
            self._complaint.cannot_be_written(error)
        except Exception:
            log.exception("history %s: writing it ended by an internal error", self._path)
