"""An agent that starts finds the writer's VIP bound by an earlier one, on a real interface (rule 11.1)."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act import lease_jobs
from mmm.agent.act.agent import Agent
from mmm.agent.act.found_lease import found_lease
from mmm.clock import clock
from mmm.network.arp import Announcer
from mmm.network.vips import Interface
from tests.namespaces import addresses, cable, ip, own_network
from tests.unit.agents import LIMIT, READER, WRITER, Frames, Machine, at_work, conf

pytestmark = pytest.mark.netns

NEAR, FAR = "near0", "far0"
LONG, SHORT = 60, 2


@pytest.fixture
def interface() -> Iterator[Interface]:
    with own_network():
        cable(NEAR, FAR)
        with Interface(NEAR) as opened:
            yield opened


@asynccontextmanager
async def started(interface: Interface, folder: Path, length: float) -> AsyncIterator[Agent]:
    """Give an agent that has looked at what is here, and watches over its lease; its server and monitor are dead."""
    frames: Any = Frames(Machine(NEAR))
    announcer = Announcer(frames)
    agent = Agent(conf(folder, length), interface, announcer)
    await agent.know_lease()
    await agent.take_stock()
    async with at_work(agent, announcer):
        yield agent


async def test_a_vip_that_a_longer_lease_left_bound_is_cut_down_and_that_is_said(
    interface: Interface, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interface.bind(WRITER, LONG)
    with caplog.at_level(logging.WARNING):
        async with started(interface, tmp_path, 20.0) as agent:
            assert 0 < interface.left(WRITER) <= 20
            assert 0 < agent._shell.core.held.left(clock()) <= 20
    assert f"writer({WRITER}) was bound on {NEAR} for" in caplog.text
    assert "longer than vip_lease 20" in caplog.text


async def said_by(monitor: asyncio.StreamReader) -> None:
    """Wait until `ip monitor` is told of changes: one that was made before it asked for them it never says."""
    saying = asyncio.create_task(monitor.readuntil(READER.encode()))
    async with asyncio.timeout(LIMIT):
        while not saying.done():
            ip(f"addr add {READER}/32 dev {NEAR}")
            ip(f"addr del {READER}/32 dev {NEAR}")
            await asyncio.wait([saying], timeout=0.01)
    await saying


async def test_one_that_was_cut_down_is_gone_at_the_end_of_the_shorter_lease(
    interface: Interface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_jobs, "deny", lambda *_: "")
    interface.bind(WRITER, LONG)
    monitor = await asyncio.create_subprocess_exec("ip", "monitor", "address", stdout=asyncio.subprocess.PIPE)
    assert monitor.stdout is not None
    await said_by(monitor.stdout)
    async with started(interface, tmp_path, 1.0), asyncio.timeout(LIMIT):
        while WRITER.encode() not in (line := await monitor.stdout.readline()) or b"Deleted" not in line:
            assert line
        assert interface.bound() == {}
    monitor.terminate()
    await monitor.wait()


async def test_what_a_lease_of_the_same_length_left_bound_is_let_be(
    interface: Interface, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interface.bind(WRITER, LONG)
    async with started(interface, tmp_path, float(LONG)):
        assert interface.left(WRITER) > LONG / 2
    assert "cut down" not in caplog.text


def test_a_vip_that_was_bound_otherwise_is_cut_down_too(interface: Interface) -> None:
    ip(f"addr add {WRITER}/24 dev {NEAR} valid_lft {LONG} preferred_lft 0")
    (vip,) = conf(Path()).roles["writer"].vips
    assert found_lease(interface, vip, 10.0) == 10.0
    assert interface.left(WRITER) <= 10
    assert addresses(NEAR) == {f"{WRITER}/32"}


def test_one_that_is_bound_for_good_stays_so_and_one_that_is_not_bound_too(interface: Interface) -> None:
    (vip,) = conf(Path()).roles["writer"].vips
    assert found_lease(interface, vip, 10.0) == 0.0
    assert interface.bound() == {}
    interface.bind(WRITER)
    assert found_lease(interface, vip, 10.0) == math.inf
    assert interface.left(WRITER) == math.inf
