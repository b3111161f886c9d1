"""What the angel is told of the lease: nothing before a new worker knows it, and while the role is taken that it is."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from mmm.agent import duties
from mmm.agent.act.health_watch import NOTHING_KNOWN
from mmm.agent.decide.core import Core, begun, site
from mmm.agent.decide.held_lease import begun as lease_begun
from mmm.agent.decide.plan import facts
from mmm.agent.decide.watched import Denying, TakingAway, Watch
from mmm.clock import clock
from mmm.lease.rules import FOREVER
from mmm.process.beside import Beside
from mmm.process.watchdog import Ward
from tests.unit.agents import conf


def core(folder: Path, left: float = 0.0) -> Core:
    """Return what an agent knows that starts, and has found a lease of that many seconds, if any."""
    known, now = conf(folder), clock()
    held = lease_begun(1.0, "boot", now, keeps=False)
    return begun(site(known, facts(known)), held.found(left, now) if left else held)


async def test_the_angel_keeps_to_the_lease_of_a_dead_worker_until_the_next_one_knows_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told at once that there is none: where the new worker was stuck on a disk, nobody gave the role up."""
    ward, dead, found, told = Ward(lambda _: True), clock() + 600, core(tmp_path, 60.0), list[float]()

    class Starting:
        heritage = (found, None)
        claimed = None

        def __init__(self, _conf: object, _interface: object, _frames: object, tell: Any, *_: object) -> None:
            tell(core(tmp_path))

        async def know_lease(self) -> None:
            told.append(ward._shared.deadline)

    for name in ("Watch", "LinkWatch", "Places"):
        monkeypatch.setattr(duties, name, Mock())
    monkeypatch.setattr(duties, "Announcer", lambda _: AsyncMock())
    monkeypatch.setattr(duties, "Agent", Starting)
    monkeypatch.setattr(duties, "_watch", AsyncMock())
    ward.set(dead)
    life, reception = Mock(conf=conf(tmp_path)), SimpleNamespace(open=Mock(), close=AsyncMock())
    ways: Any = (Mock(), reception)
    await duties._be_there(life, Mock(), ways, (Beside(ward), Mock()), (None, NOTHING_KNOWN))
    assert told == [dead]
    assert ward._shared.deadline == found.held.lease.until


@pytest.mark.parametrize(
    "watch",
    [Watch(denying=Denying()), Watch(writable=True), Watch(taking_away=TakingAway(0.0, left=True))],
    ids=["it is told to", "it could not be", "the VIP is going"],
)
def test_a_worker_that_is_stuck_before_all_is_taken_has_its_angel_take_it(
    tmp_path: Path, watch: Watch
) -> None:
    """The angel was told that there is nothing left to do as soon as the worker had begun."""
    ward, known = Ward(lambda _: True), core(tmp_path)
    duties._tell_ward(ward, replace(known, watch=watch))
    assert 0 < ward.wait() < 2 * duties.STUCK
    duties._tell_ward(ward, known)
    assert ward.wait() == FOREVER


def test_a_worker_that_is_stuck_before_the_end_of_its_lease_has_its_angel_act_then(tmp_path: Path) -> None:
    ward, known = Ward(lambda _: True), core(tmp_path, 2.0)
    duties._tell_ward(ward, replace(known, watch=Watch(taking_away=TakingAway(clock() + 1.0))))
    assert ward._shared.deadline == known.held.lease.until
