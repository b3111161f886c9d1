"""Packet sockets that receive what they are meant for: the kernel's classic BPF picks it out."""

import ctypes
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

_SO_ATTACH_FILTER = 26
_LOAD = {4: 0x20, 2: 0x28, 1: 0x30}
_EQUAL, _RETURN = 0x15, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
ETHERNET = 1
"""ARPHRD_ETHER: the only kind of interface with ARP."""

Check = tuple[int, int, int]
"""Where in the frame, how many bytes there (1, 2 or 4), and what they must be."""


def packet_socket(interface: str, kind: int, checks: Sequence[Check], snap: int = 128) -> socket.socket:
    """Return a socket that receives Ethernet frames of type `kind` on which all `checks` hold; raises OSError.

    It does not wait, and gives `snap` bytes of each.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        program = _program(checks, snap)
        code = ctypes.create_string_buffer(program, len(program))
        attach = struct.pack("HxxxxxxP", len(program) // _INSTRUCTION.size, ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attach)
        sock.bind((interface, kind))
    except BaseException:
        sock.close()
        raise
    return sock


def is_on(sock: socket.socket, interface: str) -> bool:
    """Tell whether a packet socket is bound to the interface that has this name now.

    The kernel ends no packet socket with its interface, and tells nothing of it where that was down when it went.
    """
    with suppress(OSError):
        return socket.if_nametoindex(sock.getsockname()[0]) == socket.if_nametoindex(interface)
    return False


def stands(place: slice, value: bytes | int) -> tuple[Check, ...]:
    """Return the checks that `value` stands in that place of the frame."""
    data = value.to_bytes(place.stop - place.start) if isinstance(value, int) else value
    size = min(len(data), 4)
    return tuple(
        (place.start + at, size, int.from_bytes(data[at : at + size])) for at in range(0, len(data), size)
    )


def _program(checks: Sequence[Check], snap: int) -> bytes:
    code = b""
    for number, (offset, size, value) in enumerate(checks):
        to_no = 2 * (len(checks) - number) - 1
        code += _INSTRUCTION.pack(_LOAD[size], 0, 0, offset)
        code += _INSTRUCTION.pack(_EQUAL, 0, to_no, value)
    return code + _INSTRUCTION.pack(_RETURN, 0, 0, snap) + _INSTRUCTION.pack(_RETURN, 0, 0, 0)
