"""An agent that was started again while no monitor is heard renews what an earlier one has left here (rule 11.1)."""

import asyncio
import logging
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from mmm.agent.act.sayings import say
from mmm.agent.decide import lease_watch
from mmm.agent.decide.actions import AskPromises, LeaseOver, Reach, Renew, RenewedByPromises
from mmm.agent.decide.core import Core
from mmm.agent.decide.plan import UNKNOWN
from mmm.agent.decide.watched import Watch
from mmm.config.model import Vip
from mmm.lease.rules import NEVER
from mmm.wire.status import Status
from tests.unit.agents import LIMIT, running
from tests.unit.agents import READER as READER_IP
from tests.unit.agents import WRITER as WRITER_IP
from tests.unit.test_agent_core import NOW, READER, WRITER, idle, look, writer


def restarted(*found: tuple[Vip, float]) -> Core:
    """Return the state of an agent that has found these, each with the seconds that it is kept for."""
    core = idle()
    for vip, left in found:
        core = lease_watch.found(core, vip, left, NOW)
    return core


def test_the_vip_is_renewed_with_the_lease_before_the_first_order() -> None:
    core, actions = look(restarted((WRITER, 4.0)), NOW)
    assert any(isinstance(each, AskPromises) for each in actions)
    core, actions = lease_watch.promised(core, NOW, NOW + 0.1)
    (renew,) = (each for each in actions if isinstance(each, Renew))
    assert WRITER in renew.vips
    assert core.status.state == UNKNOWN
    assert core.held.lifetime(NOW + 0.1) == 10


def test_so_are_readers_on_a_host_that_holds_nothing_else() -> None:
    core = restarted((READER, 4.0))
    assert core.held.lease.until == NEVER
    assert lease_watch.is_due(core, NOW)
    assert Renew((READER,)) in look(core, NOW)[1]
    assert lease_watch.lifetime(core, READER, NOW) == 10
    alone = look(core, NOW + 20.0)[1]
    assert [type(each) for each in alone] == [Reach], "who reaches nobody lets them go"


def test_a_host_without_leases_has_nothing_renewed() -> None:
    for core in (idle(), restarted((READER, inf)), restarted((WRITER, inf), (READER, inf))):
        assert not core.held.leased
        assert look(core, NOW + 1.0)[1] == ()


def test_a_reader_with_an_end_tells_of_leases_whatever_was_found_of_the_writer() -> None:
    for found in ((WRITER, inf), (READER, 4.0)), ((READER, 4.0), (WRITER, inf)):
        assert restarted(*found).held.leased


def test_after_the_first_order_only_what_is_assigned_is_renewed() -> None:
    core = replace(restarted((WRITER, 4.0)), status=Status("ONLINE", (READER,), "db2"))
    assert lease_watch.standing(core) == (READER,)
    core = replace(writer(), watch=Watch(asking=NOW))
    assert Renew((WRITER,)) in lease_watch.promised(core, NOW, NOW + 0.1)[1]


def test_a_monitor_that_was_never_heard_is_said_to_be_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for heard in (inf, 12.34):
            say("db1", RenewedByPromises(heard, ("db2",)))
            say("db1", LeaseOver((WRITER,), heard))
    never, never_over, once, over = caplog.messages
    assert (
        "the monitor was not heard since the agent started: the lease is renewed by promises of db2" in never
    )
    assert (
        "not renewed by the monitor, which was not heard since the agent started, nor by promises"
        in never_over
    )
    assert "the monitor was heard 12.3 s ago: the lease" in once
    assert "the monitor, which was heard 12.3 s ago, nor" in over


async def test_a_whole_agent_has_the_kernel_keep_both_while_others_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, promises=True, stands_still=True) as rig:
        rig.machine.addresses |= {WRITER_IP, READER_IP}
        monkeypatch.setattr(rig.machine, "left", lambda _: 1.2)
        renewed = asyncio.Event()

        def renew(ip: str, lifetime: int) -> None:
            rig.machine.renewed.append((ip, lifetime))
            if {each for each, seconds in rig.machine.renewed if seconds > 0} == {WRITER_IP, READER_IP}:
                loop.call_soon_threadsafe(renewed.set)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(rig.machine, "renew", renew)
        monkeypatch.setattr(rig.agent._shell, "_is_agreed", lambda: True)
        await rig.agent.know_lease()
        async with asyncio.timeout(LIMIT):
            await renewed.wait()
        assert rig.agent._shell.core.status.state == UNKNOWN
