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


async def watch(
    world: Callable[[], World], chronicle: Chronicle, clock: Clock, period: float = PERIOD
) -> None:
    """Look at the warnings for ever, each `period` seconds."""
    known, led = raised.recalled(chronicle.entries), world().leadership.may_order
    while True:
        await asyncio.sleep(period)
        now, leads = time.monotonic(), world().leadership.may_order
        if leads and not led:  # what the one has told that led before is in the history now
            known = raised.recalled(chronicle.entries)
        led = leads
        known, happened = raised.looked(known, world(), concerns.found(world(), now, clock), now)
        for each in happened:
            chronicle.noted(each)
