"""How long each part of a change took: said in the agent's answer, and shown by `mmm_control history` (rule 11.3)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from mmm.agent.decide.obedience import Laps


class Stopwatch:
    """The parts of one change, one after the other; a name that comes again counts on."""

    def __init__(self) -> None:
        self._took: dict[str, float] = {}

    @property
    def laps(self) -> Laps:
        """Return what was measured so far."""
        return tuple(self._took.items())

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Measure the block, whether it succeeds or not."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - began)

    def add(self, name: str, seconds: float) -> None:
        """Count what was measured elsewhere."""
        self._took[name] = self._took.get(name, 0.0) + seconds
