"""A verdict in words: what was done, what the clients were told, what was broken, how long there was no writer."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmm.proving.chaos.checker import Gap, Loss, Verdict
from mmm.proving.chaos.history import History
from mmm.proving.chaos.leaders import leaderless, told
from mmm.proving.outcomes import ACKNOWLEDGED

_MOST_SHOWN = 10


def report(history: History, verdict: Verdict) -> str:
    """Return the report as lines of text."""
    parts = (
        _done(history, verdict),
        _findings(history, verdict),
        _costs(history, verdict),
        _gaps(verdict.gaps),
        told(history, leaderless(history)),
    )
    return "\n".join(line for part in parts for line in part)


def _done(history: History, verdict: Verdict) -> Iterator[str]:
    about = history.about
    yield f"seed {about.get('seed')}, {about.get('server')}, {about.get('seconds')} s"
    faults = Counter(struck.fault for struck in history.struck)
    named = ", ".join(f"{count} {fault}" for fault, count in faults.most_common())
    yield f"{sum(faults.values())} faults: {named}"
    tried = Counter(row.client for row in history.rows)
    told = Counter(row.client for row in history.rows if row.outcome == ACKNOWLEDGED)
    clients = ", ".join(f"{client} {told[client]} of {count}" for client, count in sorted(tried.items()))
    yield f"{sum(told.values())} rows acknowledged, of those tried by the client on {clients}"
    servers = ", ".join(f"{server} {count}" for server, count in sorted(verdict.acknowledged.items()))
    yield f"by {servers or 'nobody'}, in {verdict.reigns} reigns"


def _findings(history: History, verdict: Verdict) -> Iterator[str]:
    yield from _listed("times in which two servers acknowledged writes", verdict.two_writers)
    strays = [f"{row.client} {row.number} by {row.server} at {row.answered:.3f}" for row in verdict.strays]
    what = "the VIP" if history.about.get("bound", True) else "the role"
    yield from _listed(f"rows acknowledged by a host without {what}", strays)
    yield from _listed(f"times in which two hosts had {what}", verdict.two_holders)
    yield from _listed("losses of which too little or nothing was said", verdict.wrong_losses)
    yield from _listed("contradictions to what clients were told", verdict.not_as_told)
    if history.about.get("auto_rejoin"):
        count = sum(kept.transactions for kept in history.kept)
        yield f"{len(history.kept)} rebuilt hosts have saved {count} transactions that they alone had"
        yield from _listed("contradictions to what was saved, and hosts that needed hands", verdict.not_kept)
    yield from _listed("times in which the cluster did not become healthy", verdict.unhealed)
    if not verdict.clean and "command" in history.about:
        yield f"again: {history.about['command']}"


def _costs(history: History, verdict: Verdict) -> Iterator[str]:
    """Yield what the faults of a round cost: rows, what MMM said of them at first, and hosts that needed hands."""
    rounds: dict[int, set[str]] = defaultdict(set)
    for struck in history.struck:
        rounds[struck.round].add(struck.fault)
    named = {number: " + ".join(sorted(faults)) for number, faults in rounds.items()}
    costs: dict[str, Cost] = defaultdict(Cost)
    for name in named.values():
        costs[name].rounds += 1
    for loss in verdict.losses:
        costs[named.get(loss.round, "")].add(loss)
    for hand in history.hands:
        costs[named.get(hand.round, "")].hands += 1
    whole = Cost(len(rounds))
    for loss in verdict.losses:
        whole.add(loss)
    whole.hands = len(history.hands)
    yield f"{'lost, and what was said at first':<44}{_COSTS}"
    yield f"    {'all':<40}{whole}"
    for name, cost in sorted(costs.items(), key=lambda item: (-item[1].lost, item[0])):
        if cost.failovers or cost.lost or cost.hands:
            yield f"    {name:<40}{cost}"


_COSTS = "rounds  losses said  rows lost  at most  unknown  of these lost  hands"


@dataclass(slots=True)
class Cost:
    """What the rounds of some faults came to."""

    rounds: int = 0
    failovers: int = 0
    """Losses that were said or found."""
    lost: int = 0
    """Acknowledged rows."""
    most: int = 0
    """The sum of the upper bounds."""
    unknown: int = 0
    """Losses of which MMM said that it does not know."""
    lost_unknown: int = 0
    """Acknowledged rows that were lost in these."""
    hands: int = 0
    """Hosts that did not come back by themselves."""

    def add(self, loss: Loss) -> None:
        """Count a loss in."""
        most = loss.said[0].most if loss.said else 0
        self.failovers += 1
        self.lost += len(loss.rows)
        self.most += most or 0
        self.unknown += most is None
        self.lost_unknown += len(loss.rows) * (most is None)

    def __str__(self) -> str:
        return (
            f"{self.rounds:>6}{self.failovers:>13}{self.lost:>11}{self.most:>9}{self.unknown:>9}"
            f"{self.lost_unknown:>15}{self.hands:>7}"
        )


def _listed(what: str, found: Sequence[object]) -> Iterator[str]:
    yield f"{len(found)} {what}"
    yield from (f"    {each}" for each in found[:_MOST_SHOWN])
    if len(found) > _MOST_SHOWN:
        yield f"    and {len(found) - _MOST_SHOWN} more"


def _gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    seconds = sum(gap.candidate for gap in gaps)
    yield f"{seconds:.1f} s without a writer, in {len(gaps)} gaps, while there was a candidate"
    by_cause: dict[str, list[float]] = defaultdict(list)
    for gap in gaps:
        causes = sorted({cause.split(" for ")[0].split()[0] for cause in gap.causes})
        by_cause[" + ".join(causes) or "nothing broken any more"].append(gap.candidate)
    for cause, each in sorted(by_cause.items(), key=lambda item: -sum(item[1])):
        yield f"    {cause:<40} {len(each):>4} gaps {sum(each):>7.1f} s, the longest {max(each):.1f} s"
