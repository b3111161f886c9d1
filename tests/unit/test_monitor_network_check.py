"""A check without an answer counts once it is known that the monitor itself was not cut off meanwhile."""

import asyncio
import time

import pytest

from mmm.config.model import Host
from mmm.monitor.act import periodic as periodic_of
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.network_check import NetworkCheck
from mmm.monitor.act.periodic import Periodic
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.check_results import CheckResult, PingChecked
from mmm.monitor.world.checks import Finding, Outcome
from mmm.monitor.world.events import Event, Network
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from tests.unit.worlds import cluster, world

LONG_AGO = -1000.0


class Wire(Pinger):
    """The network of a monitor: whether what is pinged answers, and what was pinged so far."""

    def __init__(self, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.pinged: list[str] = []

    async def ping(self, ip: str, timeout: float) -> float | None:  # noqa: ARG002, ASYNC109
        self.pinged.append(ip)
        await asyncio.sleep(0)
        return 0.001 if self.up else None


class Monitor:
    """A monitor's world, and what was posted."""

    def __init__(self, *, up: bool, heard: float = LONG_AGO) -> None:
        self.posted: list[Event] = []
        self.wire = Wire(up=up)
        conf = cluster(ping_ips=("10.0.0.254",))
        self.world: World = world(conf=conf)
        self.network = NetworkCheck(self.wire, lambda: self.world, lambda: heard, self.post)

    def post(self, event: Event) -> None:
        self.posted.append(event)
        self.world = apply(self.world, event, time.monotonic())


async def test_a_look_is_taken_where_nothing_was_heard_since_and_one_is_enough_for_all_who_wait() -> None:
    cut_off = Monitor(up=False)
    since = time.monotonic()
    await asyncio.gather(*(cut_off.network.see(since) for _ in range(5)))
    assert cut_off.posted == [Network(up=False)]


async def test_a_host_that_has_answered_since_is_enough() -> None:
    since = time.monotonic()
    monitor = Monitor(up=False, heard=since + 1)
    await monitor.network.see(since)
    assert (monitor.wire.pinged, monitor.posted) == ([], [])


class Silent(Checks):
    """Checks of hosts that do not answer; `over` is set when the first of them is."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def run(self, host: Host, name: str) -> CheckResult:  # noqa: ARG002
        return PingChecked(host.name, Finding("no_answer", {}, Outcome.ERROR))

    async def wait(self, host: Host, name: str, seconds: float, *, exit_only: bool = False) -> bool:  # noqa: ARG002
        self.over.set()
        await asyncio.sleep(3600)
        return False


async def first_check(periodic: Periodic, monitor: Monitor, checks: Silent) -> None:
    """Let the first check of db1 go on until it has been run as often as `checks` allows, and no other one."""
    first, *others = periodic.of_host(monitor.world.conf.hosts["db1"])
    for other in others:
        other.close()
    task = asyncio.create_task(first)
    await checks.over.wait()
    task.cancel()


@pytest.mark.parametrize("up", [True, False])
async def test_a_ping_without_an_answer_counts_only_where_the_network_works(*, up: bool) -> None:
    monitor, checks = Monitor(up=up), Silent()
    periodic = Periodic(
        None, checks, lambda: monitor.world, monitor.post, monitor.network.see  # type: ignore[arg-type]
    )  # fmt: skip
    await first_check(periodic, monitor, checks)
    network, *results = monitor.posted
    assert network == Network(up=up)
    assert [type(result) for result in results] == ([PingChecked] if up else [])
    took = periodic.took("db1", "ping")
    assert took is not None
    assert 0 < took < 3600
    assert periodic.took("db1", "mysql") is None, "none has ended"


async def test_a_check_that_ends_by_an_internal_error_is_begun_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the host would be believed to be as it was then, for ever."""
    monkeypatch.setattr(periodic_of, "BEGUN_AGAIN", 0.0)
    monitor, checks, failures = Monitor(up=True), Silent(), [ZeroDivisionError("of no matter")]

    def post(event: Event) -> None:
        if failures:
            raise failures.pop()
        monitor.post(event)

    periodic = Periodic(
        None, checks, lambda: monitor.world, post, monitor.network.see  # type: ignore[arg-type]
    )  # fmt: skip
    await first_check(periodic, monitor, checks)
    assert [type(result) for result in monitor.posted if isinstance(result, PingChecked)] == [PingChecked]
    assert "it is begun again" in caplog.text
