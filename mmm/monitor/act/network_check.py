"""Whether the monitor itself is on the network (rule 6.2).

A host or one of the ping_ips that answers is enough; `cut_off` judges what was heard. While the network is down,
nothing that the checks find is held against a host.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

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


async def watch(
    monitor: Monitor,
    pinger: Pinger,
    world: Callable[[], World],
    heard: Callable[[], float],
    say: Callable[[Network], None],
) -> None:
    """Say every `ping_interval` seconds whether the network is up, for ever; `heard` is when a host last answered."""
    known = cut_off.Known(up=world().network_up, by_hosts=world().hosts_silent)
    while True:
        began = time.monotonic()
        answers, host = await asyncio.gather(is_up(monitor, pinger), a_host_answers(world().conf, pinger))
        last = time.monotonic() if host else heard()
        known = cut_off.judged(known, world(), last, began, answers=answers)
        say(Network(known.up, known.by_hosts))
        await asyncio.sleep(monitor.ping_interval)


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
