"""Keeps in the history which warnings come and go."""

import asyncio
import time
from collections.abc import Callable

from mmm.monitor.act.journal import Chronicle
from mmm.monitor.report import concerns, raised
from mmm.monitor.report.clock import Clock
from mmm.monitor.world.world import World

PERIOD = 5.0
"""Seconds between two looks."""


async def watch(world: Callable[[], World], chronicle: Chronicle, clock: Clock) -> None:
    """Look at the warnings for ever."""
    known = raised.recalled(chronicle.entries)
    while True:
        await asyncio.sleep(PERIOD)
        now = time.monotonic()
        known, happened = raised.looked(known, world(), concerns.found(world(), now, clock), now)
        for each in happened:
            chronicle.noted(each)
