"""The clock on the wall, and the one that checks are timed by, as the world's reader is told them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells the reader's time of what the world has in monotonic seconds."""

    wall: Callable[[float], float]
    """Turns monotonic seconds into wall-clock seconds since 1970."""
    local: Callable[[float], str]
    """Turns wall-clock seconds since 1970 into local time, `YYYY/MM/DD HH:MM:SS`."""
    took: Callable[[str, str], float | None] = lambda _host, _check: None
    """Tells how many seconds the newest run of a host's check took; None where none has ended yet."""

    def said(self, moment: float) -> str:
        """Return monotonic seconds as local time."""
        return self.local(self.wall(moment))
