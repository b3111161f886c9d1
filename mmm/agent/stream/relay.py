"""Sends what a producer writes, in frames, and watches over both ends meanwhile.

The producer is killed the moment that the recipient is gone, and when the server's commits have waited for it for too
long: a recipient that hangs while mariadb-backup holds BACKUP STAGE BLOCK_COMMIT, and all that is read ahead then does
not do, would stop the writer with it.
"""

import hashlib
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mmm.agent.stream.ahead import Ahead
from mmm.agent.stream.bucket import Bucket
from mmm.agent.stream.running import Running
from mmm.wire.stream import BLOCKED, GONE, Tail, framed

LOOK = 0.05
"""Seconds between two looks at both ends."""
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the recipient."""

    send: Callable[[bytes], None]
    """Sends all; raises OSError, TimeoutError for a recipient that takes nothing."""
    fd: int
    """What tells that the recipient has gone."""
    cut: Callable[[], None]
    """Ends a `send` that another thread waits in."""


class Relay:
    """Sends one copy."""

    def __init__(self, running: Running, way: Way, bucket: Bucket, block: float, room: int) -> None:
        self._running = running
        self._way = way
        self._bucket = bucket
        self._block = block
        self._ahead = Ahead(running, room)
        self._cause = ""
        self._over = threading.Event()

    def run(self) -> Tail:
        """Send all data, and return what is to be said behind it; raises OSError when nothing can be said any more."""
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        total, digest = 0, hashlib.blake2b(digest_size=32)
        try:
            for data in self._ahead:
                digest.update(data)
                total += len(data)
                self._slow_down(len(data))
                self._way.send(framed(data))
        except BaseException:
            self._cause = self._cause or GONE
            self._running.kill()
            raise
        finally:
            self._over.set()
            watch.join()
        status = self._running.status()
        return Tail(total, digest.hexdigest(), status, self._cause, self._running.lines)

    @property
    def cause(self) -> str:
        """Return why the producer was killed, empty where it was not."""
        return self._cause

    def _slow_down(self, count: int) -> None:
        """Wait until so many bytes may go: not while commits wait for that."""
        until = time.monotonic() + self._bucket.wait(time.monotonic(), count)
        while (left := until - time.monotonic()) > 0 and not self._running.stopped:
            self._over.wait(min(left, LOOK))
        if self._running.stopped:
            self._bucket.forget()

    def _watch(self) -> None:
        gone = select.poll()
        gone.register(self._way.fd, getattr(select, "POLLRDHUP", 0))
        while not self._over.wait(LOOK):
            if self._running.stopped > self._block:
                self._cause = BLOCKED
                self._running.kill()
                return
            if any(event & _HUNG_UP for _, event in gone.poll(0)):
                self._cause = GONE
                self._running.kill()
                self._way.cut()
                return
