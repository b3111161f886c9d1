"""Has the writer's VIP stay for good where no monitor is heard, and keeps for others that theirs do (rule 14.3)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from mmm.agent.act.memory import Memory
from mmm.agent.act.rivals import Rivals
from mmm.agent.decide import staying as decide
from mmm.agent.decide.core import Core, Step
from mmm.agent.decide.failure import Failure
from mmm.clock import clock
from mmm.wire.held import Stay
from mmm.wire.why import NO_PROMISE

log = logging.getLogger(__name__)


def remembered(core: Core) -> Core:
    """Return what an agent knows that starts, without the stays of hosts that are not in its conf; they are logged."""
    core, gone = decide.without_strangers(core)
    for stay in sorted(gone):
        text = (
            "the VIP of %s stays there for good, but by this conf it has no writer role: it is not waited for"
        )
        log.warning(text, stay.host)
    return core


class Staying:
    """This host's part in stays; lives in an asyncio loop.

    `core` returns what is known, `take` has it known and done, `run` has something done besides.
    """

    def __init__(
        self,
        memory: Memory,
        rivals: Rivals,
        core: Callable[[], Core],
        take: Callable[[Step], None],
        run: Callable[[Awaitable[None]], object],
    ) -> None:
        self._memory, self._rivals, self._core, self._take, self._run = memory, rivals, core, take, run
        self._writing = asyncio.Lock()

    async def ask(self, *, agreed: bool) -> None:
        """Have all other hosts of the role refuse it from now on, and the lease be one without an end, if they agree.

        `agreed`: the monitor knows of the same hosts of the role.
        """
        core, asked = decide.asks(self._core(), clock(), agreed=agreed)
        if asked is None:
            return
        self._take((core, ()))
        names, token = core.site.rivals, core.held.token(asked)
        missing = await self._rivals.ask_to_stay(names, core.held.length, token)
        before = self._core()
        core = before if missing else decide.stayed(before, asked, clock())
        if missing:
            log.warning("asked whether the VIP may stay for good: not agreed by %s", "; ".join(missing))
        if core is before:
            await self._rivals.do_without(names, token)
            return
        log.info("no monitor is heard: the VIP stays for good, as %s keep that", ", ".join(names))
        self._take((core, ()))

    async def lets(self, stay: Stay) -> Failure | None:
        """Refuse the role from now on for another host's stay; returns once it is on the disk, or why it is not."""
        core, refused = decide.lets(self._core(), stay, clock())
        if refused is not None:
            return refused
        self._take((core, ()))
        if unwritten := await self._write():
            self._take((decide.void(self._core(), {stay}), ()))
            return Failure(unwritten, NO_PROMISE)
        log.info("%s is stopped and leaves its VIP for good: no role here before it is heard", stay.host)
        return None

    def ordered(self, void: Collection[Stay] | None) -> None:
        """Refuse the role no more for what an order says to be void; None: its monitor knows nothing of stays."""
        core = decide.ordered(self._core(), voids=void is not None)
        if core is not self._core():
            self._take((core, ()))
        self.void(void or ())

    def void(self, stays: Collection[Stay]) -> None:
        """Refuse the role no more for these; where that is not written an agent started later does so yet."""
        before = self._core()
        core = decide.void(before, stays)
        if core is before:
            return
        self._take((core, ()))
        self._run(self._note())
        log.info("it is void that the VIP stays with %s", ", ".join(sorted({stay.host for stay in stays})))

    async def _note(self) -> None:
        if unwritten := await self._write():
            log.warning("%s: an agent that is started later refuses the role for longer", unwritten)

    async def _write(self) -> str:
        """Write down what is known by then, in a thread, for disks may hang; returns why that failed, or nothing."""
        async with self._writing:
            return await asyncio.to_thread(self._memory.keep_stays, self._core().held)
