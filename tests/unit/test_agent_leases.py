"""An agent whose lease ends while it carries out an order: the whole agent, its server and interface are stand-ins."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act import shell
from mmm.agent.decide.obedience import believes
from mmm.lease.rules import NEVER, margin
from mmm.wire.agent import PROMISE, RELEASE, decode_reply
from mmm.wire.lead import CONF
from mmm.wire.promises import left_in
from mmm.wire.status import is_without
from mmm.wire.why import LEASE_OVER, PROMISED
from tests.unit.agents import LENGTH, LIMIT, MONITOR, READER, ROLE, WRITER, running


async def test_a_vip_whose_lease_ends_meanwhile_is_not_announced_and_the_order_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.slow_look = True
        reply = await rig.order(ROLE)
        assert (reply.ok, reply.why) == (False, LEASE_OVER)
        assert rig.announcer.held == frozenset()
        assert not rig.machine.writable
        rig.machine.slow_look = False
        assert (await rig.order(ROLE)).ok
        assert rig.announcer.held == {WRITER}


async def test_writes_that_were_allowed_when_the_lease_was_over_are_denied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.machine.slow_server = True
        reply = await rig.order(ROLE)
        assert (reply.ok, reply.why) == (False, LEASE_OVER)
        assert not rig.machine.writable
        assert rig.machine.addresses == set()


@pytest.mark.parametrize(("key", "value"), [("hosts", ("db1", "db2", "db9")), ("ips", ("10.88.0.81",))])
async def test_who_refuses_the_role_for_its_conf_and_does_not_hold_it_is_made_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: tuple[str, ...]
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        writer = rig.conf.roles["writer"]
        writer = replace(writer, hosts=value) if key == "hosts" else replace(writer, ips=value)
        other = replace(rig.conf, roles={**rig.conf.roles, "writer": writer})
        rig.machine.writable = True
        assert not is_without(await rig.order(ROLE, by=other)), "an earlier agent may have left it a lease"
        before = rig.machine.writable
        await rig.agent.know_lease()
        await rig.agent.take_stock()
        reply = await rig.order(f"{ROLE},reader({READER})", by=other)
        assert (reply.ok, reply.why) == (False, CONF)
        assert is_without(reply) is (key == "hosts"), "the monitor's VIP may be bound, which it does not know"
        assert before
        assert not rig.machine.writable
        assert rig.machine.addresses == {READER}


async def test_who_refuses_the_role_for_its_conf_keeps_what_is_left_of_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        await rig.agent.know_lease()
        await rig.agent.take_stock()
        assert (await rig.order(ROLE, length=600)).ok
        reply = await rig.order(ROLE, by=replace(rig.conf, vip_lease=20.0))
        assert (reply.why, is_without(reply)) == (CONF, False)
        assert rig.machine.writable
        assert rig.machine.addresses == {WRITER}


async def test_no_lease_is_kept_for_a_vip_that_could_not_be_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.refuses = {WRITER}
        reply = await rig.order(ROLE, length=600)
        assert not reply.ok
        assert "cannot bind" in reply.text
        assert not rig.machine.writable
        assert rig.until == NEVER


async def test_a_role_that_is_gone_has_no_lease_though_something_else_of_the_order_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.refuses = {READER}
        assert not (await rig.order(f"reader({READER})")).ok
        assert rig.until == NEVER
        assert not rig.machine.writable


async def test_a_lease_is_kept_for_a_vip_that_is_bound_whatever_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.refuses = {READER}
        assert not (await rig.order(f"{ROLE},reader({READER})", length=600)).ok
        assert rig.until > 0
        assert rig.machine.writable


@pytest.mark.parametrize(
    "sign", ["another MAC claims the VIP", "the wall clock has gone on without the other one"]
)
async def test_a_host_that_was_paused_asks_and_gives_up_what_another_host_has_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, monkeypatch, promises=True) as rig:
        await rig.agent.know_lease()
        await rig.agent.take_stock()
        assert (await rig.order(ROLE, length=600)).ok
        rig.machine.refuses_promises = True
        if sign.startswith("another"):
            assert rig.agent.claimed(WRITER)
        else:
            monkeypatch.setattr(shell, "wall_ahead", lambda: 1e9)
        assert await rig.machine.fenced()
        assert not rig.machine.writable
        assert rig.machine.addresses == set()
        assert rig.until == NEVER
    assert "another host has it: db2, which answers 'ERROR: this host holds the role itself'" in caplog.text


async def test_who_gives_the_role_up_gives_back_what_it_was_promised_before_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, promises=True, stands_still=True) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.time.now += 0.7 * LENGTH
        async with asyncio.timeout(LIMIT):
            await rig.machine.asked.wait()
        assert (await rig.order("")).ok
        asked = [each for each in rig.machine.heard if each.command == PROMISE]
        (given_back,) = (each for each in rig.machine.heard if each.command == RELEASE)
        assert given_back.params[0] == "db1"
        assert int(given_back.params[1].partition(".")[2]) >= int(asked[-1].params[2].partition(".")[2])
        assert (await rig.order("")).ok
        assert len([each for each in rig.machine.heard if each.command == RELEASE]) == 1


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ("PROMISE|1|db1|db2|1|other.7", True),
        ("PROMISE|1|db1|db2|2|other.7", False),
        ("PROMISE|1|db1|db3|1|other.7", False),
        ("PROMISE|1|db1|db1|1|other.7", False),
    ],
)
async def test_a_promise_is_for_a_host_of_the_role_and_no_longer_than_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, *, ok: bool
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        assert decode_reply(await rig.agent.answer(line.encode(), MONITOR)).ok is ok


async def test_who_refuses_the_role_for_a_promise_says_for_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert decode_reply(await rig.agent.answer(b"PROMISE|1|db1|db2|1|other.7", MONITOR)).ok
        refused = await rig.order(ROLE)
        assert refused.why == PROMISED
        left = left_in(refused)
        assert left is not None
        assert 0 < left <= 1 + margin(1)
        assert left_in(await rig.order("")) is None


@pytest.mark.parametrize(
    ("master", "heard", "other"),
    [("db1", 1.0, ""), ("", 1.0, ""), ("db2", 1.0, "db2"), ("db2", 6.0, ""), ("db2", math.inf, "")],
)
def test_what_the_monitor_said_of_the_active_master_counts_for_half_a_lease(
    master: str, heard: float, other: str
) -> None:
    assert believes(master, "db1", heard, 10.0) == other


async def test_an_order_that_took_longer_than_its_lease_is_done_at_once_by_a_younger_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.machine.slow_peer = True
        late = await rig.order(ROLE)
        assert (late.ok, late.why, rig.machine.caught_up) == (False, LEASE_OVER, 1)
        assert (await rig.order(ROLE, length=600)).ok
        assert rig.machine.caught_up == 1
        assert rig.machine.writable


async def test_what_was_done_for_a_role_is_done_anew_when_the_role_was_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.refuses = {WRITER}
        assert not (await rig.order(ROLE, length=600)).ok
        assert (await rig.order("")).ok
        rig.machine.refuses = set()
        assert (await rig.order(ROLE, length=600)).ok
        assert rig.machine.caught_up == 2
