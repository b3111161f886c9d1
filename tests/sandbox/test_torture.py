"""A dozen moves of the writer under load: every acknowledged deed is on every host once. The long run: make torture."""

import itertools
from collections.abc import Iterator

import pytest

from mmm.proving.rounds import ROUNDS
from mmm.proving.torture import prepare, torture
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.semi_sync import options
from tests.clusters import Kept, kept

pytestmark = pytest.mark.sandbox

WAYS = {way.name: way for way in ROUNDS}
RUNS = itertools.count(1)


def run(sandbox: Sandbox, *names: str, semi_sync: bool = False) -> None:
    prepare(sandbox)
    for name in names:
        found = torture(sandbox, WAYS[name], next(RUNS), semi_sync=semi_sync)
        assert not found.bad, str(found)
        assert found.moves == WAYS[name].times, str(found)


def test_planned_moves_lose_and_double_nothing(sandbox: Sandbox) -> None:
    """In the classic a planned move under load, with a slave that lags a little, repeats or skips events."""
    run(sandbox, "planned", "planned with the slave lagging", "planned with the slave stopped")


@pytest.mark.parametrize("name", ["kill-mysqld", "freeze-mysqld", "cut"])
def test_a_crash_loses_no_more_than_was_said_and_doubles_nothing(sandbox: Sandbox, name: str) -> None:
    """What the lost writer had alone stays with it: an old row does not come over a newer one."""
    run(sandbox, name)


@pytest.fixture(scope="module")
def semi_sync() -> Iterator[Kept]:
    conf = Conf(monitor={"flap_count": 0, "failover_block": 0})
    with kept("semitort", conf, options=options("mariadb")) as cluster:
        yield cluster


def test_with_semi_sync_a_crash_loses_nothing(semi_sync: Kept) -> None:
    run(semi_sync.healthy(), "kill-mysqld", "cut", semi_sync=True)


def test_a_server_that_is_stopped_in_order_loses_nothing(sandbox: Sandbox) -> None:
    run(sandbox, "stop-mysqld", "planned")
