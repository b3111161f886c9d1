"""The control port, where mmm_control's commands arrive (rule 5)."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from mmm.config.allow import Allowed
from mmm.config.model import Monitor
from mmm.monitor.act.admission import Admission
from mmm.monitor.command.texts import Verdict
from mmm.network.line_server import GarbageError, Limits, LineServer, Peer, Stream
from mmm.wire.agent import MAX_LINE
from mmm.wire.command import CHALLENGE, QUIT, SIGNED
from mmm.wire.control import decode_command, invalid_command

Lack = Callable[[], Verdict | None]
"""Says why the client may change nothing; None when it may."""
Command = Callable[[Sequence[str], Lack], Awaitable[str | Stream | None]]


def serve_control(
    monitor: Monitor, tls: ssl.SSLContext | None, command: Command, who: Allowed, admission: Admission
) -> AbstractAsyncContextManager[int]:
    """Answer the commands of `who` on the monitor's ip and port; raises OSError when the port cannot be had."""

    async def answer(line: bytes, peer: Peer) -> bytes | Stream | None:
        words = decode_command(line)
        if words == (QUIT,):
            return None
        if words is None:
            raise GarbageError(invalid_command(line).encode())
        lack: Lack = partial(admission.lack, peer)
        if admission.signs and words == (CHALLENGE,):
            return f"{admission.challenge()}\n".encode()
        if admission.signs and words[0] == SIGNED and len(words) > 3:
            nonce, mac, words = words[1], words[2], words[3:]
            refusal = None if admission.is_signed(words, nonce, mac) else Verdict("wrong_signature")
            lack = partial(_known, refusal)
        text = await command(words, lack)
        return (
            text if isinstance(text, Stream) else (invalid_command(line) if text is None else text).encode()
        )

    limits = Limits(line=MAX_LINE, clients=100, idle=30.0)
    return LineServer("control port", answer, limits, allowed=who).listen(monitor.ip, monitor.port, tls)


def _known(refusal: Verdict | None) -> Verdict | None:
    return refusal
