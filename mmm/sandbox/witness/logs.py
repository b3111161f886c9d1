"""The logs of all machines as one: by time, each line with the machine it comes from."""

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.machine import SandboxError

_STAMP = re.compile(r"(\d{4})[/-](\d\d)[/-](\d\d)[ T] ?(\d\d?):(\d\d):(\d\d)")
_NAP = 0.1
_PATTERNS = ("var/log/mysql-mmm/*.log", "var/log/mysql/error.log", "var/log/*mmm*.log")


def moment(text: str, now: float) -> tuple[str, ...]:
    """Return the moment that is meant, as lines have it: HH:MM or HH:MM:SS of today, or seconds ago.

    `now` is the Unix time. Raises SandboxError.
    """
    if text.isascii() and text.isdigit():
        return tuple(time.strftime("%Y %m %d %H %M %S", time.localtime(now - int(text))).split())
    match = re.fullmatch(r"(\d\d?):(\d\d)(?::(\d\d))?", text)
    if match is None:
        raise SandboxError(f"--since {text}: write HH:MM or HH:MM:SS of today, or how many seconds ago")
    today = time.strftime("%Y %m %d", time.localtime(now)).split()
    return (*today, *(part.zfill(2) for part in match.groups("00")))


@dataclass(slots=True)
class _Tail:
    """A log file read so far."""

    machine: str
    path: Path
    place: int = 0
    stamp: tuple[str, ...] = field(default=())

    @property
    def is_server(self) -> bool:
        """Tell whether a database server writes it."""
        return self.path.name == "error.log"

    def lines(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield the whole lines since the last time, each with its time or that of the line above it."""
        if self.path.stat().st_size < self.place:
            self.place = 0  # rotated or written anew
        with self.path.open("rb") as file:
            file.seek(self.place)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                self.place += len(raw)
                line = raw.decode(errors="replace").rstrip()
                if match := _STAMP.match(line):
                    self.stamp = tuple(part.zfill(2) for part in match.groups())
                    line = f"{'/'.join(self.stamp[:3])} {':'.join(self.stamp[3:])}{line[match.end() :]}"
                if not self.is_server or "[ERROR]" in line or "[Warning]" in line:
                    yield self.stamp, f"{self.machine:<8} {line}"


class Logs:
    """Reads what was logged on the machines since the last time; on all of them, without `machines`.

    At the first time from the moment `since` on, as `moment` returns it.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        servers: bool = True,
        machines: Collection[str] = (),
        since: tuple[str, ...] = (),
    ) -> None:
        self._sandbox = sandbox
        self._machines = machines or sandbox.layout.plugs
        self._since = since
        self._patterns = _PATTERNS if servers else (_PATTERNS[0], _PATTERNS[2])
        self._tails: dict[Path, _Tail] = {}

    def read(self) -> list[str]:
        """Return the new lines of all logs, in the order of their times."""
        for name in self._machines:
            home = self._sandbox.machine(name).home
            for path in (found for pattern in self._patterns for found in home.glob(pattern)):
                self._tails.setdefault(path, _Tail(name, path))
        found: list[tuple[tuple[str, ...], str]] = []
        for tail in self._tails.values():
            found.extend(tail.lines())
        return [line for stamp, line in sorted(found, key=lambda timed: timed[0]) if stamp >= self._since]

    def follow(self) -> Iterator[str]:
        """Yield lines as they are written, for ever."""
        while True:
            yield from self.read()
            time.sleep(_NAP)
