"""A verdict in words: what was done, what the clients were told, what was broken, how long there was no writer."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from mmm.proving.chaos.checker import Gap, Verdict
from mmm.proving.chaos.history import History
from mmm.proving.outcomes import ACKNOWLEDGED

_MOST_SHOWN = 10


def report(history: History, verdict: Verdict) -> str:
    """Return the report as lines of text."""
    return "\n".join([*_done(history, verdict), *_findings(history, verdict), *_gaps(verdict.gaps)])


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
    yield from _listed("rows acknowledged by a host without the VIP", strays)
    yield from _listed("times in which two hosts had the VIP", verdict.two_holders)
    yield from _listed("losses that were not said", verdict.unannounced)
    yield from _listed("contradictions to what clients were told", verdict.not_as_told)
    yield from _listed("times in which the cluster did not become healthy", verdict.unhealed)
    yield (
        f"{verdict.announced} acknowledged rows were lost as MMM said, {verdict.unquantified} of them when it said"
        " that it does not know how many"
    )
    if not verdict.clean and "command" in history.about:
        yield f"again: {history.about['command']}"


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
