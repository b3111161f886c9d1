"""The time that the steps have to get what is missing, while the writer role waits for them (rule 10.10)."""

import math
import time
from collections.abc import Callable

from mmm.agent.act.step_error import LeaseOverError
from mmm.config.model import Vip

AGAIN = 60.0
"""Seconds after its begin up to which another order goes on with what one has begun, in the same time."""


class Takeover:
    """Runs from the first attempt on; `lifetime` tells how long a VIP may be bound, as in `vip_steps`."""

    def __init__(self, lifetime: Callable[[Vip], int]) -> None:
        self._lifetime = lifetime
        self._began = -math.inf
        self._done = False

    @property
    def is_past(self) -> bool:
        """Tell whether the next attempt belongs to another takeover."""
        return self._done or time.monotonic() - self._began > AGAIN

    def begin(self) -> None:
        """Let the time run, if it does not."""
        if self._began == -math.inf:
            self._began = time.monotonic()

    def finish(self) -> None:
        """Note that the host is the writer now: what comes next is another takeover."""
        self._done = True

    def end(self) -> None:
        """Let the next attempt begin anew."""
        self._began, self._done = -math.inf, False

    def left(self, vip: Vip, limit: float) -> float:
        """Return the seconds that are left of `limit` seconds, and of the lease."""
        lease = self._lifetime(vip)
        return min(self._began + limit - time.monotonic(), lease or math.inf)

    def see_lease(self, vip: Vip) -> None:
        """Raise LeaseOverError where the VIP may not be bound any more."""
        if self._lifetime(vip) < 0:
            raise LeaseOverError
