"""Asks periodically, as long as the monitor runs: checks, what agents see of their servers, the doctor."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import Any

from mmm.config.model import Cluster, Host, Monitor
from mmm.config.names import CHECK_NAMES
from mmm.doctor.look_monitor import from_within
from mmm.doctor.picture import Finding
from mmm.doctor.rules import examine
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.server_watch import ServerWatch
from mmm.monitor.assess import checkup, trap
from mmm.monitor.world.events import Doubted, Event, Examined, Noted
from mmm.monitor.world.world import World
from mmm.wire import questions

log = logging.getLogger(__name__)

NOTES_PERIOD = 15.0
"""Seconds after which the agent of a possible master is asked again what it sees of its server."""
NOTES_SELDOM = 60.0
"""The same of a host that is none: its events write there just as well."""
NOTES_AGAIN = 3.0
"""The same of either while its server waits for space on its disk."""
BEGUN_AGAIN = 1.0
"""Seconds until what has ended by an internal error is begun again."""

_BY_SILENCE = ("ping", "mysql")
"""The checks by which a host counts as dead that does not answer."""


async def kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Do what goes on for ever; where an internal error ends it, it is begun again: a host would be watched no more."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a task of the monitor ended by an internal error; it is begun again")
        else:
            return
        await asyncio.sleep(BEGUN_AGAIN)


class Periodic:
    """What a monitor asks periodically, about the world that `world` returns; `post` takes what came of it.

    `see_network` returns once it is known whether the monitor's own network has worked since a moment.
    """

    def __init__(
        self,
        agents: Agents,
        checks: Checks,
        world: Callable[[], World],
        post: Callable[[Event], None],
        see_network: Callable[[float], Awaitable[None]],
    ) -> None:
        self._see_network = see_network
        self._agents = agents
        self._checks = checks
        self._world = world
        self._post = post
        self._server_watch = ServerWatch(agents, world, post, checks.exited)
        self.heard = -inf
        """When the newest check began that a host answered."""
        self._took: dict[tuple[str, str], float] = {}

    def of_host(self, host: Host) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield what is asked of one host, each for ever: by what the conf says of it and of the checks now."""
        conf = self._world().conf
        place, all_checks = list(conf.hosts).index(host.name), len(conf.hosts) * len(CHECK_NAMES)
        for number, check in enumerate(CHECK_NAMES):
            phase = (place * len(CHECK_NAMES) + number) / all_checks
            yield kept_up(partial(self._repeat, host, check, phase))
        period = NOTES_PERIOD if host in conf.masters else NOTES_SELDOM
        yield kept_up(partial(self._ask_for_notes, host, period))
        yield kept_up(partial(self._server_watch.run, host))

    def took(self, host: str, check: str) -> float | None:
        """Return how many seconds the newest run of a host's check took, None where none has ended yet."""
        return self._took.get((host, check))

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
            self._took[host.name, name] = time.monotonic() - started
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

    async def _ask_for_notes(self, host: Host, period: float) -> None:
        """Ask every `period` seconds what the host's agent sees of its server; one of MMM 2.x is not asked."""
        while True:
            link = self._world().hosts[host.name].agent
            if link.told is not None and not (link.about.classic or link.unreachable):
                notes, doubts = await self._agents.notes(host)
                if notes is not None:
                    self._post(Noted(host.name, notes))
                if doubts is not None:
                    self._post(Doubted(host.name, doubts))
            full = self._world().hosts[host.name].noted(questions.DISK_FULL)
            await asyncio.sleep(NOTES_AGAIN if full else period)

    async def check_up(self) -> None:
        """Have the doctor ask the agents for ever whether the next failover would go well."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="doctor")
        try:
            while True:
                await asyncio.sleep(checkup.next_look(self._world()))
                if self._world().network_up and self._world().move is None:
                    look = partial(_looked, self._world().conf, self._world().monitor)
                    found, looked = await loop.run_in_executor(thread, look)
                    world = self._world()
                    ending = checkup.ending(world, found, looked)
                    self._post(Examined(checkup.errors(world, found), ending))
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


def _looked(conf: Cluster, monitor: Monitor) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """Return what the doctor finds, and the hosts that it has looked at; in a thread, for many hosts take a while."""
    picture = from_within(conf, monitor)
    return examine(picture), frozenset(picture.looks)
