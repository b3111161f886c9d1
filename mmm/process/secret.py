"""Files that are in memory alone, for what must stand neither on a disk nor on a command line (memfd_create(2))."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def secret_file(text: str) -> Iterator[int]:
    """Give a file with that text as a descriptor, which children read as `/dev/fd/NUMBER`; raises OSError."""
    fd = os.memfd_create("login", 0)
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, text.encode())
        yield fd
    finally:
        os.close(fd)
