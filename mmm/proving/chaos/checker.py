"""Judges a run of chaos by its history alone: what the clients were told, what the kernels and servers showed. Pure.

    two writers     A row that a server acknowledged was committed between `sent` and `answered`. Where server A has
                    committed, then certainly B, then certainly A again, the role has gone and come back. MMM needs a
                    failed check or an order for each way; where all of it lies within RETURN seconds, both took writes.
                    Every acknowledged row is looked at as the one in the middle, so a single stray one is found, too.
    strays          A server acknowledged a row while its host had not had the VIP bound for SLACK seconds. Without an
                    address: when its lease was over for GUARDED seconds.
    two holders     The VIP was bound on two hosts at the same time. Without an address: the lease ran on both, or both
                    told load balancers that they are the writer.
    lost            Acknowledged, and not on the writer at the end. MMM must have said so of the server that took it,
                    and every upper bound it gave must be one; what it said is unknown counts apart.
    not kept        Lost, and in nothing that a rebuilt host has saved; or saved as thrown away, and yet on a host. Only
                    where hosts are rebuilt by themselves: `auto_rejoin`. Then no host may need hands, either.
    not as told     Refused, and yet there; there twice; not on all hosts at the end.
    without writer  Between two acknowledged rows more than NOTICED seconds passed, and in part of them there was a
                    candidate: a master without a fault on it, whose server answered the client's machine and had all
                    rows that were acknowledged until then. Not a mistake by itself: told with its cause.

What it cannot see: two servers that take writes in turns of more than RETURN seconds each, while each has the VIP
bound in its turn, are two moves of the role. Two that overlap for less than three periods of the clients may not
alternate for certain; then only the VIPs tell.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, combinations, pairwise, permutations

from mmm.proving.announced import Announced
from mmm.proving.chaos.history import Held, History, Look, Row, Struck
from mmm.proving.outcomes import ACKNOWLEDGED, REFUSED

RETURN = 1.0
SLACK = 0.5
GUARDED = 1.5
"""The last guard looks every 0.2 s, and acts half a second after the end of the lease."""
NOTICED = 0.5
_LINGERS = 1.0
"""Seconds for which a fault that was undone still counts as the cause of what follows."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A time in which two hosts did what only one may do."""

    hosts: tuple[str, str]
    since: float
    until: float

    def __str__(self) -> str:
        return f"{' and '.join(self.hosts)} from {self.since:.3f} for {self.until - self.since:.3f} s"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without an acknowledged row; `candidate`: how many seconds of it there was a candidate."""

    since: float
    until: float
    candidate: float
    causes: tuple[str, ...]
    """The faults of that time; none: something was still being put right."""

    def __str__(self) -> str:
        why = " and ".join(self.causes) or "nothing broken any more"
        return f"{self.until - self.since:.1f} s, {self.candidate:.1f} s of them with a candidate: {why}"


@dataclass(frozen=True, slots=True)
class Loss:
    """The rows of a server that a failover has lost, and what MMM said about it."""

    host: str
    rows: tuple[Row, ...]
    said: tuple[Announced, ...]
    """In the order in which it was said; none: nothing."""
    round: int
    """In which it was said, or the last of the rows was answered; 0: before the first."""

    @property
    def wrong(self) -> bool:
        """Tell whether more was lost than MMM said."""
        lost = len(self.rows)
        return any(said.too_low(lost) for said in self.said) if self.said else bool(lost)

    def __str__(self) -> str:
        said = ", then ".join(map(str, self.said)) or "nothing"
        named = f" ({_named(self.rows)})" if self.rows else ""
        return f"{len(self.rows)} rows of {self.host} are lost{named}, said was: {said}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a history comes to; empty lists where all is as it must be. `gaps` are no mistakes."""

    two_writers: list[Overlap]
    strays: list[Row]
    two_holders: list[Overlap]
    losses: list[Loss]
    not_as_told: list[str]
    unhealed: list[str]
    gaps: list[Gap]
    not_kept: list[str] = field(default_factory=list)
    acknowledged: Mapping[str, int] = field(default_factory=dict)
    """By server."""
    reigns: int = 0
    """How often the acknowledging server changed, and one."""

    @property
    def clean(self) -> bool:
        """Tell whether no promise was broken."""
        broken = (
            self.two_writers,
            self.strays,
            self.two_holders,
            self.wrong_losses,
            self.not_as_told,
            self.not_kept,
        )
        return not any(broken) and not self.unhealed

    @property
    def wrong_losses(self) -> list[Loss]:
        """Return those of which MMM said nothing, or too little."""
        return [loss for loss in self.losses if loss.wrong]


def judge(history: History) -> Verdict:
    """Return what the history comes to."""
    acknowledged = sorted((row for row in history.rows if row.outcome == ACKNOWLEDGED), key=_answered)
    reigns = 1 + sum(before.server != after.server for before, after in pairwise(acknowledged))
    return Verdict(
        two_writers=two_writers(acknowledged),
        strays=list(_strays(history, acknowledged)),
        two_holders=two_holders(history),
        losses=list(_losses(history, acknowledged)),
        not_as_told=list(_not_as_told(history)),
        unhealed=list(history.unhealed),
        not_kept=list(_not_kept(history, acknowledged)) if history.about.get("auto_rejoin") else [],
        gaps=list(_gaps(history, acknowledged)),
        acknowledged=Counter(row.server for row in acknowledged),
        reigns=reigns if acknowledged else 0,
    )


def two_writers(acknowledged: Iterable[Row]) -> list[Overlap]:
    """Return the times in which two servers acknowledged writes."""
    by_server: dict[str, list[Row]] = defaultdict(list)
    for row in acknowledged:
        by_server[row.server].append(row)
    found: list[Overlap] = []
    for around, middle in permutations(sorted(by_server), 2):
        ended, begun = sorted(by_server[around], key=_answered), sorted(by_server[around], key=_sent)
        ends, begins = [row.answered for row in ended], [row.sent for row in begun]
        # Of the rows that had ended by a moment the latest beginning; of those that begin after it the earliest end.
        latest = list(accumulate((row.sent for row in ended), max))
        earliest = list(accumulate((row.answered for row in reversed(begun)), min))[::-1]
        spans = []
        for row in by_server[middle]:
            before, after = bisect_right(ends, row.sent), bisect_left(begins, row.answered)
            if before and after < len(begins) and earliest[after] - latest[before - 1] < RETURN:
                spans.append((latest[before - 1], earliest[after]))
        found += [Overlap((around, middle), *span) for span in merged(spans)]
    return sorted(found, key=lambda overlap: overlap.since)


def two_holders(history: History) -> list[Overlap]:
    """Return the times in which two hosts had the VIP bound, or said that they hold the role."""
    return [
        Overlap((one.host, other.host), max(one.since, other.since), min(one.until, other.until))
        for each in (history.held, history.answered)
        for one, other in combinations(filter(_lasted, each), 2)
        if one.host != other.host and one.since < other.until and other.since < one.until
    ]


def _lasted(held: Held) -> bool:
    """Tell whether it was seen twice: an answer that came once may have been under way for long."""
    return held.since < held.until


def _strays(history: History, acknowledged: Iterable[Row]) -> Iterator[Row]:
    held: dict[str, list[Span]] = defaultdict(list)
    slack = SLACK if history.about.get("bound", True) else GUARDED
    for each in history.held:
        held[each.host].append((each.since - slack, each.until + slack))
    for row in acknowledged:
        if not any(since <= row.answered and row.sent <= until for since, until in held[row.server]):
            yield row


def _losses(history: History, acknowledged: Sequence[Row]) -> Iterator[Loss]:
    """Yield each loss that was said, with the rows that are lost, and rows that are lost without a word."""
    there = {
        (client, number)
        for contents in history.contents
        if contents.host == history.writer
        for client, numbers in contents.rows.items()
        for number in numbers
    }
    by_server: dict[str, list[Row]] = defaultdict(list)
    for row in acknowledged:
        by_server[row.server].append(row)
    for server in sorted({said.host for said in history.announced} | by_server.keys()):
        wrote = [row.answered for row in by_server[server]]
        since = -math.inf
        for said in [*_failovers(history, server, wrote), ()]:
            until = said[-1].at if said else math.inf
            lost = tuple(
                row
                for row in by_server[server]
                if since < row.sent <= until and (row.client, row.number) not in there
            )
            if said or lost:
                at = said[0].at if said else lost[-1].answered
                yield Loss(server, lost, said, _round(history, at))
            since = until


def _failovers(history: History, server: str, wrote: Sequence[float]) -> list[tuple[Announced, ...]]:
    """Return what was said of each loss of a server; `wrote` is when it acknowledged rows.

    Without a row that it acknowledged in between it is about the same loss.
    """
    found: list[tuple[Announced, ...]] = []
    for said in sorted((said for said in history.announced if said.host == server), key=lambda said: said.at):
        if found and bisect_left(wrote, found[-1][-1].at) == bisect_left(wrote, said.at):
            found[-1] = (*found[-1], said)
        else:
            found.append((said,))
    return found


def _round(history: History, at: float) -> int:
    """Return the round of the faults that were under way at a moment, or were the last before it."""
    return max((struck.round for struck in history.struck if struck.since <= at), default=0)


def _not_as_told(history: History) -> Iterator[str]:
    refused = {(row.client, row.number) for row in history.rows if row.outcome == REFUSED}
    has = {
        contents.host: Counter(
            (client, number) for client, numbers in contents.rows.items() for number in numbers
        )
        for contents in history.contents
    }
    writer = has.get(history.writer, Counter())
    for host, rows in has.items():
        if twice := [key for key, times in rows.items() if times > 1]:
            yield f"{len(twice)} rows are on {host} more than once: {_keys(twice)}"
        if ghosts := refused & rows.keys():
            yield f"{len(ghosts)} rows were refused and are on {host}: {_keys(ghosts)}"
        if (differs := rows.keys() ^ writer.keys()) and not history.unhealed:
            yield f"{host} and {history.writer} differ in {len(differs)} rows: {_keys(differs)}"


def _not_kept(history: History, acknowledged: Sequence[Row]) -> Iterator[str]:
    """Yield what was thrown away and is in no saved file, or in one and yet on a host, and hosts that needed hands."""
    kept = {
        (client, number) for each in history.kept for client, rows in each.rows.items() for number in rows
    }
    has = {
        contents.host: {(client, number) for client, rows in contents.rows.items() for number in rows}
        for contents in history.contents
    }
    there = has.get(history.writer, set())
    gone = [key for row in acknowledged if (key := (row.client, row.number)) not in there and key not in kept]
    if gone:
        yield f"{len(gone)} rows are lost, and in no saved file: {_keys(gone)}"
    for host, rows in has.items():
        if both := kept & rows:
            yield f"{len(both)} rows are saved as thrown away, and yet on {host}: {_keys(both)}"
    for hand in history.hands:
        yield f"{hand.host} needed hands after round {hand.round}: {hand.why}"


def _gaps(history: History, acknowledged: Sequence[Row]) -> Iterator[Gap]:
    looks: dict[str, list[Look]] = defaultdict(list)
    for look in sorted(history.looks, key=lambda look: look.at):
        looks[look.host].append(look)
    last: dict[str, int] = {}
    for before, after in pairwise(acknowledged):
        last[before.client] = max(before.number, last.get(before.client, 0))
        since, until = before.answered, after.answered
        if until - since <= NOTICED:
            continue
        spans = [span for each in looks.values() for span in _candidate(history, each, last, since, until)]
        seconds = sum(end - begin for begin, end in merged(spans))
        causes = tuple(str(struck) for struck in _active(history, since, until, _LINGERS))
        if seconds:
            yield Gap(since, until, seconds, causes)


def _candidate(
    history: History, looks: Sequence[Look], last: Mapping[str, int], since: float, until: float
) -> Iterator[Span]:
    """Yield the spans between two looks at a master of which both showed a candidate."""
    first = bisect_left(looks, since, key=lambda look: look.at)
    end = bisect_right(looks, until, key=lambda look: look.at)
    for before, after in pairwise(looks[first:end]):
        if all(
            look.rows is not None and all(look.rows.get(client, 0) >= n for client, n in last.items())
            for look in (before, after)
        ) and not any(struck.host == before.host for struck in _active(history, before.at, after.at, 0.0)):
            yield before.at, after.at


def _active(history: History, since: float, until: float, lingers: float) -> list[Struck]:
    every = (*history.struck, *history.repairs)
    return [each for each in every if each.since <= until and each.until + lingers >= since]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans that touch as one."""
    found: list[Span] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def _named(rows: Iterable[Row]) -> str:
    return _keys((row.client, row.number) for row in rows)


def _keys(keys: Iterable[tuple[str, int]]) -> str:
    known = sorted(keys)
    return ", ".join(f"{client} {number}" for client, number in known[:5]) + (", …" if len(known) > 5 else "")


def _answered(row: Row) -> float:
    return row.answered


def _sent(row: Row) -> float:
    return row.sent
