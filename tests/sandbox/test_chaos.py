"""A little chaos: random faults on real servers, judged by what clients were told. The long run: docs/chaos.md."""

from collections.abc import Iterator

import pytest

from mmm.proving.chaos.checker import Overlap, judge
from mmm.proving.chaos.plan import WRITER, Round, Strike, rounds
from mmm.proving.chaos.report import report
from mmm.proving.chaos.run import CLASSIC, CONF, Run
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.up import down, up
from tests.clusters import Kept, kept

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(400)]

SEED = 1140
SECONDS = 70.0
OUTLASTING = 15.0
"""Seconds that a cut lasts in which a classic monitor certainly gives the writer to another host."""


@pytest.fixture(scope="module")
def leased() -> Iterator[Kept]:
    with kept("chaos", CONF) as cluster:
        yield cluster


@pytest.fixture
def classic() -> Iterator[Sandbox]:
    """Give a cluster that goes apart, to be thrown away."""
    name = "chaosclassic"
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
    history = Run(classic, {"seed": 0}).go([cut], lambda _: True)
    verdict = judge(history)
    assert verdict.two_holders, report(history, verdict)
    seconds = max(overlap.until - overlap.since for overlap in verdict.two_writers)
    assert seconds > OUTLASTING / 3
    (struck,) = history.struck
    told = {
        (row.client == struck.host, row.server == struck.host)
        for row in history.rows
        if row.server and overlapping(verdict.two_writers, row.sent)
    }
    # Each side writes to its own, and both are told that it is done; more, where the cable is back before one ends.
    assert told >= {(True, True), (False, False)}


def overlapping(overlaps: list[Overlap], moment: float) -> bool:
    return any(overlap.since <= moment <= overlap.until for overlap in overlaps)
