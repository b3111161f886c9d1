"""When no monitor led, of a run with several of them, by its history alone: how long, and what was broken then. Pure.

Time without a leader is no mistake by itself: voters that are bound have to be waited for. What counts is time in which
one could lead: a monitor that no fault is on reaches more than half of the voters. More of that on end than it takes by
the rules is told apart, with all that was broken.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from mmm.proving.chaos.history import History, Struck

NOTICED = 1.0
"""Seconds between two answers of a monitor that leads which are no gap."""
_VOTERS_OUT = frozenset(
    (
        "cut", "cut-in", "cut-out", "blink", "cut-from-monitor",
        "freeze-agent", "freeze-worker", "kill-agent", "power-off",
    )
)  # fmt: skip
_MONITORS_OUT = frozenset(("kill-monitor", "freeze-monitor", "cut-monitor"))

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Leaderless:
    """A time in which no monitor said that it leads."""

    since: float
    until: float
    could: float
    """Seconds of it in which one could."""
    longest: float
    """Those of them that were on end."""
    causes: tuple[str, ...]

    def __str__(self) -> str:
        why = " and ".join(self.causes) or "nothing broken"
        return f"{self.until - self.since:.1f} s, in {self.longest:.1f} s on end a monitor could lead: {why}"


def leaderless(history: History) -> list[Leaderless]:
    """Return the times without a leader; none where the history does not tell who led."""
    about = history.about.get("monitors")
    if not about:
        return []
    began = float(history.about.get("began", 0.0))
    spans = sorted((led.since, led.until) for led in history.led)
    covered = [*_merged(spans, NOTICED), (began + float(history.about["seconds"]), float("inf"))]
    ends = pairwise([(began, began), *covered])
    return [_found(history, about, end, since) for (_, end), (since, _) in ends if since - end > NOTICED]


def _found(history: History, about: Mapping[str, tuple[str, ...]], since: float, until: float) -> Leaderless:
    struck = [each for each in history.struck if each.since <= until and each.until >= since]
    moments = sorted({since, until, *(each for one in struck for each in (one.since, one.until))})
    whole = [
        (begin, end)
        for begin, end in pairwise(moment for moment in moments if since <= moment <= until)
        if _could_lead(about, [one for one in struck if one.since < end and one.until > begin])
    ]
    stretches = [end - begin for begin, end in _merged(whole, 0.0)]
    every = [each for each in (*struck, *history.repairs) if each.since <= until and each.until >= since]
    return Leaderless(
        since, until, sum(stretches), max(stretches, default=0.0), tuple(dict.fromkeys(map(str, every)))
    )


def _could_lead(about: Mapping[str, tuple[str, ...]], struck: Iterable[Struck]) -> bool:
    """Tell whether under these faults a monitor reaches more than half of the voters."""
    out: dict[bool, set[str]] = defaultdict(set)
    for one in struck:
        if one.fault in _VOTERS_OUT | _MONITORS_OUT:
            out[one.fault in _MONITORS_OUT].add(one.host)
    voters, monitors = set(about["voters"]), set(about["monitors"])
    return 2 * len(voters - out[False]) > len(voters) and bool(monitors - out[True])


def _merged(spans: Iterable[Span], apart: float) -> list[Span]:
    found: list[Span] = []
    for since, until in sorted(spans):
        if found and since - found[-1][1] <= apart:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def told(history: History, found: list[Leaderless]) -> Iterator[str]:
    """Yield what is said of them: nothing of a run with one monitor."""
    about = history.about.get("monitors")
    if not about:
        return
    takes = float(about["takes"])
    whole, could = sum(each.until - each.since for each in found), sum(each.could for each in found)
    yield f"{whole:.1f} s without a monitor that leads, in {len(found)} gaps; in {could:.1f} s of them one could"
    by_cause: dict[str, list[Leaderless]] = defaultdict(list)
    for each in found:
        names = sorted({cause.split()[0] for cause in each.causes})
        by_cause[" + ".join(names) or "nothing broken"].append(each)
    for cause, gaps in sorted(by_cause.items(), key=lambda item: -sum(each.could for each in item[1])):
        seconds, longest = sum(each.could for each in gaps), max(each.longest for each in gaps)
        yield f"    {cause:<40} {len(gaps):>4} gaps {seconds:>7.1f} s, the longest {longest:.1f} s"
    late = [each for each in found if each.longest > takes]
    yield f"{len(late)} times in which one could lead for more than the {takes:.1f} s that it takes"
    yield from (
        f"    at {each.since - float(history.about.get('began', 0.0)):.1f} s: {each}" for each in late
    )
