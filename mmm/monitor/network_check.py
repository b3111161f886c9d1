"""Whether the monitor itself is on the network (SPEC section 6, Network check).

One of the ping_ips that answers is enough. While none does, nothing that the checks find is held against a host.
"""

import asyncio
from collections.abc import Callable

from mmm.config.model import Monitor
from mmm.monitor.checks import PING_TIMEOUT
from mmm.network.icmp import Pinger


async def is_up(monitor: Monitor, pinger: Pinger) -> bool:
    """Tell whether one of the ping_ips answers; True where none is configured (1.x dialect)."""
    if not monitor.ping_ips:
        return True
    # Side by side, so that a dead first address does not delay the good second one.
    pings = [asyncio.ensure_future(pinger.ping(ip, PING_TIMEOUT)) for ip in monitor.ping_ips]
    try:
        for ping in asyncio.as_completed(pings):
            if await ping is not None:
                return True
        return False
    finally:
        for ping in pings:
            ping.cancel()


async def watch(monitor: Monitor, pinger: Pinger, say: Callable[[bool], None]) -> None:
    """Say every `ping_interval` seconds whether the network is up, for ever."""
    if not monitor.ping_ips:
        return
    while True:
        say(await is_up(monitor, pinger))
        await asyncio.sleep(monitor.ping_interval)
