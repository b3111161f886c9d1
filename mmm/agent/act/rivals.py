"""Questions to the agents of other hosts about the writer's lease: promises, their return, a sign of life."""

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple

from mmm.config.agreement import digests
from mmm.config.model import Cluster, Host
from mmm.network.agent_port import AgentPort
from mmm.wire import agent as wire
from mmm.wire import promises
from mmm.wire.held import Stay, asks_to_stay
from mmm.wire.lead import with_conf
from mmm.wire.why import TAKEN, why

GIVE_BACK_LIMIT = 0.3
"""Seconds for which the answer to an order waits until others have heard that their promises are given back."""


class Answers(NamedTuple):
    """What came of a question for promises."""

    missing: tuple[str, ...] = ()
    """Who has not promised, and in what words, where there were any."""
    taken: str = ""
    """Who knows of another host that has the role, and in what words; empty: nobody does."""


class Rivals:
    """The other hosts of the cluster; `heard` is called whenever one answers."""

    def __init__(self, conf: Cluster, heard: Callable[[], None]) -> None:
        self._conf = conf
        self._heard = heard
        self._port = AgentPort(conf.auth_key)
        self._digests = digests(conf)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What questions are asked over."""
        return self._port.tls

    @tls.setter
    def tls(self, context: ssl.SSLContext | None) -> None:
        self._port.tls = context

    async def ask_promises(self, names: tuple[str, ...], length: float, token: str) -> Answers:
        """Ask all for a promise of `length` seconds; returns what came of it, once one knows who else has the role."""
        asked = promises.AskedPromise(self._conf.this, length, token)
        questions = [asyncio.ensure_future(self._promised(name, asked)) for name in names]
        missing: list[str] = []
        try:
            for answered in asyncio.as_completed(questions):
                answers = await answered
                if answers.taken:
                    return answers
                missing += answers.missing
        finally:
            for question in questions:
                question.cancel()
        return Answers(tuple(missing))

    async def ask_to_stay(self, names: tuple[str, ...], length: float, token: str) -> tuple[str, ...]:
        """Ask all to refuse the role for good; returns who has not agreed, and in what words, where there were any."""
        stay = Stay(self._conf.this, token)
        asked = (self._agreed(name, asks_to_stay(name, stay), length) for name in names)
        return tuple(each for answers in await asyncio.gather(*asked) for each in answers.missing)

    async def do_without(self, names: tuple[str, ...], token: str) -> None:
        """Tell all that this host does not stay by what it has asked at the token's moment."""
        stay, hosts = Stay(self._conf.this, token), self._conf.hosts
        words = [
            (hosts[name], with_conf(asks_to_stay(name, stay, void=True), self._digests)) for name in names
        ]
        await asyncio.gather(*(self._ask(host, request, GIVE_BACK_LIMIT) for host, request in words))

    async def _promised(self, name: str, asked: promises.AskedPromise) -> Answers:
        return await self._agreed(name, promises.promise(name, asked), asked.length)

    async def _agreed(self, name: str, request: wire.Request, length: float) -> Answers:
        request = with_conf(request, self._digests)
        reply = await self._ask(self._conf.hosts[name], request, _limit(length))
        if reply is None:
            return Answers((name,))
        if reply.token in ("", wire.NO_LEASE):
            cannot = "whose conf has vip_lease 0" if reply.token else "whose agent is one of the Perl MMM"
            return Answers((f"{name}, {cannot}: it cannot promise",))
        if reply.ok:
            return Answers()
        said = f"{name}, which answers '{reply.text}'"
        return Answers((said,), said if why(reply) == TAKEN else "")

    async def give_back(self, names: tuple[str, ...], token: str) -> None:
        """Give back the promises of others, now that this host has given the role up: one of them may be next.

        Whoever does not hear it refuses the role until what it has promised is over.
        """
        releases = [
            (self._conf.hosts[name], promises.release(name, self._conf.this, token)) for name in names
        ]
        await asyncio.gather(*(self._ask(host, request, GIVE_BACK_LIMIT) for host, request in releases))

    async def reach(self, length: float) -> None:
        """Try whether any other host of the cluster answers; `length` is that of a lease in seconds."""
        others = [host for host in self._conf.hosts.values() if host.name != self._conf.this]
        pings = [(host, wire.Request(wire.PING, host.name)) for host in others]
        await asyncio.gather(*(self._ask(host, ping, _limit(length)) for host, ping in pings))

    async def _ask(self, host: Host, request: wire.Request, limit: float) -> wire.Reply | None:
        reply = await self._port.ask(host.ip, host.agent_port, request, limit)
        if reply is not None:
            self._heard()
        return reply


def _limit(length: float) -> float:
    return max(0.5, min(1.0, length / 4))
