"""A command that changes something, signed by the conf's auth_key with the monitor's challenge."""

import socket
from collections.abc import Sequence

from mmm.wire.command import CHALLENGE, changes_nothing, encode_command, signed_words

_LIMIT = 10.0


def is_signed(key: str, command: Sequence[str]) -> bool:
    """Tell whether the command is sent signed."""
    return bool(key) and not changes_nothing(command)


def signed(
    connection: socket.socket, key: str, command: Sequence[str], limit: float = _LIMIT
) -> bytes | None:
    """Return what is sent for the command on this connection; None: the monitor knows no signatures.

    The monitor has `limit` seconds for its challenge, 10 at most. Raises OSError.
    """
    connection.settimeout(max(0.001, min(limit, _LIMIT)))
    connection.sendall(f"{CHALLENGE}\n".encode())
    received = b""
    while len(received) < 33 and (data := connection.recv(33 - len(received))):
        received += data
    if not received.endswith(b"\n"):
        return None
    words = signed_words(key, received[:-1].decode(errors="replace"), command)
    return None if words is None else encode_command(words)
