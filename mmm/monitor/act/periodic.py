"""Asks periodically, as long as the monitor runs: checks, what agents see of their servers, the doctor."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import Any

from mmm.config.model import Host, Monitor
from mmm.config.names import CHECK_NAMES
from mmm.doctor.look_monitor import from_within
from mmm.doctor.rules import examine
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.server_watch import ServerWatch
from mmm.monitor.assess import checkup, trap
from mmm.monitor.world.events import Doubted, Event, Examined, Noted
from mmm.monitor.world.world import World
from mmm.wire import questions

NOTES_PERIOD = 15.0
"""Seconds after which the agent of a possible master is asked again what it sees of its server."""
NOTES_AGAIN = 3.0
"""The same while its server waits for space on its disk."""


_BY_SILENCE = ("ping", "mysql")
"""The checks by which a host counts as dead that does not answer."""


class Periodic:
    """What a monitor asks periodically, about the world that `world` returns; `post` takes what came of it.

    `see_network` returns once it is known whether the monitor's own network has worked since a moment.
    """

    def __init__(
        self,
        monitor: Monitor,
        agents: Agents,
        checks: Checks,
        world: Callable[[], World],
        post: Callable[[Event], None],
        see_network: Callable[[float], Awaitable[None]],
    ) -> None:
        self._monitor = monitor
        self._see_network = see_network
        self._agents = agents
        self._checks = checks
        self._world = world
        self._post = post
        self._server_watch = ServerWatch(agents, world, post, checks.exited)
        self.heard = -inf
        """When the newest check began that a host answered."""

    def all(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield all that is to run side by side, each for ever."""
        world = self._world()
        hosts = world.conf.hosts.values()
        for position, (host, check) in enumerate((host, check) for host in hosts for check in CHECK_NAMES):
            yield self._repeat(host, check, position / len(CHECK_NAMES) / len(hosts))
        for host in world.conf.masters:
            yield self._ask_for_notes(host)
        for host in hosts:
            yield self._server_watch.run(host)
        yield self._check_up()

    async def _repeat(self, host: Host, name: str, phase: float) -> None:
        """Run one check for ever; `phase`, a part of its period, keeps the checks from starting all at once."""
        conf = self._world().conf.checks[name]
        await asyncio.sleep(conf.check_period * phase)
        early = False
        due = time.monotonic()
        while True:
            started = time.monotonic()
            if started - due > conf.check_period or due > started:  # late by more than a run, or woken early
                due = started
            result = await self._checks.run(host, name)
            if result.answered:
                self.heard = started
            elif name in _BY_SILENCE and self._world().network_up:
                await self._see_network(started)
            if self._world().network_up:
                self._post(result)
            status = self._world().hosts[host.name].checks[name]
            ended = time.monotonic()
            due = trap.due(status, due, conf.check_period, conf.trap_period, ended - started)
            left = max(0.0, due - ended)
            # Once between two regular runs: a server may end every connection at once.
            early = await self._checks.wait(host, name, left, exit_only=early)

    async def _ask_for_notes(self, host: Host) -> None:
        """Ask for ever what the host's agent sees of its server; one of MMM 2.x is not asked."""
        while True:
            link = self._world().hosts[host.name].agent
            if link.told is not None and not (link.about.classic or link.unreachable):
                notes, doubts = await self._agents.notes(host)
                if notes is not None:
                    self._post(Noted(host.name, notes))
                if doubts is not None:
                    self._post(Doubted(host.name, doubts))
            full = self._world().hosts[host.name].noted(questions.DISK_FULL)
            await asyncio.sleep(NOTES_AGAIN if full else NOTES_PERIOD)

    async def _check_up(self) -> None:
        """Have the doctor ask the agents for ever whether the next failover would go well."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="doctor")
        try:
            while True:
                await asyncio.sleep(checkup.next_look(self._world()))
                if self._world().network_up and self._world().move is None:
                    look = partial(from_within, self._world().conf, self._monitor)
                    found = examine(await loop.run_in_executor(thread, look))
                    self._post(Examined(checkup.errors(self._world(), found)))
        finally:
            thread.shutdown(wait=False, cancel_futures=True)
