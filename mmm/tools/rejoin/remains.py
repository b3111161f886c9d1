"""What a job that is given up leaves, and how that is said. Pure."""

from dataclasses import dataclass

from mmm.tools.rejoin.journal import Journal, Step


@dataclass(frozen=True, slots=True)
class Remains:
    """What the host has."""

    has: str
    """Its transactions, by GTID."""
    follows: str
    """The address of the server that it replicates from; empty: it does not."""


def left_as_it_is(journal: Journal, remains: Remains) -> list[str]:
    """Return what a host has whose job is given up, what was put aside and where, and what to do, line by line."""
    host = journal.host
    origin = "its own data, rewound" if journal.rewound else f"a copy of {journal.backup or journal.donor}"
    source = f"replicates from {remains.follows}" if remains.follows else "does not replicate"
    what = f"{host} stays as it is, on {origin}, has {remains.has}, and {source}"
    lines = [f"job {journal.job} is given up: {what}"]
    if journal.emptied and not journal.old:
        lines.append("what it had before is removed: there was no room beside it")
    if aside := [path for path in ("" if journal.rewound else journal.old, journal.old_log) if path]:
        lines.append(f"what it had before is in {' and '.join(aside)}, kept for good")
    if journal.saved:
        lines.append(f"what only it had is in {journal.saved}")
    if journal.rewound and Step.CATCH_UP not in journal.done:
        lines.append(f"its rows were not compared with those of {journal.source} after the rewind")
    if journal.highest and Step.NUMBERS not in journal.done:
        lines.append(
            f"up to {journal.highest} was thrown away, and new transactions may get such numbers again"
        )
    lines.append(
        f"the monitor compares it before it is in use again; mmm_rejoin on {host} brings it back once there is an"
        " active master"
    )
    return lines
