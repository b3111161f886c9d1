"""The rest of another host's binary log, a stage after the other: what came is applied before more is got.

So no more of it is in memory than `AT_ONCE`, or one transaction that is longer; and what stands before one that cannot
be had is not lost with it. How long a transaction is the other agent tells before it is got: one that is too long to be
kept, or to be applied in the time that is left, costs no time.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmm.agent.act.binlog_fetch import AT_ONCE, MEGABYTE, Fetched, Source, fetch, measure
from mmm.binlog.transactions import Found, Problem, find, holds, joined
from mmm.gtid.place import LogPlace
from mmm.gtid.transactions import Executed
from mmm.wire.binlog import Extent
from mmm.wire.salvaged import Cause

MOST = 64 * MEGABYTE
"""Bytes of the longest transaction that is got: with what it is turned into it takes five times that in memory."""
FASTEST = 32 * MEGABYTE
"""Bytes of a transaction that are got and applied in a second on the fastest hosts: it is not begun to no avail."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What was got at once, with whole transactions at its end, and what is known of what stands behind it."""

    got: Fetched
    found: Found
    last: bool
    """Nothing follows, or nothing that can be had."""
    behind: Extent | None
    """How much stands behind it; None: that is not known."""
    longest: int = 0
    """Bytes of a transaction that was not got: the first one behind."""

    @property
    def known(self) -> bool:
        """Tell whether it is known how many transactions there are up to the end of the log."""
        if self.found.problem is not None:
            return False
        ended = self.got.cause is None and not self.got.more
        return ended if self.behind is None else self.behind.ended

    @property
    def count_behind(self) -> int:
        """Return how many whole transactions stand behind it, as far as that is known."""
        return self.behind.count if self.behind else 0


class RestOfLog:
    """Gets the log behind a place, for as long as there is time `left`, in seconds."""

    def __init__(self, source: Source, since: LogPlace, left: Callable[[], float], most: int = MOST) -> None:
        """`most` is how many bytes the longest transaction may have that is got."""
        self._source = source
        self._place = since
        self._left = left
        self._most = most
        self._behind: Extent | None = None

    def next(self, has: Executed) -> Stage:
        """Return the next stage for a server that `has` these. Not to be asked again after the last one."""
        got = fetch(self._source, self._place, self._left, min(AT_ONCE, self._most))
        found = _found(got)
        if got.more and not found.transactions and found.problem is None:
            return self._long(got, found, has)
        return self._stage(got, found)

    def _stage(self, got: Fetched, found: Found) -> Stage:
        """Return a stage, and go on behind it."""
        if got.more and self._behind is None:
            self._behind = measure(self._source, self._place, self._left)
        if self._behind is not None:
            count = max(0, self._behind.count - len(found.transactions))
            self._behind = replace(self._behind, first=0, count=count)
        self._place = _end(got, found, self._place)
        last = not got.more or got.cause is not None or found.problem is not None
        return Stage(got, found, last, self._behind)

    def _long(self, got: Fetched, found: Found, has: Executed) -> Stage:
        """Return the stage of a transaction that is longer than what is got at once."""
        self._place = _end(got, found, self._place)
        there = measure(self._source, self._place, self._left)
        self._behind = there
        if there is not None and not there.first and not there.count and there.ended:
            return Stage(replace(got, more=False), Found(), last=True, behind=None)  # told to nobody
        if found.cut is not None and there is not None and there.first and holds(has, found.cut):
            self._place = replace(self._place, position=self._place.position + there.first)
            self._behind = replace(there, first=0, count=there.count - 1)
            return self.next(has)
        first = there.first if there else 0
        if why := self._too_large(first):
            got = replace(got, cause=Cause.TOO_LARGE, why=why)
            return Stage(got, found, last=True, behind=there, longest=first)
        got = fetch(self._source, self._place, self._left, first, math.inf)
        found = _found(got)
        if got.more and not found.transactions and found.problem is None:
            found = Found((), Problem.DAMAGED, "a transaction does not end where it was said to")
        stage = self._stage(got, found)
        return replace(stage, longest=0 if found.transactions else first)

    def _too_large(self, first: int) -> str:
        """Return why a transaction of that many bytes is not got, empty where it is; 0: nobody knows how many."""
        if not first:
            return f"a transaction is in it of which more than {AT_ONCE / MEGABYTE:g} MB came, and not how long it is"
        seconds = max(0.0, self._left())
        if first <= min(self._most, FASTEST * seconds):
            return ""
        size = f"a transaction of {first / MEGABYTE:.0f} MB is in it"
        if first > self._most:
            return f"{size}: more than {self._most / MEGABYTE:g} MB are not kept in memory"
        return f"{size}, for which {seconds:.1f} s do not suffice"


def _found(got: Fetched) -> Found:
    return joined(find(part.form, part.file, part.data) for part in got.parts)


def _end(got: Fetched, found: Found, since: LogPlace) -> LogPlace:
    """Return the place up to which a stage has whole transactions."""
    if not got.parts:
        return since
    last = got.parts[-1]
    ends = [each.end for each in found.transactions if each.end.file == last.file]
    return ends[-1] if ends else LogPlace(last.file, last.begin)
