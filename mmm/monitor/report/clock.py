"""The clock on the wall, as the world's reader is told it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells the reader's time of what the world has in monotonic seconds."""

    wall: Callable[[float], float]
    """Turns monotonic seconds into wall-clock seconds since 1970."""
    local: Callable[[float], str]
    """Turns wall-clock seconds since 1970 into local time, `YYYY/MM/DD HH:MM:SS`."""

    def said(self, moment: float) -> str:
        """Return monotonic seconds as local time."""
        return self.local(self.wall(moment))
