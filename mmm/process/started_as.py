"""How a running server was started, so that another one can be started alike (proc_pid_cmdline(5)). Edge."""

import os
from dataclasses import dataclass
from pathlib import Path

_NOT_AGAIN = ("--init-file", "--init_file", "--daemonize", "--wsrep", "--bootstrap", "--initialize")
"""Options of the one start that the server had."""


@dataclass(frozen=True, slots=True)
class StartedAs:
    """A program and its options; with a loader of its own before them, where there is one."""

    argv: tuple[str, ...]


def started_as(pid: int) -> StartedAs:
    """Return how the process was started; raises OSError."""
    raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    words = [os.fsdecode(word) for word in raw.split(b"\0") if word]
    if not words:
        raise ProcessLookupError(f"process {pid} does not say how it was started")
    kept = tuple(word for word in words[1:] if not word.startswith(_NOT_AGAIN))
    return StartedAs((_program(pid, words[0]), *kept))


def _program(pid: int, first: str) -> str:
    """Return the path of the program: what it calls itself may be a name that is looked for."""
    if first.startswith("/"):
        return first
    return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
