"""Which faults a seed makes: when in a round each begins, how long it lasts, whom it meets. Pure."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmm.sandbox.trouble.faults import FAULTS

WRITER, STANDBY, SLAVE, MONITOR = "writer", "standby", "slave", "monitor"
WITNESS = "witness"
STANDS_BY = "monitor that stands by"
"""Of several monitors; MONITOR is then the one that leads when the round begins."""

_WEIGHTS: Mapping[str, int] = {
    "kill-mysqld": 6, "stop-mysqld": 3, "freeze-mysqld": 6,
    "cut": 8, "cut-in": 6, "cut-out": 6, "cut-from-monitor": 6, "cut-from-peer": 3, "blink": 4, "cut-monitor": 5,
    "freeze-agent": 6, "freeze-worker": 5, "freeze-angel": 2, "kill-agent": 5, "kill-angel": 3,
    "freeze-monitor": 4, "kill-monitor": 5,
    "clock-ahead": 3, "clock-back": 3, "monitor-clock": 3,
    "stop-replication": 2,
}  # fmt: skip
"""How often each fault is chosen, compared with the others."""
_SEVERAL: Mapping[str, int] = {
    **_WEIGHTS, "cut-monitor": 10, "freeze-monitor": 10, "kill-monitor": 10, "cut-monitors-apart": 8,
}  # fmt: skip
"""The same with several monitors."""
_WITNESSED: Mapping[str, int] = {**_SEVERAL, "power-off": 8}
"""The same with a witness too, the only machine that is switched off: no client and no recorder runs there."""
_MET = {WRITER: 60, STANDBY: 30, SLAVE: 10}
_MET_WITH_WITNESS = {WRITER: 40, STANDBY: 20, WITNESS: 40}
"""Of faults that need no server."""
_OF_WITNESSES = {"power-off"}
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
    """Whom it meets: the host which is the writer when the round begins, its peer, a slave, a witness, or a monitor."""
    after: float
    lasts: float
    angel: bool = False
    """Whether what kills a daemon kills its angel, too."""

    def __str__(self) -> str:
        also = " with angel" if self.angel else ""
        return f"{self.fault}{also} {self.who} at {self.after:.1f} s for {self.lasts:.1f} s"


Round = tuple[Strike, ...]


def rounds(seed: int, monitors: int = 1, *, witness: bool = False) -> Iterator[Round]:
    """Yield rounds of one fault or two without an end, always the same ones for a seed and such machines."""
    weights = _WEIGHTS if monitors == 1 else _WITNESSED if witness else _SEVERAL
    chance = random.Random(seed)  # noqa: S311
    while True:
        first = _strike(chance, 0.0, weights)
        if chance.random() >= _PAIRS:
            yield (first,)
            continue
        second = _strike(chance, chance.uniform(0, _APART), weights)
        while _same(first, second):
            second = _strike(chance, second.after, weights)
        yield (first, second)


def _strike(chance: random.Random, after: float, weights: Mapping[str, int]) -> Strike:
    fault = chance.choices(list(weights), list(weights.values()))[0]
    met = _MET_WITH_WITNESS if weights is _WITNESSED and not FAULTS[fault].of_server else _MET
    who = chance.choices(list(met), list(met.values()))[0]
    if fault in _OF_WITNESSES:
        who = WITNESS
    elif FAULTS[fault].anywhere:
        who = MONITOR if weights is _WEIGHTS else chance.choice((MONITOR, MONITOR, STANDS_BY))
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
    if "machine" in parts and one.who == other.who:
        return True  # nothing more can be broken of a machine that is off
    return parts[0] == parts[1] and (one.who == other.who or "pair" in parts)
