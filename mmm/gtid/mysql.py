"""MySQL's global transaction ids: sets such as `3e11fa47-…:1-5:9, 4d22…:1-3`. Pure.

A server's transactions carry its server_uuid, since MySQL 8.3 with a tag too, and a number. Unlike a position
of MariaDB such a set names every single one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_INTERVAL = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")

Interval = tuple[int, int]
"""First and last number, both included."""


@dataclass(frozen=True, slots=True)
class GtidSet:
    """A set of transactions: for each origin, `UUID` or `UUID:TAG`, its numbers in ascending intervals."""

    of: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.of)

    def __len__(self) -> int:
        """Return how many transactions are in it."""
        return sum(last - first + 1 for intervals in self.of.values() for first, last in intervals)

    def __str__(self) -> str:
        return ",".join(self.names())

    def names(self) -> Iterator[str]:
        """Return the set's parts, `ORIGIN:FIRST-LAST` each."""
        for origin, intervals in self.of.items():
            for first, last in intervals:
                yield f"{origin}:{first}" if first == last else f"{origin}:{first}-{last}"

    def minus(self, other: "GtidSet") -> "GtidSet":
        """Return what is in this set and not in the other."""
        left = {origin: _subtract(mine, other.of.get(origin, ())) for origin, mine in self.of.items()}
        return GtidSet({origin: intervals for origin, intervals in left.items() if intervals})

    def plus(self, other: "GtidSet") -> "GtidSet":
        """Return what is in either set."""
        origins = [*self.of, *(origin for origin in other.of if origin not in self.of)]
        return GtidSet(
            {origin: _joined([*self.of.get(origin, ()), *other.of.get(origin, ())]) for origin in origins}
        )

    def without(self, uuid: str) -> "GtidSet":
        """Return the set without what was written on the server of that uuid."""
        wanted = uuid.lower()
        return GtidSet({o: intervals for o, intervals in self.of.items() if o.partition(":")[0] != wanted})


def parse(text: str) -> GtidSet:
    """Return the set that a server names; what makes no sense is left out."""
    found: dict[str, list[Interval]] = {}
    origin = ""
    for part in re.split("[,:]", "".join(text.split())):
        interval = _INTERVAL.fullmatch(part)
        if _UUID.fullmatch(part):
            origin = part.lower()
        elif origin and interval:
            first = int(interval[1])
            last = int(interval[2] or first)
            if first <= last:
                found.setdefault(origin, []).append((first, last))
        elif origin and part:
            origin = f"{origin.partition(':')[0]}:{part.lower()}"
    return GtidSet({origin: _joined(intervals) for origin, intervals in found.items()})


def _joined(intervals: list[Interval]) -> tuple[Interval, ...]:
    joined: list[Interval] = []
    for first, last in sorted(intervals):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def _subtract(mine: tuple[Interval, ...], theirs: tuple[Interval, ...]) -> tuple[Interval, ...]:
    left: list[Interval] = []
    for first, last in mine:
        start = first
        for other_first, other_last in theirs:
            if other_last < start:
                continue
            if other_first > last:
                break
            if start < other_first:
                left.append((start, other_first - 1))
            start = other_last + 1
        if start <= last:
            left.append((start, last))
    return tuple(left)
