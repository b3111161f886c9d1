"""One cluster for all scenarios of a run, brought back to its first state before each of them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import NET, Conf
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.up import down, up
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, LONG_LEASE, Log, Patient
from tests.second_try import second_try

HERE = Path(__file__).parent
LONG_FIRST = (
    "rejoin",
    "log_ahead",
    "lease_confs",
    "start",
    "chaos",
    "full_disk",
    "failover_kill_host",
    "monitors",
    "lease",
    "replication_starts",
    "silent_host",
    "ports",
    "states_replication",
    "torture",
    "daemons",
    "lease_short",
    "control_modes",
    "mariadb_versions",
    "mysql_cluster",
    "semi_sync",
    "shutdown",
    "states",
    "vip_health",
    "web",
    "vip_script",
    "states_flapping",
    "reload",
    "tls",
)
"""Files that take long, so that no worker begins one of them when the others have nothing left to do."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give a scenario that runs out of time a second try, in other clusters: on a busy machine that says little.

    Each second try is reported, and more than a few fail the run (tests/conftest.py). `--reruns 0` takes them away.
    The time-out is the scenario's alone: the first one of a file may have three clusters to build, which has limits.
    """
    here = [item for item in items if HERE in item.path.parents]
    order = {HERE / f"test_{name}.py": place for place, name in enumerate(LONG_FIRST)}
    here.sort(key=lambda item: order.get(item.path, len(order)))
    items[:] = [item for item in items if HERE not in item.path.parents] + here
    for item in here:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(func_only=True))
    if config.getoption("reruns") is None:
        for item in here:
            item.add_marker(second_try())


@pytest.fixture(autouse=True)
def _anew(request: pytest.FixtureRequest) -> None:
    """Let a further try have clusters of its own: what has failed may have left them in any state."""
    if getattr(request.node, "execution_count", 1) > 1:
        Kept.doubt_all()


@pytest.fixture(autouse=True)
def _status_fits() -> Iterator[None]:
    """Hold what each monitor tells of what a scenario has come to against the schema of that."""
    yield
    Kept.look_at_all()


@pytest.fixture(scope="session")
def shared() -> Iterator[Kept]:
    """Give two masters and a slave; every check has period, trap and time-out of 1 s, no failure waits for another.

    Flapping and failover_block are off, and every host is taken to settle yet when its replication stops: for how long
    its peer has been ONLINE depends on what ran before. All machines may connect to the daemons, the client's too.
    """
    top = {"allow_from": f"{NET}0/24", "vip_lease": 4}
    monitor = {"flap_count": 0, "failover_block": 0, "peer_grace": 3600}
    with kept("test", Conf(top=top, monitor=monitor)) as cluster:
        yield cluster


@pytest.fixture
def sandbox(shared: Kept) -> Sandbox:
    """Give the shared cluster healthy: db1 is the writer, every host is ONLINE."""
    return shared.healthy()


PATIENT = Conf(
    top={"vip_lease": LONG_LEASE},
    monitor={"flap_count": 0, "failover_block": 0, "peer_grace": 3},
    checks={"rep_backlog": {"max_backlog": 2}, "rep_threads": {"connect_grace": 10}},
)
"""Replicas may be 2 s behind and take 10 s to connect to their source; 3 s after a peer is ONLINE all is judged."""


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    """Give a cluster in which db3 is cut off and the agent of db2 frozen from the beginning.

    What takes a minute passes in it while other tests run: ask for it early, look at it late.
    """
    with kept("patient", PATIENT, may_rest=False) as cluster:
        sandbox = cluster.healthy()
        log = Log(sandbox)
        inject(sandbox, "cut", "db3")
        inject(sandbox, "freeze-agent", "db2")
        yield Patient(sandbox, log, time.monotonic())


@pytest.fixture(scope="session")
def calm() -> Iterator[Kept]:
    """Give a cluster for `settled_sandbox`: whoever asks for it early spares others the wait."""
    with kept("calm", PATIENT) as cluster:
        cluster.healthy()
        yield cluster


@pytest.fixture
def settled_sandbox(calm: Kept) -> Sandbox:
    """Give a healthy cluster in which every host has been ONLINE for longer than its peer is excused."""
    sandbox = calm.healthy()
    sandbox.wait_until(
        lambda: "peer_is_new" not in sandbox.ask("explain"), LIMIT, "every host is judged again"
    )
    return sandbox


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
