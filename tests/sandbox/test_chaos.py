"""A little chaos: random faults on real servers, judged by what clients were told. The long run: docs/chaos.md."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import gt

import pytest

from mmm.proving.chaos.checker import Overlap, judge
from mmm.proving.chaos.client import TABLE
from mmm.proving.chaos.plan import WRITER, Round, Strike, rounds
from mmm.proving.chaos.report import report
from mmm.proving.chaos.run import CLASSIC, CONF, Run
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.up import down, up
from tests.clusters import Kept, kept

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(400)]

SEED = 1140
SECONDS = 70.0
OUTLASTING = 120.0
"""Seconds that a cut lasts at most: until two hosts have been written to for a while."""
BOTH_WRITE = 5.0
LIMIT = 40.0


@pytest.fixture(scope="module")
def leased() -> Iterator[Kept]:
    with kept("chaos", CONF) as cluster:
        yield cluster


@pytest.fixture
def classic() -> Iterator[Sandbox]:
    """Give a cluster that goes apart, to be thrown away."""
    name = f"chaosclassic{os.getpid()}"
    try:
        yield up(name, conf=CLASSIC)
    finally:
        down(name)


def test_no_fault_makes_two_writers_or_loses_a_row_without_a_word(leased: Kept) -> None:
    run = Run(leased.healthy(), {"seed": SEED, "command": f"mmm_sandbox chaos --seed {SEED}"})
    history = run.go(rounds(SEED), lambda run: run.seconds > SECONDS)
    verdict = judge(history)
    assert verdict.clean, report(history, verdict)
    assert verdict.reigns > 1
    assert all(count > 100 for count in verdict.acknowledged.values())


def test_the_classic_has_two_writers_when_the_writer_is_cut_off_with_clients_beside_it(
    classic: Sandbox,
) -> None:
    """Without leases and guard it is as it was: what is above could not be seen if this were not."""
    cut: Round = (Strike("cut", WRITER, 0, OUTLASTING),)
    run = Run(classic, {"seed": 0})
    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(relent_when_both_write, classic, run)
        history = run.go([cut], lambda _: True)
        watching.result()
    verdict = judge(history)
    assert verdict.two_holders, report(history, verdict)
    seconds = max(overlap.until - overlap.since for overlap in verdict.two_writers)
    assert seconds > BOTH_WRITE
    (struck,) = history.struck
    told = {
        (row.client == struck.host, row.server == struck.host)
        for row in history.rows
        if row.server and overlapping(verdict.two_writers, row.sent)
    }
    # Each side writes to its own, and both are told that it is done; more, where the cable is back before one ends.
    assert told >= {(True, True), (False, False)}


def relent_when_both_write(sandbox: Sandbox, run: Run) -> None:
    """End the cut once both masters have been written to for longer than is asserted."""

    def wait_written() -> None:
        before = rows(sandbox)
        sandbox.wait_until(lambda: all(map(gt, rows(sandbox), before)), LIMIT, "both are written to")

    vip, both = sandbox.layout.writer_ip, sandbox.layout.masters
    try:
        sandbox.wait_until(lambda: sandbox.holders(vip) == both, 2 * LIMIT, "both have the VIP")
        wait_written()
        began = time.monotonic()
        while time.monotonic() - began < BOTH_WRITE + 1:
            wait_written()
    finally:
        run.relent()


def rows(sandbox: Sandbox) -> list[int]:
    """Return how many rows of clients each master has."""
    count = f"SELECT COUNT(*) AS n FROM {TABLE}"  # noqa: S608
    return [int(sandbox.sql(host, count)[0]["n"]) for host in sandbox.layout.masters]


def overlapping(overlaps: list[Overlap], moment: float) -> bool:
    return any(overlap.since <= moment <= overlap.until for overlap in overlaps)
