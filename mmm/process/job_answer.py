"""The first word of a tool that the agent has started, which says whether a job begins; then it is alone.

The agent may end meanwhile, so nothing is written to its pipe after that.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from mmm.wire.json_text import parsed


class Answer:
    """The word that the agent waits for, if it does: one line of JSON on the standard output, written once."""

    def __init__(self, *, awaited: bool) -> None:
        self._given = not awaited

    def give(self, lines: Sequence[str], codes: Sequence[str] = (), *, begun: bool) -> None:
        """Say whether it has begun, or why not, and write to nobody any more."""
        if self._given:
            return
        self._given = True
        with suppress(OSError):
            print(json.dumps({"begun": begun, "lines": list(lines), "codes": list(codes)}), flush=True)
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(null, stream.fileno())
        os.close(null)


def read(text: str) -> tuple[bool, tuple[str, ...], tuple[str, ...]] | None:
    """Return whether it has begun, the lines, and the codes; None where the text holds no such word."""
    for line in reversed(text.splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            found = parsed(line)
            return bool(found["begun"]), tuple(map(str, found["lines"])), tuple(map(str, found["codes"]))
    return None
