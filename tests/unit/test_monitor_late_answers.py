"""What a monitor that leads keeps of answers, and which of them count for a round; it gives up what it cannot use."""

import asyncio
import gc
from dataclasses import replace

from mmm.config.model import Host
from mmm.lease.record import Record
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.world.events import Event, Led
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.world import Mode
from mmm.wire import voting
from mmm.wire.agent import SET_STATUS, Request
from tests.unit.test_monitor_rounds import FIRST, LIMIT, Monitor, OtherOnes, Voters, leads_on, run


def records() -> int:
    """Return how many records there are in memory."""
    gc.collect()
    return sum(type(each) is Record for each in gc.get_objects())


def test_a_monitor_that_leads_for_long_does_not_keep_what_voters_told_in_each_round() -> None:
    there: list[int] = []

    async def leads_long(monitor: Monitor) -> None:
        await leads_on(monitor)
        for _ in range(2):
            there.append(records())
            for _ in range(20):
                assert await monitor.leading.refresh(LIMIT)

    run(Voters(), leads_long)
    there.append(records())
    assert max(there) - there[0] < 20, "three voters, forty rounds"


class Held(Voters):
    """One voter answers what it is asked now later, once it is `let_go`; `hears` tells of questions with that mode."""

    def __init__(self) -> None:
        super().__init__()
        self.holds, self.held, self.let_go = "", asyncio.Event(), asyncio.Event()
        self.mode, self.heard_mode = "", asyncio.Event()

    async def ask(self, host: Host, request: Request, limit: float) -> Spoken:
        holds = host.name == self.holds
        spoken = await super().ask(host, request, limit)
        if self.mode and voting.asked(request).record.mode == self.mode:
            self.heard_mode.set()
        if holds:
            self.held.set()
            await self.let_go.wait()
        return spoken


def test_an_answer_to_what_was_asked_before_a_round_is_none_to_the_round() -> None:
    """The answer of db2 knows the record of before; the round asks whether enough have the new one."""
    voters = Held()

    async def late(monitor: Monitor) -> None:
        await leads_on(monitor)
        monitor.leading._rounds._bound.clear()  # it was not asked lately
        voters.holds = "db2"
        bound = asyncio.ensure_future(voters.binds(monitor.world.conf.hosts["db2"], SET_STATUS))
        await voters.held.wait()
        voters.silent = {"db1", "db2"}
        voters.mode = "MANUAL"
        monitor.world = replace(monitor.world, mode=Mode.MANUAL)
        recorded = asyncio.ensure_future(monitor.leading.recorded(0.3))
        await voters.heard_mode.wait()
        voters.let_go.set()
        assert await bound, "it may be told"
        assert not await recorded, "db3 alone has the new record"

    run(voters, late)


class Failing(Monitor):
    """What is to know that it takes the lead fails once."""

    def __init__(self) -> None:
        super().__init__(Voters(), OtherOnes(), 1.0)
        self.failed = False

    def _post(self, event: Event) -> None:
        assert isinstance(event, Led)
        if event.leadership.place is Place.TAKES and not self.failed:
            self.failed = True
            raise RuntimeError("of the test")
        super()._post(event)


async def test_a_lead_that_was_taken_as_an_error_came_is_given_up_and_taken_anew() -> None:
    """It was held for ever, and no orders were given."""
    monitor = Failing()

    anew = FIRST._replace(number=2)

    async def kept_up() -> None:
        while True:
            try:
                await monitor.leading.run()
            except RuntimeError:
                continue

    task = asyncio.create_task(kept_up())
    try:
        await monitor.until(lambda now: now.place is Place.LEADS and monitor.voters.lead == anew)
    finally:
        task.cancel()
    assert monitor.failed
