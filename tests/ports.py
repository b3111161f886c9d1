"""Ports for those who have to name theirs before they listen there."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def keep_port() -> tuple[socket.socket, int]:
    """Return a port on which nobody listens, and what keeps it until closed.

    It is given to nobody who asks for any port; who names it may listen there, with SO_REUSEADDR as servers do.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("", 0))
    return kept, int(kept.getsockname()[1])


@contextmanager
def kept_port() -> Iterator[int]:
    """Keep such a port for a while."""
    kept, port = keep_port()
    with kept:
        yield port
