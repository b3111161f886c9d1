"""Virtual time: what is to happen, in order, and a history of it where one is wanted."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any


class Clock:
    """Calls what is due, earliest first; what is due at the same moment comes in the order it was asked for."""

    __slots__ = ("_due", "_number", "history", "now", "random")

    def __init__(self, seed: int, *, tell: bool) -> None:
        self.now = 0.0
        self.random = Random(seed).random  # noqa: S311 - a run is to be repeated, not to be secret
        self.history: list[str] | None = [] if tell else None
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, moment: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call at that moment."""
        self._number += 1
        heapq.heappush(self._due, (moment, self._number, call, arguments))

    def after(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Call in so many seconds."""
        self._number += 1
        heapq.heappush(self._due, (self.now + seconds, self._number, call, arguments))

    def run(self, until: float) -> None:
        """Let time pass."""
        due, pop = self._due, heapq.heappop
        while due and due[0][0] <= until:
            self.now, _, call, arguments = pop(due)
            call(*arguments)
        self.now = until

    def say(self, text: str) -> None:
        """Write a line of history."""
        if self.history is not None:
            self.history.append(f"{self.now:9.3f}  {text}")
