"""A command that changes something, signed by the conf's auth_key with the monitor's challenge."""

import re
import socket
from collections.abc import Sequence

from mmm.wire.command import CHALLENGE, SIGNED, changes_nothing, command_mac, encode_command

_LIMIT = 10.0
_CHALLENGE = re.compile(rb"([0-9a-f]{32})\n")


def is_signed(key: str, command: Sequence[str]) -> bool:
    """Tell whether the command is sent signed."""
    return bool(key) and not changes_nothing(command)


def signed(connection: socket.socket, key: str, command: Sequence[str]) -> bytes | None:
    """Return what is sent for the command on this connection; None: the monitor knows no signatures.

    Raises OSError.
    """
    connection.settimeout(_LIMIT)
    connection.sendall(f"{CHALLENGE}\n".encode())
    received = b""
    while len(received) < 33 and (data := connection.recv(33 - len(received))):
        received += data
    match = _CHALLENGE.fullmatch(received)
    if match is None:
        return None
    nonce = match[1].decode()
    return encode_command([SIGNED, nonce, command_mac(key, nonce, command), *command])
