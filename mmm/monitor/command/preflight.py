"""What is looked at before the active master role is moved by order: is the new host ready for it (rule 11.7).

A move that would leave nobody to write for longer than a moment, or would end a client's long work, is not begun.
`move_role --force` begins it all the same.
"""

from dataclasses import dataclass

from mmm.config.model import Vip
from mmm.monitor.assess import promotion, readiness, slaves_first
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from mmm.wire.agent import Clients

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
                f"{many} a transaction open and would be ended, what is not committed rolled back: the longest has been"
                f" idle for {clients.idle_for:.0f} s, {clients.idle_who}"
            )
        if clients is not None and clients.waiting:
            many = "1 session waits" if clients.waiting == 1 else f"{clients.waiting} sessions wait"
            said.append(
                f"{many} for a lock, the first for {clients.waited:.0f} s: see SHOW PROCESSLIST for who holds it"
            )
        return tuple(said)


@dataclass(frozen=True, slots=True)
class Hosts:
    """The two hosts that have to be looked at before a move; nobody may hold the role."""

    source: str | None
    target: str


def to_look_at(world: World, role: str, host: str) -> Hosts | None:
    """Return what a move of the role to the host has to be preceded by looking at, None for nothing."""
    found = world.conf.roles.get(role)
    if found is None or role != world.conf.active_master_role or host not in found.hosts:
        return None
    source = world.owner[found.vips[0]]
    return Hosts(None if source == host else source, host)


def objections(world: World, vip: Vip, target: str, looked: Looked | None, now: float) -> tuple[str, ...]:
    """Return why the role should not be moved to the host now, a sentence each."""
    source = world.owner[vip]
    against = [
        *_server(world, target),
        *_agent(world, target),
        *_unanswered(world, target, now),
        *readiness.against(world, target),
    ]
    if source is None or world.hosts[source].state is not State.ONLINE:  # nobody can be asked what is missing
        lacks = promotion.lacks(world, target)
        return (*against, *([f"{target}: {lacks}"] if lacks else ()))
    against += [
        *_replication(world, target, source),
        *_server(world, source),
        *_unanswered(world, source, now),
        *_way_back(world, source),
        *slaves_first.too_slow(world, CAUGHT_UP),
        *_clients(world, source, looked),
    ]
    return tuple(against)


def _server(world: World, name: str) -> list[str]:
    check = world.hosts[name].checks["mysql"]
    bad = check.failed or check.error_since is not None
    return [f"the server of {name} does not answer: {check.message}"] if bad else []


def _agent(world: World, name: str) -> list[str]:
    """Say that the new holder's agent cannot do what it is told even now."""
    refusal = world.hosts[name].agent.refusal
    return [f"the agent of {name} answers '{refusal}'"] if refusal else []


def _unanswered(world: World, name: str, now: float) -> list[str]:
    """Say that the next order to a host has to wait, for its agent has not answered the last one."""
    link = world.hosts[name].agent
    if link.sent is None or now - link.sent_at <= PROMPT:
        return []
    return [
        f"the agent of {name} has not answered the last order, {now - link.sent_at:.0f} s ago: see its log"
    ]


def _replication(world: World, name: str, source: str) -> list[str]:
    host = world.hosts[name]
    threads, backlog = host.checks["rep_threads"], host.checks["rep_backlog"]
    if threads.failed or threads.error_since is not None:
        gap = promotion.gap_to(world, name, source)
        return [f"replication of {name} does not run: {threads.message}{f'; {gap}' if gap else ''}"]
    if host.connecting_since is not None:
        return [f"replication of {name} is not connected to its source: {threads.message}"]
    if backlog.failed or backlog.error_since is not None:
        return [f"{name} is behind: {backlog.message}"]
    if backlog.unknown:
        return [f"how far {name} is behind is not known: {backlog.message}"]
    if host.behind is not None and host.behind > CAUGHT_UP:
        return [f"{name} is {host.behind:g} s behind, a move wants {CAUGHT_UP:g} s at most"]
    return []


def _way_back(world: World, name: str) -> list[str]:
    """Say whether the old holder could be unable to take the role back: it has to have what the new one has."""
    host = world.hosts[name]
    threads = host.checks["rep_threads"]
    if host.uses_gtid or not (threads.failed or threads.error_since is not None):
        return []
    why = "so that it could not take the role back if the move failed"
    return [f"replication of {name} does not run and is without GTID, {why}: {threads.message}"]


def _clients(world: World, name: str, looked: Looked | None) -> list[str]:
    if looked is None:
        return []
    if looked.silence:
        return [f"the agent of {name} cannot be told to let go: {looked.silence}"]
    grace, clients = world.conf.max_kill_retries, looked.clients
    if clients is None or clients.oldest <= grace:
        return []
    long = f"has been writing in one transaction for {clients.oldest:.0f} s"
    return [
        f"{clients.who or 'a client'} of {name} {long} and would be ended after {grace} s (max_kill_retries)",
        *(f"{name}: {said}" for said in looked.clients_at_rest),
    ]
