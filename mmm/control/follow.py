"""`mmm_control follow`: what happens, a line of JSON for every change, until the monitor or the user ends it."""

import json
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from mmm.config.endpoint import Endpoint
from mmm.control.connection import NoAnswerError, Wrap, connected, talking_to
from mmm.wire.command import FOLLOW, JSON, encode_command
from mmm.wire.follow import ALIVE, Kind
from mmm.wire.json_text import parsed

_SILENCE = 3 * ALIVE
"""Seconds without a line after which the monitor is not there any more."""


class RefusedError(Exception):
    """The monitor does not let itself be followed; the text says why, in one line."""


def lines(monitor: Endpoint, wrap: Wrap, position: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what the monitor says, also that it is alive; raises NoAnswerError, RefusedError."""
    with talking_to(monitor), connected(monitor, wrap) as connection:
        connection.sendall(encode_command([JSON, FOLLOW, *position]))
        connection.settimeout(_SILENCE)
        with connection.makefile("rb") as received:
            for line in received:
                yield _values(line)


def run(monitor: Endpoint, wrap: Wrap, position: list[str]) -> NoReturn:
    """Print what happens until that cannot go on; then raises NoAnswerError or RefusedError."""
    last, why = "", "the monitor has ended the connection"
    try:
        for values in lines(monitor, wrap, position):
            last = values["position"]
            if values["kind"] == Kind.CUT_OFF:
                why = values["text"]
            elif values["kind"] != Kind.ALIVE:
                sys.stdout.write(json.dumps(values, ensure_ascii=False) + "\n")
                sys.stdout.flush()
    except NoAnswerError as error:
        why = str(error)
    raise NoAnswerError(f"{why}; go on with: mmm_control follow {last}" if last else why)


def _values(line: bytes) -> dict[str, Any]:
    text = line.decode(errors="replace").strip()
    try:
        values = parsed(text, finite=False)
    except ValueError:
        raise RefusedError(text) from None
    if not isinstance(values, dict) or not {"kind", "position"} <= values.keys():
        raise RefusedError(str(values.get("message", text)) if isinstance(values, dict) else text)
    return values
