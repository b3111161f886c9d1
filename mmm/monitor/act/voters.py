"""Asking the voters: whom they follow, and whether they agree to a monitor (rule 14.2)."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from mmm.config.agreement import VOTERS, digests
from mmm.config.model import Cluster, Host
from mmm.lease.lead import Lead
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.spoken import Spoken
from mmm.wire import voting
from mmm.wire.agent import WireError
from mmm.wire.why import UNKNOWN_COMMAND, why

PATIENCE = 1.0
"""Seconds in which a voter answers."""


class Looked(NamedTuple):
    """What agents say that were asked whom they follow."""

    said: Mapping[str, voting.Said]
    """Of each voter that answers."""
    classic: frozenset[str]
    """Hosts whose agents do not vote, as those of MMM 2.x."""

    def leader(self, monitors: tuple[str, ...]) -> str:
        """Return the address of the monitor that most voters follow, without port, empty where they follow none."""
        follows = [each.follows.address for each in self.said.values() if each.follows is not None]
        leader = max(set(follows), key=follows.count) if follows else ""
        return next((ip for ip in monitors if leader.startswith(_port_of(ip))), "")

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Return the voters that answer and do not count: of those that are new where not all are."""
        new = tuple(name for name, each in self.said.items() if each.new)
        changed = tuple(name for name, each in self.said.items() if each.changed)
        return changed if len(new) == len(self.said) else tuple(dict.fromkeys((*new, *changed)))

    def followers(self, leader: str) -> tuple[str, ...]:
        """Return the voters that follow the monitor at this address."""
        begins = _port_of(leader)
        return tuple(
            name
            for name, each in self.said.items()
            if leader and each.follows is not None and each.follows.address.startswith(begins)
        )


class Voters:
    """The agents of a cluster as one of several monitors asks them."""

    def __init__(self, conf: Cluster, agents: Agents) -> None:
        self._agents, self._digest = agents, {VOTERS: digests(conf)[VOTERS]}

    async def put(self, host: Host, question: voting.Asked) -> Spoken:
        """Return what an agent answers to the question."""
        return await self._agents.ask(host, voting.ask(host.name, question, self._digest), PATIENCE)

    async def look(self, conf: Cluster) -> Looked:
        """Return whom each voter follows, and which hosts that may be the writer do not vote."""
        names = tuple(dict.fromkeys((*conf.voters, *(host.name for host in conf.masters))))
        question = voting.Asked(None, 0)
        spoken = await asyncio.gather(*(self.put(conf.agents[name], question) for name in names))
        answered = dict(zip(names, spoken, strict=True))
        heard = {name: said(answered[name]) for name in conf.voters}
        return Looked(
            {name: each for name, each in heard.items() if each is not None},
            frozenset(name for name, one in answered.items() if _is_classic(one)),
        )

    async def release(self, conf: Cluster, epoch: Lead) -> None:
        """Have all agents follow this epoch no more."""
        question = voting.Asked(epoch, 0)
        await asyncio.gather(*(self.put(host, question) for host in conf.agents.values()))


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


def _port_of(ip: str) -> str:
    """Return how the address of a control port of that monitor begins."""
    return f"[{ip}]:" if ":" in ip else f"{ip}:"
