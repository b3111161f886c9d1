"""Whether the monitor itself is on the network (rule 6.2).

A host or one of the ping_ips that answers is enough; `cut_off` judges what was heard. While the network is down,
nothing that the checks find is held against a host.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from math import inf

from mmm.config.model import Cluster, Monitor
from mmm.monitor.act.checks import PING_TIMEOUT
from mmm.monitor.assess import cut_off
from mmm.monitor.world.events import Network
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger

_PINGED = 8
"""Hosts that are pinged beside the ping_ips, at most."""


async def is_up(monitor: Monitor, pinger: Pinger) -> bool:
    """Tell whether one of the ping_ips answers; True where none is configured (1.x dialect)."""
    return not monitor.ping_ips or await _one_answers(monitor.ping_ips, pinger)


async def a_host_answers(conf: Cluster, pinger: Pinger) -> bool:
    """Tell whether one of the first hosts answers ping."""
    return await _one_answers([host.ip for host in conf.hosts.values()][:_PINGED], pinger)


class NetworkCheck:
    """Looks whether the network is up; `heard` is when a host last answered, `say` takes what is found."""

    def __init__(
        self,
        pinger: Pinger,
        world: Callable[[], World],
        heard: Callable[[], float],
        say: Callable[[Network], None],
    ) -> None:
        self._pinger = pinger
        self._world = world
        self._heard = heard
        self._say = say
        self._known: cut_off.Known | None = None
        self._began = -inf
        """When the last look began."""
        self._looking = asyncio.Lock()

    async def watch(self) -> None:
        """Look every `ping_interval` seconds, for ever."""
        while True:
            async with self._looking:
                await self._look()
            await asyncio.sleep(self._world().monitor.ping_interval)

    async def see(self, since: float) -> None:
        """Return once it is known whether the network is up, by what was heard or looked at after `since`.

        With short checks a host would count as dead before the next look finds that it is the monitor that is cut off.
        """
        if self._heard() > since:
            return
        async with self._looking:
            if self._began <= since and self._heard() <= since:
                await self._look()

    async def _look(self) -> None:
        before, began = self._world(), time.monotonic()
        self._began = began
        known = self._known or cut_off.Known(up=before.network_up, by_hosts=before.hosts_silent)
        answers, host = await asyncio.gather(
            is_up(before.monitor, self._pinger), a_host_answers(before.conf, self._pinger)
        )
        last = time.monotonic() if host else self._heard()
        self._known = known = cut_off.judged(known, self._world(), last, began, answers=answers)
        self._say(Network(known.up, known.by_hosts))


async def _one_answers(ips: Sequence[str], pinger: Pinger) -> bool:
    """Tell whether one of the addresses answers ping. Side by side: a dead first one does not delay a good second."""
    pings = [asyncio.ensure_future(pinger.ping(ip, PING_TIMEOUT)) for ip in ips]
    try:
        for answer in asyncio.as_completed(pings):
            if await answer is not None:
                return True
        return False
    finally:
        for ping in pings:
            ping.cancel()
