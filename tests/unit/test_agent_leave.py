"""An agent that is stopped in order: what it waits for, and what it says meanwhile (rule 11.1)."""

import asyncio

from mmm.agent.act.held_lease import Tenure
from mmm.agent.act.leave import Leave
from mmm.lease.rules import FOREVER, Grant
from mmm.wire import agent as wire


class Time:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def holding(length: float = 10.0) -> tuple[Tenure, Time]:
    time = Time()
    tenure = Tenure(length, None, time, "boot")
    time.now += 1.0
    tenure.obeyed(Grant(length, time.now), role=True)
    return tenure, time


def leaves(tenure: Tenure, *, grant: Grant | None = None) -> tuple[bool, tuple[str, ...]]:
    async def run() -> tuple[bool, tuple[str, ...]]:
        leave = Leave(tenure)
        assert leave.fields == ()
        waiting = asyncio.ensure_future(leave.granted())
        await asyncio.sleep(0)
        said = leave.fields
        if grant is not None:
            tenure.obeyed(grant, role=True)
            leave.obeyed()
        return await waiting, said

    return asyncio.run(run())


def test_it_says_so_until_the_monitor_has_granted_the_role_for_good() -> None:
    tenure, time = holding()
    time.now += 1.0
    assert leaves(tenure, grant=Grant(FOREVER, time.now)) == (True, (wire.LEAVING,))
    assert tenure.lifetime() == 0


def test_it_waits_no_longer_than_its_lease_lasts() -> None:
    tenure, time = holding()
    time.now += 9.99
    assert leaves(tenure) == (False, (wire.LEAVING,))
    assert tenure.lease.until < FOREVER


def test_a_grant_that_ends_is_not_what_it_waits_for() -> None:
    tenure, time = holding()
    time.now += 9.99
    assert leaves(tenure, grant=Grant(10.0, 1001.5)) == (False, (wire.LEAVING,))


def test_one_that_does_not_hold_the_role_waits_for_nothing() -> None:
    tenure, time = holding()
    time.now += 20.0
    assert leaves(tenure) == (False, ())
    bare = Tenure(10.0, None, Time(), "boot")
    bare.obeyed(None, role=True)
    assert leaves(bare) == (False, ()), "without leases all is for good"


def test_an_answer_tells_of_it_in_a_field_that_others_ignore() -> None:
    line = wire.encode_reply(wire.Reply("OK: Pinged!", (wire.LEAVING,), 5.0, "t.1"))
    assert line == b"OK: Pinged!|LEAVING|T:t.1|UP:5.00\n"
    assert wire.is_leaving(wire.decode_reply(line))
    assert not wire.is_leaving(wire.Reply("OK: Pinged!", (), 5.0, "t.1"))
