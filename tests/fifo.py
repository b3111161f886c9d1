"""A log on a disk that hangs, as a fifo that is full and that nobody reads."""

import os
from contextlib import suppress
from pathlib import Path


def full_fifo(path: Path) -> int:
    """Make a fifo that takes no more, and that somebody has open who does not read; returns that descriptor."""
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"-" * size)
    return descriptor


def drained(descriptor: int) -> bytes:
    """Return what is in it; whoever waits to write goes on."""
    found = b""
    with suppress(BlockingIOError):
        while True:
            found += os.read(descriptor, 1 << 16)
    return found
