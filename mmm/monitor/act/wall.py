"""What the clock on the wall showed at a moment that the monitor knows by its own clock."""

import time

_STEPPED = 0.5
"""Seconds by which the two clocks have to be apart from before: less comes and goes while the one is slewed."""


class Wall:
    """The clock on the wall, also once it was set, or the machine slept: the monotonic one does not count that."""

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def of(self, moment: float) -> float:
        """Return monotonic seconds as seconds since 1970; of the same moment always the same, until a clock is set."""
        ahead = time.time() - time.monotonic()
        if abs(ahead - self._ahead) > _STEPPED:
            self._ahead = ahead
        return moment + self._ahead
