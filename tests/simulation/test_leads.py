"""Two monitors in virtual time keep to the rules under faults; with one left out two are found that are obeyed."""

import logging
from pathlib import Path

import pytest

from mmm.agent.act import promise_file
from mmm.lease import leading as lease
from mmm.monitor.act import leading
from tests.simulation.books import ViolationError
from tests.simulation.leads import Run, virtual_time

FOUND_WITHIN = 12
"""Seeds."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise_file, "settle", lambda *_: None)
    monkeypatch.setattr(logging.getLogger("mmm"), "disabled", True)


def go(seed: int, folder: Path) -> Run:
    with virtual_time(seed):
        run = Run(seed, folder)
        run.go()
    return run


def went_wrong(seed: int, folder: Path) -> str:
    try:
        go(seed, folder)
    except ViolationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(3))
def test_one_of_two_monitors_is_obeyed_whatever_breaks_and_one_leads_at_the_end(
    seed: int, tmp_path: Path
) -> None:
    run = go(seed, tmp_path)
    assert len(run.took) > 1, "the lead has changed"


def test_where_one_voter_is_enough_to_take_the_lead_two_are_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (lease, leading):
        monkeypatch.setattr(module, "take", lambda _: 1)
    assert any("has taken the lead" in went_wrong(seed, tmp_path) for seed in range(FOUND_WITHIN))
