"""Makes the tables of docs/monitors.md: `python -m pages.monitors`, run at the root of the tree.

How many voters it takes is what `mmm.lease.quorum` says. Each failure names the faults of the sandbox by which it is
made, and the warnings by which people hear of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmm.lease.quorum import MOST_VOTERS, keep, take
from mmm.lease.rules import LONGEST_MARGIN

PAGE = Path("docs/monitors.md")
END = "<!-- End of the table -->\n"
_FOLLOWED = f"another one leads after `lead_lease` and {LONGEST_MARGIN:g} s"


class Failure(NamedTuple):
    """A failure: what it is called, what happens then, and what makes it in a sandbox and is heard of it."""

    name: str
    follows: str
    faults: tuple[str, ...] = ()
    """Names of `mmm.sandbox.trouble.faults`."""
    warns: tuple[str, ...] = ()
    """Codes of `mmm.monitor.world.warnings`."""


FAILURES = (
    Failure("the leader is stopped in order, or hands over", "another one leads within two seconds"),
    Failure(
        "the leader is killed, its host dies", f"{_FOLLOWED}; clients notice nothing",
        ("kill-monitor",), ("monitor_silent",),
    ),
    Failure(
        "the leader freezes, or its virtual machine is paused",
        "the same; when it goes on no agent obeys it, and it stands by",
        ("freeze-monitor",), ("monitor_silent",),
    ),
    Failure(
        "the leader is cut off from the hosts",
        "the same; it stands by once its last agreement is `lead_lease` old",
        ("cut-monitor",), ("monitor_silent",),
    ),
    Failure(
        "a monitor that stands by dies, freezes or is cut off", "nothing moves",
        ("kill-monitor", "freeze-monitor", "cut-monitor"), ("monitor_silent",),
    ),
    Failure(
        "a witness dies or is cut off", "nothing moves: there is one vote less",
        ("kill-agent", "power-off", "cut"), ("witness_silent",),
    ),
    Failure(
        "the monitors cannot reach each other, but still reach the hosts", "nothing: the leader stays",
        ("cut-monitors-apart",), ("monitor_silent",),
    ),
    Failure(
        "the leader's wall clock is set", "nothing: no wall clock counts", ("monitor-clock",),
    ),
    Failure(
        "the leader and the writer's server die together", "another one leads, then the failover as usual",
        ("kill-monitor", "kill-mysqld"),
    ),
    Failure(
        "the leader and the writer's host die together",
        "the same; the new leader waits until a lease from its beginning on is over",
        ("kill-monitor", "cut"),
    ),
    Failure(
        "so many voters are gone at once that none can be followed, and no monitor reaches more of them",
        "the leader stays while all other monitors see it and say so",
        ("kill-agent", "cut"), ("no_successor",),
    ),
    Failure(
        "the same, and a monitor is gone too",
        "nobody leads: nothing fails over, and a writer whose peer is gone too loses its VIP when its lease is over. A"
        " standby's `explain` names the voters that are missing",
        ("kill-agent", "cut"), ("no_leader",),
    ),
    Failure(
        "fewer voters answer than it takes to lead",
        "the leader stays while enough are left to keep it; no other could take over",
        ("kill-agent", "cut"), ("no_successor",),
    ),
    Failure(
        "all monitors are dead",
        "as with one monitor: the writer stays by the masters' promises, nothing fails over",
        ("kill-monitor",),
    ),
    Failure(
        "the network parts the hosts",
        "who reaches enough voters leads; on the other side the writer's lease ends",
        ("cut", "cut-from-monitor"),
    ),
)  # fmt: skip


def failures() -> str:
    """Return the table of failures."""
    rows = "".join(
        f"| {each.name} | {each.follows} | {', '.join(f'`{code}`' for code in each.warns)} |\n"
        for each in FAILURES
    )
    return f"| failure | what happens | warning |\n|---|---|---|\n{rows}"


def voters() -> str:
    """Return the table of how many voters it takes."""
    rows = "".join(
        f"| {number} | {take(number)} | {keep(number)} |\n" for number in range(1, MOST_VOTERS + 1)
    )
    return f"| voters | to take the lead | to keep it |\n|---|---|---|\n{rows}"


_TABLES: tuple[tuple[str, Callable[[], str]], ...] = (
    ("<!-- The table of mmm/lease/quorum.py; made by python -m pages.monitors -->\n", voters),
    ("<!-- The table of pages/monitors.py; made by python -m pages.monitors -->\n", failures),
)


def with_tables(page: str) -> str:
    """Return the page with the tables as they are now; raises ValueError where the place of one is not marked."""
    for mark, table in _TABLES:
        before, begin, rest = page.partition(mark)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise ValueError(f"{PAGE}: a table's place is not marked by {mark!r} and {END!r}")
        page = before + begin + table() + end + after
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
