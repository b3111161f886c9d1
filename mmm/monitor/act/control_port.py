"""The control port, where mmm_control's commands arrive (rule 5)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from mmm.config.allow import Allowed
from mmm.monitor.act.admission import Admission
from mmm.monitor.command.texts import Verdict
from mmm.network.line_server import GarbageError, Limits, LineServer, Stream
from mmm.network.listener import Peer
from mmm.wire import refrain
from mmm.wire.agent import MAX_LINE
from mmm.wire.command import CHALLENGE, QUIT, SIGNED, changes_nothing
from mmm.wire.control import decode_command, invalid_command

Lack = Callable[[], Verdict | None]
"""Says why the client may change nothing; None when it may."""
Command = Callable[[Sequence[str], Lack], Awaitable[str | Stream | None]]


def control_server(command: Command, who: Allowed, admission: Admission) -> LineServer:
    """Return what answers the commands of `who`; have it listen on the monitor's ip and port."""

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
            if isinstance(text, str) and refrain.asked(words) is not None:
                return f"{admission.with_mac(text.strip(), nonce, words)}\n".encode()
        else:
            text = await command(words, lack)
        return (
            text if isinstance(text, Stream) else (invalid_command(line) if text is None else text).encode()
        )

    async def unfinished(line: bytes, peer: Peer) -> bytes | Stream | None:
        words = decode_command(line)
        if words is not None and not changes_nothing(words):  # HOST may be the beginning of another's name
            return str(Verdict("no_line_end")).encode()
        return await answer(line, peer)

    limits = Limits(line=MAX_LINE, clients=100, idle=30.0)
    return LineServer("control port", answer, limits, allowed=who, unfinished=unfinished)


def _known(refusal: Verdict | None) -> Verdict | None:
    return refusal
