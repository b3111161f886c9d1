"""What is looked at before the active master role is moved by order: is the new host ready for it (rule 11.7).

A move that would leave nobody to write for longer than a moment, or would end a client's long work, is not begun.
`move_role --force` begins it all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from mmm.config.model import Vip
from mmm.monitor.assess import promotion, readiness, slaves_first
from mmm.monitor.world.host import State
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.warnings import Warned
from mmm.monitor.world.world import World
from mmm.wire.questions import Clients

PROMPT = 1.0
"""Seconds in which an agent has answered, unless it is at something that a move would have to wait for."""
CAUGHT_UP = 1.0
"""Seconds that the new host may be behind; it applies the rest while nobody writes."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found just before a move; the checks of both hosts were run anew for it too."""

    clients: Clients | None = None
    """The clients of the old holder; None where its agent does not tell, as agents of MMM 2.x do not."""
    silence: str = ""
    """Why the old holder's agent did not answer."""

    @property
    def clients_at_rest(self) -> tuple[str, ...]:
        """Return what is said of clients that do nothing and hold others up, and of those that are held up."""
        clients = self.clients
        said: list[str] = []
        if clients is not None and clients.idle:
            many = "1 idle session holds" if clients.idle == 1 else f"{clients.idle} idle sessions hold"
            said.append(
                f"{many} a transaction open and would be ended and rolled back: the longest has been idle"
                f" for {clients.idle_for:.0f} s, {clients.idle_who}"
            )
        if clients is not None and clients.waiting:
            many = "1 session waits" if clients.waiting == 1 else f"{clients.waiting} sessions wait"
            said.append(
                f"{many} for a lock, the first for {clients.waited:.0f} s: see SHOW PROCESSLIST for who holds it"
            )
        return tuple(said)


class Objection(Said):
    """Why the role should not be moved now."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "server_silent": "the server of {host} does not answer: {check}",
        "agent_refuses": "the agent of {host} answers '{answer}'",
        "agent_at_work": "the agent of {host} has not answered the last order, {seconds:.0f} s ago: see its log",
        "lacks": "{host}: {why}",
        "not_replicating": lambda of: (
            f"replication of {of['host']} does not run: {of['check']}{'; ' if of['gap'] else ''}{of['gap'] or ''}"
        ),
        "not_connected": "replication of {host} is not connected to its source: {check}",
        "behind": "{host} is behind: {check}",
        "behind_unknown": "how far {host} is behind is not known: {check}",
        "behind_by": "{host} is {seconds:g} s behind, a move needs at most {limit:g} s",
        "no_way_back": (
            "replication of {host} does not run and uses no GTID, so it could not take the role back if the"
            " move failed: {check}"
        ),
        "agent_silent": "the agent of {host} cannot be told to let go: {why}",
        "long_transaction": (
            "{who} of {host} has been writing in one transaction for {seconds:.0f} s and would be ended after {grace} s"
            " (max_kill_retries)"
        ),
        "clients_at_rest": "{host}: {said}",
    }


def objections(
    world: World, vip: Vip, target: str, looked: Looked | None, now: float
) -> tuple[Said | Warned, ...]:
    """Return why the role should not be moved to the host now."""
    source = world.owner[vip]
    against: list[Said | Warned] = [
        *_server(world, target),
        *_agent(world, target),
        *_unanswered(world, target, now),
        *readiness.against(world, target),
    ]
    if source is None or world.hosts[source].state is not State.ONLINE:  # nobody can be asked what is missing
        lacks = promotion.lacks(world, target)
        return (*against, *([Objection("lacks", {"host": target, "why": lacks})] if lacks else ()))
    against += [
        *_replication(world, target, source),
        *_server(world, source),
        *_unanswered(world, source, now),
        *_way_back(world, source),
        *slaves_first.too_slow(world, CAUGHT_UP),
        *_clients(world, source, looked),
    ]
    return tuple(against)


def _server(world: World, name: str) -> Iterator[Objection]:
    check = world.hosts[name].checks["mysql"]
    if check.failed or check.error_since is not None:
        yield Objection("server_silent", {"host": name, "check": check.finding})


def _agent(world: World, name: str) -> Iterator[Objection]:
    """Yield that the new holder's agent cannot do what it is told even now."""
    if refusal := world.hosts[name].agent.refusal:
        yield Objection("agent_refuses", {"host": name, "answer": refusal})


def _unanswered(world: World, name: str, now: float) -> Iterator[Objection]:
    """Yield that the next order to a host has to wait, for its agent has not answered the last one."""
    link = world.hosts[name].agent
    if link.in_flight is not None and now - link.in_flight.at > PROMPT:
        yield Objection("agent_at_work", {"host": name, "seconds": now - link.in_flight.at})


def _replication(world: World, name: str, source: str) -> Iterator[Objection]:
    host = world.hosts[name]
    threads, backlog, behind = host.checks["rep_threads"], host.checks["rep_backlog"], host.progress.behind
    if threads.failed or threads.error_since is not None:
        gap = promotion.gap_to(world, name, source)
        yield Objection("not_replicating", {"host": name, "check": threads.finding, "gap": gap})
    elif host.replication.connecting_since is not None:
        yield Objection("not_connected", {"host": name, "check": threads.finding})
    elif backlog.failed or backlog.error_since is not None:
        yield Objection("behind", {"host": name, "check": backlog.finding})
    elif backlog.unknown:
        yield Objection("behind_unknown", {"host": name, "check": backlog.finding})
    elif behind is not None and behind.seconds > CAUGHT_UP:
        yield Objection("behind_by", {"host": name, "seconds": behind.seconds, "limit": CAUGHT_UP})


def _way_back(world: World, name: str) -> Iterator[Objection]:
    """Yield whether the old holder could be unable to take the role back: it has to have what the new one has."""
    host = world.hosts[name]
    threads = host.checks["rep_threads"]
    if not host.replication.uses_gtid and (threads.failed or threads.error_since is not None):
        yield Objection("no_way_back", {"host": name, "check": threads.finding})


def _clients(world: World, name: str, looked: Looked | None) -> Iterator[Objection]:
    if looked is None:
        return
    if looked.silence:
        yield Objection("agent_silent", {"host": name, "why": looked.silence})
        return
    grace, clients = world.conf.max_kill_retries, looked.clients
    if clients is None or clients.oldest <= grace:
        return
    who = clients.who or "a client"
    yield Objection("long_transaction", {"host": name, "who": who, "seconds": clients.oldest, "grace": grace})
    for said in looked.clients_at_rest:
        yield Objection("clients_at_rest", {"host": name, "said": said})
