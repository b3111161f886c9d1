"""What load balancers are told of this host: whether it holds a role, and how far it is behind (rule 15.2). Pure.

The worker makes a `Report` of what is assigned, of the lease and of its last look; it is judged when somebody asks, by
another process, which goes on when the worker is stopped. So a report says until when the writer role is held, and
the judgement needs no more than a clock:

    the writer   assigned, now before the end of its lease, and as last seen: address bound, server up and writable
    another role assigned, and as last seen: address bound, server up; what was seen counts for STALE seconds
    replica      as last seen: replication runs, and is no further behind than was asked for

A role counts as held where a look that began after it was assigned has found it so. An agent that was just started, and
was not told anything yet, goes by what is bound: it takes over what an earlier one had.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from mmm.agent.decide.core import Core
from mmm.agent.decide.plan import UNKNOWN
from mmm.agent.decide.seen import Seen, Server
from mmm.lease.rules import FOREVER, NEVER

STALE = 5.0
"""Seconds after which nothing counts any more that was seen, but for the writer's, which its lease decides about."""
VERSION = 1
"""Of the JSON."""
WRITER, READER, REPLICA = "writer", "reader", "replica"
"""Paths that there are in every cluster, whatever its roles are called."""


class Why(StrEnum):
    """What an answer rests on; the codes of docs/health.md."""

    HELD = "held"
    REPLICATES = "replicates"
    NOT_ASSIGNED = "not_assigned"
    LEASE_OVER = "lease_over"
    NOT_SEEN = "not_seen"
    AGENT_SILENT = "agent_silent"
    NOT_BOUND = "not_bound"
    SERVER_DOWN = "server_down"
    READ_ONLY = "read_only"
    NOT_REPLICATING = "not_replicating"
    BEHIND = "behind"


GOOD = frozenset({Why.HELD, Why.REPLICATES})


@dataclass(frozen=True, slots=True)
class Look:
    """What a look has seen that began at the moment `begun`, on the clock of leases."""

    begun: float
    seen: Seen


@dataclass(frozen=True, slots=True)
class Report:
    """What the worker knows. Moments are on the clock of leases."""

    host: str
    state: str
    until: float
    """When the lease of the active master role ends: NEVER where it is not held, FOREVER where it has no end."""
    roles: Mapping[str, float] = field(default_factory=dict)
    """The roles that this host is to hold, each with the moment since which it is."""
    looked: float = NEVER
    """When the last look began."""
    bound: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The addresses of each role that were bound then; roles of which none was are left out."""
    server: str = ""
    problem: str = ""
    writable: bool = False
    source: str = ""
    replicates: bool = False
    behind: int | None = None

    def encoded(self) -> bytes:
        """Return the report as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()


def decoded(word: bytes) -> Report:
    """Return the report in such a JSON text."""
    fields = json.loads(word)
    fields["bound"] = {role: tuple(ips) for role, ips in fields["bound"].items()}
    return Report(**fields)


def held_roles(core: Core, look: Look | None) -> frozenset[str]:
    """Return the names of the roles that this host is to hold, by order or because an earlier agent did."""
    if core.status.state != UNKNOWN:
        return frozenset(vip.role for vip in core.status.vips)
    bound = look.seen.bound if look is not None else frozenset()
    return frozenset(vip.role for vip in core.site.facts.vips if vip.ip in bound)


def reported(core: Core, look: Look | None, roles: Mapping[str, float]) -> Report:
    """Return what there is to report; `roles` are those held, with the moments since which they are."""
    host, state, until = core.site.facts.this, core.status.state, core.held.lease.until
    if look is None:
        return Report(host, state, until, dict(roles))
    seen, bound = look.seen, dict[str, tuple[str, ...]]()
    for vip in core.site.facts.vips:
        if vip.ip in seen.bound:
            bound[vip.role] = (*bound.get(vip.role, ()), vip.ip)
    source = seen.source
    return Report(
        host=host,
        state=state,
        until=until,
        roles=dict(roles),
        looked=look.begun,
        bound=bound,
        server=seen.server.value,
        problem=seen.problem,
        writable=seen.writable is True,
        source=source.ip if source else "",
        replicates=source is not None and source.replicates,
        behind=source.behind if source else None,
    )


class Question(NamedTuple):
    """What is asked: a role, REPLICA, or everything where the name is empty; how far behind it may be."""

    name: str
    lag: float | None = None


class Names(NamedTuple):
    """What may be asked for in a cluster: its roles by their names; the `writer` is the active master role."""

    roles: tuple[str, ...]
    writer: str

    def meant(self, name: str) -> tuple[str, ...]:
        """Return the roles that a path means: any of the others for `reader` where none is called so."""
        if name in self.roles:
            return (name,)
        if name == WRITER:
            return (self.writer,)
        return tuple(role for role in self.roles if role != self.writer) if name == READER else ()


def asked(target: str, names: Names) -> Question | None:
    """Return what is asked for by the target of a request; None where there is no such thing.

    Raises ValueError where `lag` is no number of seconds.
    """
    try:
        url = urlsplit(target)
    except ValueError:
        return None
    name = url.path.strip("/")
    if name not in {"", REPLICA} and not names.meant(name):
        return None
    given = parse_qs(url.query, keep_blank_values=True).get("lag")
    if given is None:
        return Question(name)
    if not given[-1].replace(".", "", 1).isdecimal() or not given[-1].isascii():
        raise ValueError(f"lag is a number of seconds, not {given[-1][:20]!r}")
    return Question(name, float(given[-1]))


def judged(report: Report, question: Question, names: Names, now: float) -> Why:
    """Return what is to be said of a role, or of replication."""
    if question.name == REPLICA and REPLICA not in names.roles:
        return _replica(report, question.lag, now)
    found = Why.NOT_ASSIGNED
    for role in names.meant(question.name):
        found = _role(report, role, names, now)
        if found is Why.HELD:
            break
    if found is not Why.HELD or question.lag is None or _writes(report, names, now):
        return found
    behind = _replica(report, question.lag, now)
    return found if behind is Why.REPLICATES else behind


def _writes(report: Report, names: Names, now: float) -> bool:
    """Tell whether nobody can be ahead of this host."""
    return _role(report, names.writer, names, now) is Why.HELD


def _role(report: Report, role: str, names: Names, now: float) -> Why:
    since = report.roles.get(role)
    if since is None:
        return Why.NOT_ASSIGNED
    writer = role == names.writer
    if writer and now >= report.until:
        return Why.NOT_ASSIGNED if report.until == NEVER else Why.LEASE_OVER
    if report.looked < since:
        return Why.NOT_SEEN
    if not writer and now > report.looked + STALE:
        return Why.AGENT_SILENT
    if role not in report.bound:
        return Why.NOT_BOUND
    if report.server != Server.UP.value:
        return Why.SERVER_DOWN
    return Why.READ_ONLY if writer and not report.writable else Why.HELD


def _replica(report: Report, lag: float | None, now: float) -> Why:
    if report.looked == NEVER:
        return Why.NOT_SEEN
    if now > report.looked + STALE:
        return Why.AGENT_SILENT
    if report.server != Server.UP.value:
        return Why.SERVER_DOWN
    if not report.replicates:
        return Why.NOT_REPLICATING
    behind = report.behind
    return Why.BEHIND if lag is not None and (behind is None or behind > lag) else Why.REPLICATES


class Verdict(NamedTuple):
    """What is answered of a role or of replication; the same one for as long as nothing changes."""

    host: str
    asked: str
    why: Why
    behind: int | None = None
    """Seconds, where that is why."""
    problem: str | None = None
    """Of the server, where that is why."""

    def fields(self) -> dict[str, Any]:
        """Return the fields of the answer; docs/health.md describes them."""
        fields: dict[str, Any] = {
            "host": self.host,
            "asked": self.asked,
            "ok": self.why in GOOD,
            "why": self.why.value,
        }
        if self.why is Why.BEHIND:
            fields["behind_seconds"] = self.behind
        if self.why is Why.SERVER_DOWN:
            fields["problem"] = self.problem
        return fields


def verdict(report: Report, question: Question, names: Names, now: float) -> Verdict:
    """Return what is answered to a question for a role or for replication."""
    why = judged(report, question, names, now)
    return Verdict(
        report.host,
        question.name,
        why,
        report.behind if why is Why.BEHIND else None,
        report.problem if why is Why.SERVER_DOWN else None,
    )


def unchanged_until(report: Report, now: float) -> float:
    """Return the moment before which the clock changes no verdict that is right `now`."""
    return min((each for each in (report.until, report.looked + STALE) if each >= now), default=FOREVER)


def looks(report: Report, now: float) -> bool:
    """Tell whether the agent still looks at its host."""
    return now <= report.looked + STALE


def everything(report: Report, names: Names, now: float) -> dict[str, Any]:
    """Return what is answered where nothing by name is asked for; docs/health.md describes the fields."""
    verdicts = {role: judged(report, Question(role), names, now) for role in names.roles}
    left = report.until - now
    held = report.until != NEVER
    return {
        "version": VERSION,
        "host": report.host,
        "state": report.state,
        "roles": {
            role: {"ok": why in GOOD, "why": why.value, "bound": list(report.bound.get(role, ()))}
            for role, why in verdicts.items()
        },
        "lease": {
            "held": held and left > 0,
            "for_good": report.until == FOREVER,
            "left_seconds": round(max(0.0, left), 1) if held and left < FOREVER else None,
        },
        "server": {"state": report.server, "problem": report.problem, "writable": report.writable},
        "replication": {
            "runs": report.replicates,
            "source": report.source,
            "behind_seconds": report.behind,
        },
        "looked_seconds_ago": None if report.looked == NEVER else round(now - report.looked, 1),
    }
