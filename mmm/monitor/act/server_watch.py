"""Has each agent tell at once that the process of its server has ended: a question that stays open (rule 4)."""

import asyncio
import logging
import time
from collections.abc import Callable

from mmm.config.model import Host
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.world.events import Event, ServerExited, ServerWatched
from mmm.monitor.world.world import World
from mmm.wire import watch
from mmm.wire.why import NOT_WATCHED, UNKNOWN_COMMAND, why

SOONEST = 1.0
"""Seconds from a question to the next one: with two monitors at one address each ends the other's question."""
AGAIN = 5.0
"""Seconds until an agent is asked again that did not answer, or could not watch a server that works."""
SELDOM = 60.0
"""The same of one that does not know the question."""

log = logging.getLogger(__name__)


class ServerWatch:
    """Keeps a question open at each agent; `post` takes the news, and `exited` has the server checked at once."""

    def __init__(
        self,
        agents: Agents,
        world: Callable[[], World],
        post: Callable[[Event], None],
        exited: Callable[[Host], None],
    ) -> None:
        self._agents = agents
        self._world = world
        self._post = post
        self._exited = exited

    async def run(self, host: Host) -> None:
        """Ask a host's agent for ever."""
        while True:
            began, until = time.monotonic(), min(SOONEST, self._world().conf.checks["mysql"].check_period)
            if self._world().hosts[host.name].agent.serves_many and self._works(host):
                until = self._take(host, await self._agents.watch(host))
            await asyncio.sleep(began + until - time.monotonic())

    def _works(self, host: Host) -> bool:
        """Tell whether there is a server that could be watched.

        One whose process has ended is not there before its check is good again: an agent that is asked sooner says
        that nothing listens, and would not be asked again for a while, in which the next end is told by nobody.
        """
        status = self._world().hosts[host.name].checks["mysql"]
        return status.error_since is None and status.exited is None

    def _take(self, host: Host, spoken: Spoken) -> float:
        """Take an answer in, and return how many seconds after the question the next one is due."""
        reply = spoken.reply
        if reply is None:
            return AGAIN
        if (pid := watch.exited(reply)) is not None:
            self._post(ServerExited(host.name, pid, time.monotonic()))
            self._exited(host)
            return SOONEST
        if watch.runs(reply):
            self._post(ServerWatched(host.name))
            return SOONEST
        reason = why(reply)
        if reason == NOT_WATCHED:
            self._warn(host, reply.text)
        return SELDOM if reason == UNKNOWN_COMMAND else AGAIN

    def _warn(self, host: Host, text: str) -> None:
        """Say once that a server which answers is not watched: its end is seen by its check, as ever."""
        if self._works(host) and self._world().hosts[host.name].unwatched != text:
            self._post(ServerWatched(host.name, text))
            log.warning("%s: the end of its server's process will not be told at once: %s", host.name, text)
