"""Files that are in memory alone, for what must stand neither on a disk nor on a command line (memfd_create(2))."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def secret_file(content: str | bytes) -> Iterator[int]:
    """Give a file with that as a descriptor, which children, or what follows by exec, read as `/dev/fd/NUMBER`.

    Raises OSError.
    """
    fd = os.memfd_create("secret", 0)
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, content.encode() if isinstance(content, str) else content)
        yield fd
    finally:
        os.close(fd)
