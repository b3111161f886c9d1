"""One cluster for all scenarios of a run, brought back to its first state before each of them."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmm.monitor.view import PEER_GRACE
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.conf import NET, Conf, fast
from mmm.sandbox.faults import inject
from mmm.sandbox.machine import SandboxError
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up
from tests.scenarios import LIMIT, Log, Patient


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give a scenario a second try: real servers on a busy machine miss a limit now and then. It is reported.

    `--reruns 0` takes it away, to see why the first one failed.
    """
    if config.getoption("reruns") is not None:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


class Shared:
    """The cluster that most scenarios share: made when first asked for, and anew when nothing else repairs it."""

    def __init__(self) -> None:
        self._name = f"test{os.getpid()}"
        self._sandbox: Sandbox | None = None

    def healthy(self) -> Sandbox:
        """Return it as it was at first; that it had to be made anew is a warning, for a scenario broke it."""
        if self._sandbox is not None:
            try:
                restore(self._sandbox)
            except (AssertionError, SandboxError) as error:
                warnings.warn(f"the shared cluster is made anew: {error}", stacklevel=2)
                self.down()
        if self._sandbox is None:
            top = {"allow_from": f"{NET}0/24"}
            conf = Conf(top=top, monitor={"flap_count": 0, "failover_block": 0})
            self._sandbox = up(self._name, conf=fast(conf))
            restore(self._sandbox)  # after its first start any master may be the writer
        return self._sandbox

    def down(self) -> None:
        """Leave nothing of it."""
        if self._sandbox is not None:
            self._sandbox = None
            down(self._name)


@pytest.fixture(scope="session")
def shared() -> Iterator[Shared]:
    """Give two masters and a slave; every check has period, trap and time-out of 1 s, no failure waits for another.

    Flapping and failover_block are off; all machines may connect to the daemons, the client's too.
    """
    if os.geteuid() != 0:
        pytest.skip("the sandbox needs root")
    cluster = Shared()
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def sandbox(shared: Shared) -> Sandbox:
    """Give the shared cluster healthy: db1 is the writer, every host is ONLINE."""
    return shared.healthy()


@contextmanager
def _cluster(kind: str) -> Iterator[Sandbox]:
    """Give a cluster whose replicas may be 2 s behind, and may take 2 s to connect to their source."""
    if os.geteuid() != 0:
        pytest.skip("the sandbox needs root")
    name = f"{kind}{os.getpid()}"
    checks = {"rep_backlog": {"max_backlog": 2}, "rep_threads": {"connect_grace": 2}}
    conf = Conf(monitor={"flap_count": 0, "failover_block": 0}, checks=checks)
    try:
        yield up(name, conf=fast(conf))
    finally:
        down(name)


@pytest.fixture(scope="session")
def patient() -> Iterator[Patient]:
    """Give a cluster in which db3 is cut off and the agent of db2 frozen from the beginning.

    What takes a minute passes in it while other tests run: ask for it early, look at it late.
    """
    with _cluster("patient") as sandbox:
        log = Log(sandbox)
        inject(sandbox, "cut", "db3")
        inject(sandbox, "freeze-agent", "db2")
        yield Patient(sandbox, log, time.monotonic())


@pytest.fixture(scope="session")
def calm() -> Iterator[Sandbox]:
    """Give a cluster for `settled_sandbox`: whoever asks for it early spares others the wait."""
    with _cluster("calm") as sandbox:
        yield sandbox


@pytest.fixture
def settled_sandbox(calm: Sandbox) -> Sandbox:
    """Give a healthy cluster in which every host has been ONLINE for more than the minute in which nobody is blamed."""
    restore(calm)
    calm.wait_until(
        lambda: "peer_is_new" not in calm.ask("explain"), PEER_GRACE + LIMIT, "every host is judged again"
    )
    return calm


@pytest.fixture(scope="session")
def bare_sandbox() -> Iterator[Sandbox]:
    """Give three replicating servers and a client without any MMM daemon; leave them as you find them."""
    if os.geteuid() != 0:
        pytest.skip("the sandbox needs root")
    name = f"bare{os.getpid()}"
    sandbox = up(name, daemons=False)
    try:
        yield sandbox
    finally:
        down(name)
