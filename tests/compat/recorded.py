"""What classic daemons said to each other, byte for byte."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parent / "data" / "classic.txt"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One connection: what the client sent to `host`, and all that it was answered."""

    host: str
    sent: bytes
    answer: bytes


def exchanges(conversation: str) -> list[Exchange]:
    """Return a conversation in its order."""
    text = DATA.read_text(encoding="utf-8").split(f"\n## {conversation}\n")[1].split("\n## ")[0]
    return [
        Exchange(host, _bytes(sent), _bytes(answer))
        for host, sent, answer in re.findall(r"^> (\S+) (.+)\n< (.+)$", text, re.MULTILINE)
    ]


def without_uptime(answer: bytes) -> bytes:
    """Return an agent's answer without the age of its system, and without the code and the token that ours adds."""
    return re.sub(rb"(\|WHY:[a-z_]+)?(\|T:[a-z0-9.-]+)?\|UP:\d+\.\d\d\n", b"|UP:\n", answer)


def without_times(answer: bytes) -> bytes:
    """Return an answer to `checks` without the moments."""
    return re.sub(rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", b"TIME", answer)


def _bytes(literal: str) -> bytes:
    value = ast.literal_eval(literal)
    assert isinstance(value, bytes)
    return value
