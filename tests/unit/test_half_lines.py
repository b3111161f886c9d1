"""What is sent without a line end may be cut off: it is answered, and nothing that changes anything is done."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmm.agent.act.received import unfinished
from mmm.config.allow import Allowed
from mmm.config.model import Cluster
from mmm.monitor.act.admission import Admission
from mmm.monitor.act.control_port import Lack, control_server
from mmm.network.listener import NOBODY
from mmm.wire import why
from mmm.wire.agent import decode_reply

CONF = Cluster("MONITOR", 2, Path("m.conf"), (), {}, {}, {}, None, active_master_role="writer")


def asked(sent: bytes) -> tuple[bytes, list[str]]:
    """What the control port answers, and the commands that it has carried out."""
    done = []

    async def command(words: Sequence[str], _: Lack) -> str:
        done.append(" ".join(words))
        return f"OK: {words[0]}"

    async def run() -> bytes:
        server = control_server(command, Allowed(), Admission(CONF))
        async with asyncio.timeout(30), server.listen("127.0.0.1", 0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    return asyncio.run(run()), done


@pytest.mark.parametrize(
    "sent", [b"set_offline db1", b"move_role writer db1", b"nonsense", b"signed a b set_passive"]
)
def test_half_a_command_is_refused(sent: bytes) -> None:
    answer, done = asked(sent)
    assert answer.startswith(b"ERROR: The command has no line end")
    assert done == []


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"show", b"OK: show"), (b"ping\nmode", b"OK: pingOK: mode"), (b"quit", b"")]
)
def test_a_question_needs_no_line_end(sent: bytes, answer: bytes) -> None:
    assert asked(sent)[0] == answer


def test_half_a_request_to_an_agent_is_answered_with_error() -> None:
    reply = decode_reply(asyncio.run(unfinished(b"SET_STATUS|1|db1|ONL", NOBODY)))
    assert reply.text == "ERROR: Invalid command 'SET_STATUS 1 db1 ONL'! It has no line end"
    assert reply.why == why.UNKNOWN_COMMAND
