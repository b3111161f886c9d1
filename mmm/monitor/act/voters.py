"""Asking the voters: whom they follow, and whether they agree to a monitor (rule 14.2)."""

import asyncio
from collections.abc import Iterable, Mapping
from math import inf
from typing import NamedTuple

from mmm.config.agreement import VOTERS, digests
from mmm.config.model import Cluster, Host
from mmm.lease.lead import Lead, is_at
from mmm.lease.quorum import free_in, take
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.world.events import Answer
from mmm.wire import voting
from mmm.wire.agent import WireError
from mmm.wire.why import UNKNOWN_COMMAND, why

PATIENCE = 1.0
"""Seconds in which a voter answers, with the time to connect: one whose host is cut off holds nobody up for longer."""
_AGAIN = 0.25
"""Seconds until a voter that says nothing is asked again: a question, or its answer, may have been lost."""
_BRIEFLY = 0.1
"""Seconds for which those are waited for that have not answered the last time, where the others are enough."""
_SOON = 0.02
"""Seconds after the end of what voters are bound by: by then they say so themselves."""


class Looked(NamedTuple):
    """What agents say that were asked whom they follow."""

    said: Mapping[str, voting.Said]
    """Of each voter that answers."""
    classic: frozenset[str]
    """Hosts whose agents do not vote, as those of MMM 2.x."""
    free_at: float = inf
    """The moment at which enough voters come to be bound to nobody, by the clock of the loop; none where they are."""

    def pause(self, most: float, now: float) -> float:
        """Return for how many seconds, `most` or less, nothing new is to be seen."""
        return min(most, max(self.free_at - now, 0.0) + _SOON)

    def leader(self, monitors: tuple[str, ...]) -> str:
        """Return the address of the monitor that most voters follow, without port, empty where they follow none."""
        follows = [each.follows.address for each in self.said.values() if each.follows is not None]
        leader = max(set(follows), key=follows.count) if follows else ""
        return next((ip for ip in monitors if is_at(leader, ip)), "")

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Return the voters that answer and do not count: of those that are new where not all are."""
        new = tuple(name for name, each in self.said.items() if each.new)
        changed = tuple(name for name, each in self.said.items() if each.changed)
        return changed if len(new) == len(self.said) else tuple(dict.fromkeys((*new, *changed)))

    def followers(self, leader: str) -> tuple[str, ...]:
        """Return the voters that follow the monitor at this address."""
        return tuple(
            name
            for name, each in self.said.items()
            if leader and each.follows is not None and is_at(each.follows.address, leader)
        )


class Voters:
    """The agents of a cluster as one of several monitors asks them."""

    def __init__(self, conf: Cluster, agents: Agents) -> None:
        self._agents, self._digest = agents, {VOTERS: digests(conf)[VOTERS]}
        self._late = frozenset[str]()
        """Those that have not answered the last look."""
        self._classic = frozenset[str]()
        """Those that were of MMM 2.x when they answered last: such agents may be slow, and are always waited for."""

    async def put(self, host: Host, question: voting.Asked, limit: float = PATIENCE) -> Spoken:
        """Return what an agent answers to the question within `limit` seconds, those to connect among them."""
        request = voting.ask(host.name, question, self._digest)
        try:
            async with asyncio.timeout(limit):
                return await self._agents.ask(host, request, limit)
        except TimeoutError:
            return Spoken(Answer.SILENT, f"no answer to {request.command} within {limit:g} s")

    async def put_again(self, host: Host, question: voting.Asked, limit: float) -> Spoken:
        """Return the first answer of an agent within `limit` seconds, which is asked again while it says nothing."""
        loop, asking = asyncio.get_running_loop(), set[asyncio.Task[Spoken]]()
        until, due = loop.time() + limit, loop.time()
        try:
            while (now := loop.time()) < until:
                if now >= due:
                    asking.add(loop.create_task(self.put(host, question, until - now)))
                    due = min(now + _AGAIN, until)
                if not asking:
                    await asyncio.sleep(due - now)
                    continue
                done, asking = await asyncio.wait(
                    asking, timeout=due - now, return_when=asyncio.FIRST_COMPLETED
                )
                for spoken in (task.result() for task in done):
                    if spoken.reply is not None or spoken.closed:
                        return spoken
        finally:
            for task in asking:
                task.cancel()
        return Spoken(Answer.SILENT, f"no answer to {voting.LEAD} within {limit:g} s")

    async def look(self, conf: Cluster) -> Looked:
        """Return whom each voter follows, and which hosts that may be the writer do not vote.

        Those that have not answered the last time are hardly waited for where the others are enough to lead, or will
        be: they do not keep this monitor from noticing that.
        """
        names = tuple(dict.fromkeys((*conf.voters, *(host.name for host in conf.masters))))
        loop, question = asyncio.get_running_loop(), voting.Asked(None, 0)
        asking = {
            name: loop.create_task(self.put_again(conf.agents[name], question, PATIENCE)) for name in names
        }
        try:
            if prompt := {task for name, task in asking.items() if name not in self._late - self._classic}:
                await asyncio.wait(prompt)
            free_at = loop.time() + _free_in(conf, _looked(conf, asking))
            await asyncio.wait(asking.values(), timeout=max(_BRIEFLY, free_at - loop.time()))
            looked = _looked(conf, asking)
        finally:
            for task in asking.values():
                task.cancel()
        self._late = frozenset(name for name, task in asking.items() if not _has_answered(task))
        self._classic = looked.classic | (self._classic & self._late)
        unbound = sum(each.follows is None for each in looked.said.values())
        if unbound >= take(len(conf.voters)):
            return looked._replace(free_at=inf)
        return looked._replace(free_at=min(free_at, loop.time() + _free_in(conf, looked)))

    async def release(self, hosts: Iterable[Host], epoch: Lead) -> None:
        """Have these agents follow the epoch no more."""
        question = voting.Asked(epoch, 0)
        await asyncio.gather(*(self.put(host, question) for host in hosts))


def _looked(conf: Cluster, asking: Mapping[str, "asyncio.Task[Spoken]"]) -> Looked:
    """Return what those have said that have been heard by now."""
    answered = {name: task.result() for name, task in asking.items() if _has_answered(task)}
    heard = {name: said(answered[name]) for name in conf.voters if name in answered}
    told = {name: each for name, each in heard.items() if each is not None}
    classic = frozenset(name for name, one in answered.items() if _is_classic(one))
    return Looked(told, classic)


def _free_in(conf: Cluster, looked: Looked) -> float:
    return free_in((each.left for each in looked.said.values()), len(conf.voters))


def _has_answered(task: "asyncio.Task[Spoken]") -> bool:
    return task.done() and not task.cancelled() and task.result().reply is not None


def said(spoken: Spoken) -> voting.Said | None:
    """Return what a voter says; None where it does not answer, or does not vote."""
    if spoken.reply is None or _is_classic(spoken):
        return None
    try:
        return voting.said(spoken.reply)
    except WireError:
        return None


def _is_classic(spoken: Spoken) -> bool:
    """Tell whether an agent does not know the question, as one of MMM 2.x."""
    return spoken.reply is not None and why(spoken.reply) == UNKNOWN_COMMAND
