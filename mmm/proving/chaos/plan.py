"""Which faults a seed makes: when in a round each begins, how long it lasts, whom it meets. Pure."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmm.sandbox.trouble.faults import FAULTS

WRITER, STANDBY, SLAVE, MONITOR = "writer", "standby", "slave", "monitor"

_WEIGHTS: Mapping[str, int] = {
    "kill-mysqld": 6, "stop-mysqld": 3, "freeze-mysqld": 6,
    "cut": 8, "cut-in": 6, "cut-out": 6, "cut-from-monitor": 6, "cut-from-peer": 3, "blink": 4, "cut-monitor": 5,
    "freeze-agent": 6, "freeze-worker": 5, "freeze-angel": 2, "kill-agent": 5, "kill-angel": 3,
    "freeze-monitor": 4, "kill-monitor": 5,
    "clock-ahead": 3, "clock-back": 3, "monitor-clock": 3,
    "stop-replication": 2,
}  # fmt: skip
"""How often each fault is chosen, compared with the others."""
_MET = {WRITER: 60, STANDBY: 30, SLAVE: 10}
_NOT_OF_SLAVES = {"cut-from-peer"}
_LASTS = ((0.2, 1.5), (1.5, 4.0), (4.0, 7.0))
"""Seconds: over before anything follows, about as long as a lease, longer than all that is waited for."""
_PAIRS = 0.6
_APART = 3.0
"""Seconds by which the second fault of a pair may come later."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault of a round, `after` seconds from its beginning, undone when it has lasted for `lasts` seconds."""

    fault: str
    who: str
    """Whom it meets: that host which is the writer when the round begins, its peer, a slave, or the monitor."""
    after: float
    lasts: float
    angel: bool = False
    """Whether what kills a daemon kills its angel, too."""

    def __str__(self) -> str:
        also = " with angel" if self.angel else ""
        return f"{self.fault}{also} {self.who} at {self.after:.1f} s for {self.lasts:.1f} s"


Round = tuple[Strike, ...]


def rounds(seed: int) -> Iterator[Round]:
    """Yield rounds of one fault or two without an end, always the same ones for a seed."""
    chance = random.Random(seed)  # noqa: S311
    while True:
        first = _strike(chance, 0.0)
        if chance.random() >= _PAIRS:
            yield (first,)
            continue
        second = _strike(chance, chance.uniform(0, _APART))
        while _same(first, second):
            second = _strike(chance, second.after)
        yield (first, second)


def _strike(chance: random.Random, after: float) -> Strike:
    fault = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    who = chance.choices(list(_MET), list(_MET.values()))[0]
    if FAULTS[fault].anywhere:
        who = MONITOR
    elif who == SLAVE and fault in _NOT_OF_SLAVES:
        who = STANDBY
    angel = fault.startswith("kill-") and chance.random() < 0.5
    lasts = 0.0 if fault == "blink" else chance.uniform(*chance.choice(_LASTS))
    return Strike(
        fault, who, round(after, 1), round(lasts, 1), angel and fault in {"kill-agent", "kill-monitor"}
    )


def _same(one: Strike, other: Strike) -> bool:
    """Tell whether the two break the same part, so that neither could be done and undone by itself."""
    parts = FAULTS[one.fault].touches, FAULTS[other.fault].touches
    return parts[0] == parts[1] and (one.who == other.who or "pair" in parts)
