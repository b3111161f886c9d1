"""The producer of a copy as processes: started, listened to, killed whole."""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from mmm.agent.stream.producers import Producer
from mmm.process.parent_death import signal_at_parents_end
from mmm.process.pipes import widen

LINES = 20
"""Of what the producer has said, these are the last ones that are kept."""
COMPRESSOR = ("zstd", "-1", "-c", "-q")


class Running:
    """A producer at work, and the compressor behind it, if there is one; both end with this process."""

    def __init__(
        self, producer: Producer, *, compress: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._lines: deque[str] = deque(maxlen=LINES)
        self._stopped_since: float | None = None
        """When commits began to wait for the producer; None: they do not."""
        self._waited = 0.0
        self._started: list[subprocess.Popen[bytes]] = []
        self._output = self._start(producer.argv, None, producer.fds)
        if compress:
            raw = self._output
            self._output = self._start(COMPRESSOR, raw, ())
            raw.close()
        self._listeners = [
            threading.Thread(target=self._listen, args=(one,), daemon=True) for one in self._started
        ]
        for listener in self._listeners:
            listener.start()

    def _start(self, argv: tuple[str, ...], stdin: IO[bytes] | None, fds: tuple[int, ...]) -> IO[bytes]:
        """Start a program that reads `stdin`, and return what it writes; raises OSError."""
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                argv,
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=fds,
                start_new_session=True,
                preexec_fn=lambda: signal_at_parents_end(signal.SIGKILL),  # noqa: PLW1509
            )
        except OSError:
            self.kill()
            raise
        self._started.append(process)
        if process.stdout is None:
            raise OSError("no pipe")  # never: it is asked for
        widen(process.stdout.fileno())
        return process.stdout

    @property
    def output(self) -> int:
        """Return where the copy is read from."""
        return self._output.fileno()

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the last lines that were said."""
        return tuple(self._lines)

    @property
    def stopped(self) -> float:
        """Return for how many seconds commits have waited for the producer, without an end yet; 0: they do not."""
        since = self._stopped_since
        return 0.0 if since is None else self._clock() - since

    @property
    def waited(self) -> float:
        """Return for how many seconds commits have waited for the producer in all."""
        return self._waited + self.stopped

    def kill(self) -> None:
        """End all of it now; its locks in the server go with its sessions."""
        for process in self._started:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def status(self) -> int:
        """Return the exit status once all has ended: the first that is not 0. One that left its last word out has 1."""
        codes = [process.wait() for process in self._started]
        for listener in self._listeners:
            listener.join()
        bad = next((code for code in codes if code), 0)
        return bad or int(not self._producer.is_done("\n".join(self._lines)))

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        if process.stderr is None:
            return
        for raw in process.stderr:
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                self._lines.append(line)
            stops = self._producer.stops_commits(line)
            if stops is not None:
                now = self._clock()
                began = self._stopped_since if self._stopped_since is not None else now
                self._waited += 0.0 if stops else now - began
                self._stopped_since = began if stops else None
