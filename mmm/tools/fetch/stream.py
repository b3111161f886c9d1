"""A donor's stream while it comes: a socket, and where it comes by ssh that program, which is ended with it. Edge."""

import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Self

_END = 5.0
"""Seconds that ssh may take to end by itself once the stream is over."""


@dataclass
class Stream:
    """What is read from; a context manager that closes it."""

    sock: socket.socket
    process: "subprocess.Popen[bytes] | None" = None
    said: IO[bytes] | None = None
    """What the program says of errors."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.said is not None:
            self.said.close()

    def why(self) -> str:
        """Return what ssh says of why the stream ended, empty where it says nothing, or it did not come by ssh."""
        if self.process is None or self.said is None:
            return ""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END)
        self.said.seek(0)
        lines = [line for line in self.said.read().decode("utf-8", "replace").splitlines() if line.strip()]
        name = "ssh: " if self.process.args[0] == "ssh" else ""  # type: ignore[index]
        return f"{name}{lines[-1]}" if lines else ""
