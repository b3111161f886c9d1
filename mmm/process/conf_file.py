"""The conf that a daemon goes by, and how it is read again.

Angel and worker have it in common: a worker that is started again, and what the angel does in the place of one that is
dead, go by the conf that was taken last, not by the one that the daemon was started with.
"""

import ctypes
import mmap
import pickle
from collections.abc import Callable
from dataclasses import replace

from mmm.config.model import Cluster

_MOST = 1 << 24
"""Bytes of a conf. They are memory only once something was written to them; a thousand hosts need a twentieth."""
_HEAD = 16
"""Bytes before them: how often a conf was taken, and the lengths of the last two, which have a place each."""


class UnusableError(Exception):
    """The conf cannot be used as it is written now: `lines` say why, each with what to do.

    `may_pass` tells that nothing is wrong with the files: the machine has not yet what all the lines are about.
    """

    def __init__(self, lines: tuple[str, ...], *, may_pass: bool = False) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.may_pass = may_pass


class ConfFile:
    """The conf of a daemon; make it before the worker is forked.

    `read` returns the conf as it is written now, checked as at the start, and raises UnusableError.
    """

    def __init__(self, conf: Cluster, read: Callable[[], Cluster]) -> None:
        self.read = read
        self._started_with = conf
        self._shared = mmap.mmap(-1, _HEAD + 2 * _MOST)
        self._taken = ctypes.c_uint64.from_buffer(self._shared)

    @property
    def taken(self) -> int:
        """Return how often another conf was taken."""
        return self._taken.value

    @property
    def conf(self) -> Cluster:
        """Return the conf that was taken last."""
        if not (taken := self.taken):
            return self._started_with
        length, begin = self._place(taken)
        size = int.from_bytes(self._shared[length : length + 4], "big")
        conf: Cluster = pickle.loads(self._shared[begin : begin + size])  # noqa: S301 - only the worker writes it
        return conf

    def take(self, conf: Cluster) -> None:
        """Have this be the conf from now on, also for the angel; raises ValueError where it is too large."""
        data = pickle.dumps(replace(conf, warnings=()))
        if len(data) > _MOST:
            raise ValueError(f"a conf of {len(data)} bytes")
        taken = self.taken + 1
        length, begin = self._place(taken)  # the other one may be read at the moment
        self._shared[begin : begin + len(data)] = data
        self._shared[length : length + 4] = len(data).to_bytes(4, "big")
        self._taken.value = taken

    @staticmethod
    def _place(taken: int) -> tuple[int, int]:
        """Return where the length of a conf stands, and where the conf begins."""
        return 8 + 4 * (taken % 2), _HEAD + _MOST * (taken % 2)
