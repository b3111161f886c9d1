"""What a run of chaos leaves to be judged: every row that was tried, every fault, what hosts and logs showed.

All moments are of the monotonic clock, which the machines of a sandbox share. On disk it is a file of JSON lines.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmm.proving.announced import Announced

STALL = "stall"
"""Among the repairs: a time in which the machine that the sandbox is on was busy otherwise."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that the client on a machine tried to write through the writer's VIP, once."""

    client: str
    number: int
    sent: float
    answered: float
    outcome: str
    server: str = ""
    """Who acknowledged it, as the server said in the answer to the very statement."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault, from the moment before it was done to the moment after it was undone."""

    fault: str
    host: str
    since: float
    until: float
    round: int = 0
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.fault} {self.host} for {self.until - self.since:.1f} s"


@dataclass(frozen=True, slots=True)
class Held:
    """A time in which the writer's VIP was bound on a host, as its kernel told it.

    Of a role without an address, one in which its lease ran there; or in which it told a load balancer so.
    """

    host: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Led:
    """A time in which a monitor, one of several, said that it leads."""

    monitor: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Hand:
    """A host that did not come back by itself after a round, and what it was then."""

    host: str
    why: str
    round: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows that a host has saved when it was rebuilt, because it alone had them: of each client the numbers."""

    host: str
    folder: str
    transactions: int
    rows: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Said:
    """A line of a daemon's log, at the moment at which it was read there: the daemons' wall clocks are shifted."""

    machine: str
    at: float
    line: str


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a master from the client's machine: the highest number it has of each client.

    None where its server did not answer in time.
    """

    host: str
    at: float
    rows: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a host has at the end: of each client the numbers, a number that is there twice twice."""

    host: str
    rows: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class History:
    """A whole run; `writer` is the writer at its end, `about` says what was run: seed, server, conf."""

    about: Mapping[str, Any]
    writer: str
    rows: tuple[Row, ...] = ()
    struck: tuple[Struck, ...] = ()
    repairs: tuple[Struck, ...] = ()
    """What was no fault and can keep a writer away all the same: copies of data to a host, STALL."""
    held: tuple[Held, ...] = ()
    answered: tuple[Held, ...] = ()
    """Where load balancers ask who the writer is: when they were told so."""
    led: tuple[Led, ...] = ()
    said: tuple[Said, ...] = ()
    """For people: nothing is judged by it."""
    announced: tuple[Announced, ...] = ()
    hands: tuple[Hand, ...] = ()
    kept: tuple[Kept, ...] = ()
    looks: tuple[Look, ...] = ()
    contents: tuple[Contents, ...] = ()
    unhealed: tuple[str, ...] = field(default=())
    """What was not well long after everything was healed."""


_KINDS: Mapping[str, type] = {
    "rows": Row, "struck": Struck, "repairs": Struck, "held": Held, "answered": Held,
    "led": Led, "said": Said, "announced": Announced,
    "hands": Hand, "kept": Kept, "looks": Look, "contents": Contents,
}  # fmt: skip


def write(history: History, path: Path) -> None:
    """Write it to a file; raises OSError."""
    head = {"about": history.about, "writer": history.writer, "unhealed": history.unhealed}
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head) + "\n")
        for kind in _KINDS:
            for each in getattr(history, kind):
                file.write(json.dumps([kind, asdict(each)]) + "\n")


def read(path: Path) -> History:
    """Return what a file tells; raises OSError, ValueError."""
    found: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    with path.open(encoding="utf-8") as file:
        head = json.loads(file.readline())
        for kind, fields in map(json.loads, file):
            found[kind].append(_KINDS[kind](**fields))
    return History(head["about"], head["writer"], unhealed=tuple(head["unhealed"]), **_frozen(found))


def _frozen(found: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
    return {kind: tuple(each) for kind, each in found.items()}
