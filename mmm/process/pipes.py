"""Pipes with room for much at once."""

import fcntl
from contextlib import suppress

ROOM = 1 << 20
"""Bytes; the kernel lets everybody have so many."""


def widen(fd: int) -> None:
    """Have a pipe hold ROOM bytes, so that those at its ends wake each other less often; as it is where that fails."""
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, ROOM)
