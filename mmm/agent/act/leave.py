"""How an agent that is stopped in order leaves the writer's VIP to its host (rule 11.1).

Nothing but the monitor's word makes a lease one without an end, and so a VIP stays after its agent only where the
monitor reckons with that. The agent says in every answer that it is about to end; the monitor grants the role for good
with its next order. Where none comes in time the VIP has the rest of its lease, as when the agent is killed.
"""

import asyncio
from contextlib import suppress

from mmm.agent.act.held_lease import Tenure
from mmm.lease.rules import FOREVER
from mmm.wire import agent as wire

HEARTBEAT = 3.0
"""Seconds between two orders of the monitor, at most, where it has not got to renew a lease sooner."""


class Leave:
    """The end of one agent. Lives in an asyncio loop."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._said = False
        self._granted = asyncio.Event()

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields of an answer that tell of it."""
        return (wire.LEAVING,) if self._said else ()

    def obeyed(self) -> None:
        """Note that an order was obeyed."""
        if self._tenure.lease.until == FOREVER:
            self._granted.set()

    async def granted(self) -> bool:
        """Return whether the role was granted for good, once it is or the monitor is not heard in time."""
        tenure = self._tenure
        if not tenure.leased or tenure.left <= 0:
            return False
        self._said = True
        self.obeyed()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(1.0 + min(HEARTBEAT, tenure.length / 4), tenure.left)):
                await self._granted.wait()
        return tenure.lease.until == FOREVER
