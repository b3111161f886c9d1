"""Files on a disk that hangs, as fifos that nobody reads; a log's is full."""

import os
from contextlib import suppress
from pathlib import Path


def made_fifo(path: Path) -> bool:
    """Make a fifo of a name that a file has now and then for a moment; tells whether that could be done now."""
    with suppress(FileExistsError):
        os.mkfifo(path)
        return True
    return False


def put_in_place(fifo: Path, path: Path, aside: Path) -> None:
    """Give a fifo the name of a file, which gets another one: at no moment is there none that a daemon would make."""
    aside.hardlink_to(path)
    fifo.replace(path)


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
