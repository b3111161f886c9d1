"""Reads what a producer writes ahead of who sends it: a little, and as much as there is room for while commits wait.

So a recipient whose disk is busy for a few seconds at the wrong moment costs neither the donor's writers nor the copy.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator

from mmm.agent.stream.running import Running
from mmm.wire.stream import FRAME

LITTLE = 4 * FRAME
"""Bytes that are read ahead at other times."""
_LOOK = 0.02


class Ahead:
    """Gives the producer's output in order, piece by piece; `room` is in bytes."""

    def __init__(self, running: Running, room: int) -> None:
        self._running = running
        self._room = room
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self) -> Iterator[bytes]:
        """Yield all there is, to the end of the output."""
        while True:
            with self._changed:
                while not self._pieces and not self._ended:
                    self._changed.wait()
                if not self._pieces:
                    return
                piece = self._pieces.popleft()
                self._size -= len(piece)
                self._changed.notify_all()
            yield piece

    def _read(self) -> None:
        while data := os.read(self._running.output, FRAME):
            with self._changed:
                self._pieces.append(data)
                self._size += len(data)
                self._changed.notify_all()
                while self._size >= (max(LITTLE, self._room) if self._running.stopped else LITTLE):
                    self._changed.wait(_LOOK)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
