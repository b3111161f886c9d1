"""What an agent says of a job that rebuilds its host, and how one is ordered (rule 4): no sockets.

    reply     …|JOB:KIND:DONOR:STEP:PERCENT:LEFT|…        one runs; PERCENT and LEFT (seconds) are empty where not known
              …|JOB:KIND:DONOR:STEP:::broken_off|…        its process has ended, and there is more to do
              …|ENDED:NAME:KIND:DONOR:RESULT:MS:COUNT:FOLDER|…   the last one, for a while after its end

Agents and monitors of MMM 2.x neither send nor read it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from mmm.wire.agent import Reply, sayable

_BROKEN_OFF = "broken_off"
_JOB = re.compile(
    r"JOB:(?P<kind>[a-z_]{1,40}):(?P<donor>[A-Za-z0-9_.-]{0,255}):(?P<step>[a-z_]{0,40})"
    r":(?P<percent>[0-9]{0,3}):(?P<left>[0-9]{0,9})(?::(?P<broken>broken_off))?"
)
_ENDED = re.compile(
    r"ENDED:(?P<name>[A-Za-z0-9_.-]{1,300}):(?P<kind>[a-z_]{1,40}):(?P<donor>[A-Za-z0-9_.-]{0,255})"
    r":(?P<result>[a-z_]{1,40}):(?P<ms>[0-9]{1,12}):(?P<count>[0-9]{1,15}):(?P<folder>[^|]{0,500})"
)


class Kind(StrEnum):
    """What gives a host other data; the program of the same name goes on with it. Old agents tell all as a rejoin."""

    REJOIN = "rejoin"
    CLONE = "clone"
    """A new host gets a copy: it has nothing to save."""
    RESTORE = "restore"
    """The data come from a backup; without a source it follows nobody afterwards."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that has not ended."""

    kind: str
    """Of `Kind`."""
    donor: str
    step: str
    """What it is at; empty where that is not known."""
    percent: int | None = None
    """How far that is; None: not known."""
    left: float | None = None
    """Seconds that are left of that; None: not known."""
    broken_off: bool = False
    """Its process has ended: it goes on when the same command is run again."""


class Result(StrEnum):
    """How a job has ended."""

    DONE = "done"
    TAKEN_BACK = "taken_back"
    """All is as it was before."""
    LEFT = "left"
    """It was given up after the host's data had changed: the host is left as it is."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended."""

    name: str
    """`HOST-YYYYMMDD-HHMMSS`: no two have the same."""
    kind: str
    donor: str
    result: Result
    seconds: float = 0.0
    """How long its last run took."""
    count: int = 0
    """Transactions that only this host had, and that were saved."""
    folder: str = ""
    """Where they are; empty: there were none."""


def job_fields(job: Job | None) -> tuple[str, ...]:
    """Return the reply field that tells of it."""
    if job is None:
        return ()
    percent = "" if job.percent is None else f"{min(max(job.percent, 0), 100)}"
    left = "" if job.left is None else f"{max(job.left, 0.0):.0f}"
    broken = [_BROKEN_OFF] * job.broken_off
    field = f"JOB:{':'.join((job.kind, job.donor, job.step, percent, left, *broken))}"
    if not _JOB.fullmatch(field):  # the files of the job are damaged, but there is one
        field = f"JOB:{':'.join((job.kind, '', '', '', '', *broken))}"
    return (field,)


def job_in(reply: Reply) -> Job | None:
    """Return the job that the reply tells of, None where it tells of none."""
    found = next((match for field in reply.fields if (match := _JOB.fullmatch(field))), None)
    if found is None:
        return None
    percent, left = found["percent"], found["left"]
    return Job(
        found["kind"],
        found["donor"],
        found["step"],
        int(percent) if percent else None,
        float(left) if left else None,
        found["broken"] is not None,
    )


def ended_fields(ended: Ended | None) -> tuple[str, ...]:
    """Return the reply field that tells of it."""
    if ended is None:
        return ()
    ms = round(1000 * ended.seconds)
    parts = (ended.name, ended.kind, ended.donor, ended.result, f"{ms}", f"{ended.count}", ended.folder)
    return (sayable(f"ENDED:{':'.join(parts)}"),)


def ended_in(reply: Reply) -> Ended | None:
    """Return the job that has ended, as the reply tells; None where it tells of none that can be read."""
    found = next((match for field in reply.fields if (match := _ENDED.fullmatch(field))), None)
    if found is None or found["result"] not in set(Result):
        return None
    return Ended(
        found["name"],
        found["kind"],
        found["donor"],
        Result(found["result"]),
        int(found["ms"]) / 1000,
        int(found["count"]),
        found["folder"],
    )
