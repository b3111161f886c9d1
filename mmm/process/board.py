"""The newest word of one process, in memory that others share with it: they read it even when it stands still."""

import ctypes
import mmap
import struct
import zlib

SIZE = 64 * 1024
"""Longest word, in bytes."""
_HEAD = struct.Struct("=II")
"""Before each word: its length and its checksum, by which half a word is known."""
_SLOT = _HEAD.size + SIZE
_COUNTER = 8


class Board:
    """A word, replaced as a whole. Made before the fork; one process puts, any number of them read.

    There are two places for words. The writer fills the one that nobody is sent to and then turns the number that
    tells which counts, so that a writer which is stopped anywhere leaves the last whole word readable.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _COUNTER + 2 * _SLOT)
        self._number = ctypes.c_uint64.from_buffer(self._memory)

    def put(self, word: bytes) -> None:
        """Have readers get this from now on; raises ValueError where it is longer than SIZE."""
        if len(word) > SIZE:
            raise ValueError(f"{len(word)} bytes do not fit")
        number = self._number.value + 1
        start = self._start(number)
        self._memory[start : start + _HEAD.size] = _HEAD.pack(len(word), zlib.crc32(word))
        self._memory[start + _HEAD.size : start + _HEAD.size + len(word)] = word
        self._number.value = number

    @property
    def number(self) -> int:
        """Return how many words were put: while it is the same, what was read stands."""
        return self._number.value

    def read(self) -> bytes | None:
        """Return the newest word; None where nothing was put yet, or the writer was faster twice."""
        for _ in range(3):
            number = self._number.value
            if not number:
                return None
            start = self._start(number)
            length, checksum = _HEAD.unpack_from(self._memory, start)
            word = self._memory[start + _HEAD.size : start + _HEAD.size + min(length, SIZE)]
            if zlib.crc32(word) == checksum:
                return word
        return None

    @staticmethod
    def _start(number: int) -> int:
        return _COUNTER + number % 2 * _SLOT
