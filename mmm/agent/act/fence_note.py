"""The note that writes are still to be denied on this host, as a lease was over: whoever is started next goes on.

A thread writes it, for the disk of a pid file may hang, and nothing that is to be taken waits for that. It counts for
this boot only: after another one the server was started anew, and nobody holds the role by what was granted before.
"""

import threading
from contextlib import suppress
from pathlib import Path

from mmm.agent.act import promise_file

SETTLE = 0.2
"""Seconds that a note may take where it is to be there first."""
_TEXT = "read_only"


class FenceNote:
    """The note beside a pid file; without a pid file there is none."""

    def __init__(self, pid_path: str) -> None:
        self.file = Path(f"{pid_path}.fence") if pid_path else None
        self._lock = threading.Lock()
        self._wanted: bool | None = None
        self._thread: threading.Thread | None = None

    def is_there(self) -> bool:
        """Tell whether writes are still to be denied that an agent of this boot, or its angel, was to deny."""
        return promise_file.load(self.file).split() == [_TEXT, promise_file.boot()]

    def keep(self, *, fenced: bool) -> None:
        """Have noted whether writes are denied that are to be; of what is told meanwhile only the last counts."""
        if self.file is None:
            return
        with self._lock:
            self._wanted = fenced
            if self._thread is None:
                # none of a pool: a process that ends would wait for it
                thread = threading.Thread(target=self._write, args=(self.file,), daemon=True)
                with suppress(RuntimeError):  # no room for one: it is noted with what is told next
                    thread.start()
                    self._thread = thread

    def settle(self) -> None:
        """Wait until that is written, at most SETTLE seconds."""
        if (thread := self._thread) is not None:
            thread.join(SETTLE)

    def _write(self, file: Path) -> None:
        while (fenced := self._next()) is not None:
            with suppress(OSError):  # then an agent that is started later does not know
                if fenced:
                    file.unlink(missing_ok=True)
                else:
                    promise_file.store(file, f"{_TEXT} {promise_file.boot()}\n")

    def _next(self) -> bool | None:
        """Return what is to be noted, None once there is no more: the thread ends by that."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
            if wanted is None:
                self._thread = None
            return wanted
