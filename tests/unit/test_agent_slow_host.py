"""A host that needs about as long as its lease lasts to take the role: it gets further with each order (rule 11.1)."""

import socket
from pathlib import Path

import pytest

from mmm.agent.act import write_steps
from mmm.agent.act.change import SHORTEST_LIMIT
from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.actions import PREPARED, Prepared
from mmm.agent.decide.held_lease import begun
from mmm.agent.decide.lease_watch import asks_at, pause_of
from mmm.agent.decide.obedience import READY, ready_until
from mmm.agent.decide.seen import Seen
from mmm.lease.rules import FOREVER, NEVER, Grant
from mmm.mysql.session.connection import Address
from mmm.wire.why import LEASE_OVER
from tests.unit.agents import ROLE, WRITER, conf, running

TOO_LONG = 0.5
"""Seconds after the token at which the kernel cannot be told a second any more, and the lease is still held."""


async def test_writes_that_were_allowed_within_the_lease_stay_so_for_the_order_that_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.machine.allowing = TOO_LONG
        late = await rig.order(ROLE)
        assert (late.ok, late.why, rig.machine.addresses) == (False, LEASE_OVER, set())
        assert rig.machine.writable
        assert len(rig.machine.limits) == 1, "the answer waits for no other look"
        assert (await rig.order(ROLE)).ok
        assert rig.machine.addresses == {WRITER}
        assert (rig.machine.allowed, rig.machine.caught_up) == (1, 1)


async def test_writes_that_stay_allowed_for_the_next_order_are_denied_when_none_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.machine.allowing = TOO_LONG
        assert not (await rig.order(ROLE)).ok
        rig.machine.time.now += 1.0 - TOO_LONG
        assert await rig.machine.fenced()
        assert not rig.machine.writable


async def test_a_vip_is_bound_for_what_is_left_of_the_lease_when_it_is_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        rig.machine.listening = [0.0, TOO_LONG]
        late = await rig.order(ROLE)
        assert (late.why, rig.machine.addresses) == (LEASE_OVER, set())


async def test_a_server_has_little_time_only_where_a_lease_is_to_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        for roles in (ROLE, ROLE, ""):
            assert (await rig.order(roles)).ok
        assert rig.machine.limits == [ANSWER_LIMIT, SHORTEST_LIMIT, ANSWER_LIMIT]


async def test_a_server_that_says_nothing_has_no_more_time_at_the_next_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that takes the role away waits for that one."""
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.silent = SHORTEST_LIMIT
        assert [(await rig.order(ROLE)).ok for _ in range(2)] == [False, False]
        assert rig.machine.limits == [ANSWER_LIMIT, SHORTEST_LIMIT, SHORTEST_LIMIT]


async def test_the_kernel_keeps_the_vip_while_an_order_waits_for_a_server_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts whole seconds: what is left of the lease after that is too little to tell it."""
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.renewed.clear()
        rig.machine.silent = TOO_LONG
        assert not (await rig.order(ROLE)).ok
        assert (WRITER, 1) in rig.machine.renewed


def test_a_server_that_says_nothing_is_not_asked_who_keeps_clients_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host that is to take the role would wait for that too."""
    monkeypatch.setattr(write_steps, "NOTABLE", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        session = ServerSession(Address("127.0.0.1", silent.getsockname()[1], "agent", ""), SHORTEST_LIMIT)
        steps = write_steps.WriteSteps(Workplace(conf(tmp_path)))
        steps.promoted()
        steps.free_the_way(session)
        with pytest.raises(BlockingIOError):
            silent.accept()


@pytest.mark.parametrize("length", [1.0, 2.0, 3.0, 10.0, 60.0])
def test_promises_come_while_the_kernel_can_still_be_told_a_second(length: float) -> None:
    held = begun(length, "boot", 900.0).obeyed(Grant(length, 1000.0), 1000.0, role=True)
    assert held.lifetime(1000.0 + length - (asks_at(length) - pause_of(length)) - 1e-4) > 0


def test_what_was_seen_counts_from_when_the_look_had_ended() -> None:
    look = Prepared(10.0, 12.0, Seen(frozenset()))
    assert look.counts(12.0 + PREPARED / 2, 9.0)
    assert not look.counts(12.0 + PREPARED, 9.0)
    assert not look.counts(12.0, 11.0), "it was disturbed"


@pytest.mark.parametrize(
    ("length", "until", "ready"),
    [
        (1.0, NEVER, 101.0),
        (1.0, 103.0, 103.0),
        (60.0, 160.0, 100.0 + READY),
        (FOREVER, FOREVER, 100.0 + READY),
    ],
)
def test_what_was_done_counts_for_as_long_as_promises_prolong_the_lease(
    length: float, until: float, ready: float
) -> None:
    assert ready_until(Grant(length, 100.0), until, 102.0) == ready
