"""The control port, where mmm_control's commands arrive (SPEC section 5)."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from mmm.config.allow import Allowed
from mmm.config.model import Monitor
from mmm.network.line_server import GarbageError, Limits, LineServer, Peer
from mmm.wire.agent import MAX_LINE
from mmm.wire.command import QUIT
from mmm.wire.control import decode_command, invalid_command

Command = Callable[[Sequence[str]], Awaitable[str | None]]


def serve_control(
    monitor: Monitor, tls: ssl.SSLContext | None, command: Command, who: Allowed
) -> AbstractAsyncContextManager[int]:
    """Answer the commands of `who` on the monitor's ip and port; raises OSError when the port cannot be had."""

    async def answer(line: bytes, _: Peer) -> bytes | None:
        words = decode_command(line)
        if words == (QUIT,):
            return None
        if words is None:
            raise GarbageError(invalid_command(line).encode())
        text = await command(words)
        return (invalid_command(line) if text is None else text).encode()

    limits = Limits(line=MAX_LINE, clients=100, idle=30.0)
    return LineServer("control port", answer, limits, allowed=who).listen(monitor.ip, monitor.port, tls)
