"""The stays of one master: that its VIP stays for good, asked for, kept by the other, shown to the monitor, void.

A moment at which the master asks is the name of a stay.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

_NONE = frozenset[float]()


class Stays(NamedTuple):
    """What is on the way, and what is known of it."""

    left: int = 0
    """How often it may ask yet."""
    asked: frozenset[float] = _NONE
    """On the way to the other."""
    let: frozenset[float] = _NONE
    """Agreed to, on the way back."""
    held: frozenset[float] = _NONE
    """What the other keeps on its disk."""
    seen: frozenset[float] = _NONE
    """What the monitor has been shown since the master has obeyed an order."""
    void: frozenset[float] = _NONE
    """What the monitor tells the other to be void."""

    def moments(self) -> Iterator[float]:
        """Return all their names."""
        for each in self[1:]:
            yield from each

    def moved(self, to: Callable[[float], float]) -> "Stays":
        """Return the same by other names."""
        asked, let, held, seen, void = (frozenset(map(to, each)) for each in self[1:])
        return Stays(self.left, asked, let, held, seen, void)

    def asking(self, moment: float, *, agreed: bool) -> "Stays":
        """Return them once the master has asked; `agreed`: it takes that for the answer."""
        let = frozenset({moment}) if agreed else self.let
        return self._replace(left=self.left - 1, asked=self.asked | {moment}, let=let)

    def kept(self) -> "Stays":
        """Return them once the other has agreed to the newest that is on the way."""
        newest = max(self.asked)
        return self._replace(let=self.let | {newest}, held=self.held | {newest})

    def shown(self) -> "Stays":
        """Return them once the other has shown what it keeps."""
        return self._replace(seen=self.seen | (self.held - self.void))

    def ended(self) -> "Stays":
        """Return them once the master has obeyed an order that was sent since, or is off."""
        return self._replace(void=self.void | self.seen, seen=_NONE)

    def told(self, *, early: bool) -> "Stays":
        """Return them once the other has heard what is void; `early`: whatever it keeps."""
        return self._replace(held=_NONE if early else self.held - self.void)

    def canonical(self, counts: frozenset[float]) -> "Stays":
        """Return the same without what can have no effect; answers only for those that count."""
        known = self.asked | self.held
        return self._replace(let=self.let & counts, seen=self.seen & known, void=self.void & known)
