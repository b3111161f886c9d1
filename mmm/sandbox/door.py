"""A door into a machine: whoever comes to a port of this machine is led to an address of the sandbox's.

A socket stays in the network that it was made in, so this runs inside and is handed one that listens outside.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Sequence

from mmm.own_module import own_module
from mmm.sandbox.machines.machine import Machine

_LOOPBACK = "127.0.0.1"
_BACKLOG = 100
_CHUNK = 65536


def opened(machine: Machine, inside: tuple[str, int], wanted: int) -> int:
    """Open a door on this machine's loopback that lasts as long as the machine, and return its port.

    That is `wanted` where it is free. Raises OSError and SandboxError.
    """
    with _listening(wanted) as listener:
        listener.listen(_BACKLOG)
        fd = listener.fileno()
        argv = machine.enter(own_module(__name__, str(fd), inside[0], str(inside[1])))
        with (machine.home / "door.log").open("ab") as log:
            subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[fd], start_new_session=True
            )  # fmt: skip
        return int(listener.getsockname()[1])


def _listening(wanted: int) -> socket.socket:
    try:
        return socket.create_server((_LOOPBACK, wanted))
    except OSError:
        return socket.create_server((_LOOPBACK, 0))


async def _serve(listener: socket.socket, inside: tuple[str, int]) -> None:
    async def led(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(*inside)
            with contextlib.closing(back):
                await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    async with await asyncio.start_server(led, sock=listener) as server:
        await server.serve_forever()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


def main(argv: Sequence[str]) -> None:
    """Lead who comes to the listening socket to the address and port, until it is ended."""
    fd, ip, port = argv
    asyncio.run(_serve(socket.socket(fileno=int(fd)), (ip, int(port))))


if __name__ == "__main__":
    main(sys.argv[1:])
