"""How an agent comes to its end: what is waited for, and until when; by another conf another agent goes on.

All of an end has one limit: what is left of it when the roles were handed over is what a change may still take.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mmm.agent.decide import lease_watch
from mmm.agent.decide.core import Core
from mmm.agent.decide.new_conf import is_calm
from mmm.agent.decide.plan import UNKNOWN
from mmm.clock import clock
from mmm.lease.rules import FOREVER
from mmm.wire.status import HAND_OVER_LIMIT

END_LIMIT = 1.0 + lease_watch.HEARTBEAT + HAND_OVER_LIMIT
"""Seconds after which nothing is waited for; the angel ends the worker after 20, and VIPs are to stay first."""
LEAST = 0.5
"""Seconds that a change is waited for all the same."""

log = logging.getLogger(__name__)


class Ending:
    """The end of the agent of the host `name`; lives in an asyncio loop.

    `core` returns what is known, `ask_to_stay` has other hosts refuse the role for as long as this one has it.
    """

    def __init__(
        self, name: str, core: Callable[[], Core], ask_to_stay: Callable[[], Awaitable[None]]
    ) -> None:
        self._name = name
        self._core = core
        self._ask_to_stay = ask_to_stay
        self._until: float | None = None
        self._rest = asyncio.Event()
        self._granted = asyncio.Event()
        self._ordered = asyncio.Event()

    def look(self) -> None:
        """Take note of what is known now."""
        core = self._core()
        granted = core.held.lease.until == FOREVER and core.site.is_writer(core.status)
        (self._granted.set if granted else self._granted.clear)()
        if self._is_at_rest():
            self._rest.set()

    def ordered(self) -> None:
        """Take note that an order was carried out."""
        self._ordered.set()

    def begin(self) -> None:
        """Have the time of the end count from now on, where it does not yet."""
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + END_LIMIT

    def _left(self) -> float:
        """Return for how many seconds more is waited."""
        self.begin()
        return max(0.0, (self._until or 0.0) - asyncio.get_running_loop().time())

    async def leave(self) -> None:
        """Wait until the monitor knows that the writer's VIP stays here, or is not heard, and others are asked."""
        if not (limit := min(self._left(), lease_watch.patience(self._core(), clock()))):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._granted.wait()
        if not self._granted.is_set():
            await self._ask_to_stay()
        await self.at_rest()

    async def hand_over(self, *, found: bool) -> None:
        """Wait until others have the roles of this host, whose machine or agent goes down, but not for long.

        Who takes the writer role asks this server for what it lacks: the order that follows tells that it is done.
        `found`: VIPs stood here at the start; before the first order these are all that tells of roles.
        """
        if not (self._core().status.vips or (found and self._core().status.state == UNKNOWN)):
            return
        log.info("%s: the agent ends: its roles are to go to other hosts", self._name)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._left()):
                async with asyncio.timeout(1.0 + lease_watch.HEARTBEAT):  # else there is no monitor
                    await self._next_order()
                async with asyncio.timeout(HAND_OVER_LIMIT):
                    while self._core().status.vips:
                        await self._next_order()
                    await self._next_order()
        if kept := ", ".join(map(str, self._core().status.vips)):
            log.warning("%s: no other host has taken %s in time", self._name, kept)

    async def _next_order(self) -> None:
        """Wait until the next order has been carried out."""
        self._ordered.clear()
        await self._ordered.wait()

    async def at_rest(self) -> bool:
        """Wait until no change is being made, and nothing taken from this host; tells whether that is so in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(LEAST, self._left())):
                while not self._is_at_rest():
                    self._rest.clear()
                    await self._rest.wait()
        return self._is_at_rest()

    def _is_at_rest(self) -> bool:
        return self._core().work is None and is_calm(self._core())
