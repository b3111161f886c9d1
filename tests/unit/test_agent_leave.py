"""An agent that is stopped in order: what it waits for, and what it says meanwhile (rule 11.1)."""

import asyncio
import math
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mmm.agent.decide import lease_watch
from mmm.agent.decide.lease_watch import HEARTBEAT, patience
from mmm.lease.rules import FOREVER, Grant
from mmm.wire import agent as wire
from mmm.wire.status import LEAVING, is_halting, is_leaving
from tests.unit.agents import LIMIT, MONITOR, READER, ROLE, WRITER, Rig, running
from tests.unit.test_agent_core import NOW, idle, writer


async def test_it_says_so_until_the_monitor_has_granted_the_role_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        assert (await rig.order(ROLE, length=600)).ok
        leaving = asyncio.create_task(rig.agent.leave())
        await said(rig, is_leaving)
        assert not leaving.done()
        assert (await rig.order(ROLE, length="forever")).ok
        async with asyncio.timeout(LIMIT):
            await leaving
        assert rig.until == FOREVER


async def said(rig: Rig, what: Callable[[wire.Reply], bool]) -> None:
    """Wait until the agent's answers say so."""
    async with asyncio.timeout(LIMIT):
        while not what(wire.decode_reply(await rig.agent.answer(b"PING|1|db1", MONITOR))):  # noqa: ASYNC110 - they are all there is
            await asyncio.sleep(0.01)


async def test_one_whose_machine_goes_down_has_others_take_its_roles_and_is_told_when_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.halts = True
        assert (await rig.order(f"{ROLE},reader({READER})", length=600)).ok
        leaving = asyncio.create_task(rig.agent.leave())
        await said(rig, is_halting)
        assert (await rig.order(f"{ROLE}", length=600)).ok
        assert (await rig.order("", length=600)).ok
        assert not rig.machine.writable
        await asyncio.sleep(0)
        assert not leaving.done(), "who takes the role asks this server for what it lacks"
        assert (await rig.order("", length=600)).ok
        async with asyncio.timeout(LIMIT):
            await leaving


async def test_one_that_was_restarted_and_has_no_order_yet_hands_over_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.halts = True
        rig.machine.addresses.add(READER)
        await rig.agent.know_lease()
        await rig.agent.take_stock()
        leaving = asyncio.create_task(rig.agent.leave())
        await said(rig, is_halting)
        assert (await rig.order(f"reader({READER})", length=600)).ok
        await asyncio.sleep(0)
        assert not leaving.done()
        for _ in range(2):
            assert (await rig.order("", length=600)).ok
        async with asyncio.timeout(LIMIT):
            await leaving
    assert not rig.machine.addresses


async def test_one_that_found_nothing_and_has_no_order_yet_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_watch, "HEARTBEAT", LIMIT)
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.halts = True
        await rig.agent.know_lease()
        await rig.agent.take_stock()
        async with asyncio.timeout(LIMIT):
            await rig.agent.leave()


async def test_one_whose_machine_goes_down_leaves_nothing_for_good_where_no_monitor_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_watch, "HEARTBEAT", -0.9)
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.halts = True
        assert (await rig.order(f"{ROLE},reader({READER})", length=600)).ok
        async with asyncio.timeout(LIMIT):
            await rig.agent.leave()
    assert (READER, 0) not in rig.machine.renewed
    assert rig.machine.addresses == {WRITER, READER}


async def test_one_that_holds_a_role_without_an_address_gives_it_up_for_nobody_would_tell_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, via="health") as rig:
        assert (await rig.order(f"{ROLE},reader({READER})", length=600)).ok
        leaving = asyncio.create_task(rig.agent.leave())
        await said(rig, is_halting)
        leaving.cancel()
        monkeypatch.setattr(lease_watch, "HEARTBEAT", -0.9)
        async with asyncio.timeout(LIMIT):
            await rig.agent.leave()  # no monitor is heard
    assert not rig.machine.writable
    assert rig.machine.addresses == {READER}


async def test_its_vips_stay_though_its_questions_wait_for_a_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        assert (await rig.order(f"reader({READER})", length=600)).ok
        hangs = threading.Event()
        rig.agent._looker.submit(hangs.wait, LIMIT)
        await rig.agent._leave_for_good()
        assert (READER, 0) in rig.machine.renewed
        hangs.set()


async def test_readers_that_it_has_found_stay_though_no_order_has_come_and_the_writers_vip_keeps_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.addresses |= {READER, WRITER}
        await rig.agent.know_lease()
        await rig.agent._leave_for_good()
        assert [each for each in rig.machine.renewed if each[1] == 0] == [(READER, 0)]


async def test_what_has_no_address_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, monkeypatch, via="health") as rig:
        rig.machine.addresses |= {READER, WRITER}
        monkeypatch.setattr(rig.machine, "left", lambda ip: 10.0 if ip == READER else math.inf)
        await rig.agent.know_lease()
        await rig.agent._leave_for_good()
        assert [each for each in rig.machine.renewed if each[1] == 0] == [(READER, 0)]


def test_it_waits_for_a_heartbeat_and_no_longer_than_its_lease_lasts() -> None:
    held = writer(length=10.0)
    assert patience(held, NOW) == 1.0 + 10.0 / 4
    assert patience(writer(length=60.0), NOW) == 1.0 + HEARTBEAT
    assert patience(held, NOW + 9.75) == 0.25


def test_one_that_does_not_hold_the_role_or_has_it_for_good_waits_for_nothing() -> None:
    assert patience(idle(), NOW) == 0.0
    assert patience(writer(length=10.0), NOW + 20.0) == 0.0
    assert patience(writer(length=FOREVER), NOW) == 0.0
    assert patience(writer(grant=None), NOW) == 0.0, "without leases all is for good"


def test_a_grant_that_ends_is_not_what_it_waits_for() -> None:
    again = writer(grant=Grant(10.0, NOW + 1.0), now=NOW + 1.0)
    assert patience(again, NOW + 1.0) > 0


def test_an_answer_tells_of_it_in_a_field_that_others_ignore() -> None:
    line = wire.encode_reply(wire.Reply("OK: Pinged!", (LEAVING,), 5.0, "t.1"))
    assert line == b"OK: Pinged!|LEAVING|T:t.1|UP:5.00\n"
    assert is_leaving(wire.decode_reply(line))
    assert not is_leaving(wire.Reply("OK: Pinged!", (), 5.0, "t.1"))
