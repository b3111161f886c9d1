"""How a monitor that is stopped in order ends: no move is left half done, the writer stays (rules 11.1, 11.7)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mmm.monitor.act.agents import Agents
from mmm.monitor.act.leading import Leading
from mmm.monitor.act.saving import Saving
from mmm.monitor.assess import other_monitor
from mmm.monitor.decide import leases
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World

AT_REST = 5.0
"""Seconds that a monitor which is stopped waits for what is under way: a move, an order to the active master."""
FAREWELL = 2.0
"""Seconds that it takes to tell the active master that nobody renews its lease now."""

log = logging.getLogger(__name__)


class Ending:
    """The end of a monitor; `leading` is set where it is one of several."""

    def __init__(self, agents: Agents, saving: Saving, leading: Leading | None) -> None:
        self._agents = agents
        self._saving = saving
        self._leading = leading

    async def at_rest(
        self, world: World, until: Callable[[Callable[[World], bool], float], Awaitable[None]]
    ) -> None:
        """Wait for the end of what is under way. A lease without an end is granted only to who has answered.

        `until` waits until something holds of the world, or for so many seconds.
        """
        if world.network_up and not leases.is_at_rest(world):
            log.info("stopping once what is under way is done")
            await until(leases.is_at_rest, AT_REST)

    async def leave(self, world: World, know: Callable[[World], None]) -> None:
        """Grant the holder of the active master role a lease without an end, for nobody renews it now.

        Then agents are free to follow another monitor. The world that knows of the grant is handed to `know`.
        """
        if self._leading is not None:
            await self._leading.leave()
            return
        if not world.network_up:
            return
        if (leaving := leases.farewell_sent(world)) is not None:
            world, last = leaving
            know(world)
            await self._tell(world, last)
        await self._agents.free([world.conf.hosts[name] for name in other_monitor.followers(world)])

    async def _tell(self, world: World, last: Tell) -> None:
        self._saving.record_now()
        last = self._saving.as_recorded(last)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._agents.tell(world.conf.hosts[last.host], last)
