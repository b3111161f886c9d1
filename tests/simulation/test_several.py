"""Two monitors and all that they decide, in virtual time under faults (docs/simulation.md)."""

import logging
from collections import Counter
from collections.abc import Callable
from random import SystemRandom
from typing import Any

import pytest

from mmm.lease import leading as lease
from mmm.lease.voter import Voter
from mmm.monitor.act import leading
from mmm.monitor.act.inheritance import Inheritance
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.decide import leading as decide
from tests.simulation.lead_faults import of_several
from tests.simulation.runs import run_of
from tests.simulation.scenario import LeadKind
from tests.simulation.shrink import story
from tests.simulation.tally import run_seeds

FIXED = range(40, 43)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)


def check(seeds: range, say: Callable[[str], None]) -> Counter[str]:
    tally = run_seeds(seeds, 2)
    say(f"--monitors 2, {len(seeds)} seeds, --first {seeds.start}: {len(tally.violations)} violations")
    assert not tally.violations, f"{tally}\n\n{story(of_several(tally.violations[0].seed))}"
    return tally.limits


def test_fixed_seeds_hold_and_the_lead_changes(say: Callable[[str], None]) -> None:
    assert check(FIXED, say)["the lead was taken"] > len(FIXED)


def test_new_seeds_hold(say: Callable[[str], None]) -> None:
    first = SystemRandom().randrange(10**6, 10**9)
    check(range(first, first + 2), say)


def test_a_seed_is_a_run() -> None:
    one, other = (run_of(of_several(FIXED[0]), tell=True).result().history for _ in range(2))
    assert one == other
    assert len(one) > 100


def test_every_kind_of_fault_comes_up() -> None:
    drawn = {action.kind for seed in range(100) for action in of_several(seed).actions}
    assert set(LeadKind) <= drawn


FORGETS = {
    "its history is not gone on with": (4, Chronicle, "go_on", lambda *_: None, "its history lacks"),
    "how often hosts went out of use is forgotten": (10, Inheritance, "flaps", lambda *_: {}, "went out of use"),
    "silent hosts are thought to have nothing": (
        60, decide, "remembered", lambda _conf, found, *_: found, "and who leads now was told so"
    ),
}  # fmt: skip
"""What is left out of what a standby copies: a seed that shows it, where it is, and what the books say."""


@pytest.mark.parametrize("mistake", FORGETS)
def test_a_monitor_that_comes_to_lead_and_forgets_what_it_was_told_is_found(
    mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, where, what, instead, said = FORGETS[mistake]
    monkeypatch.setattr(where, what, instead)
    found = (run_of(of_several(seed)).result().violation for seed in range(first, first + 6))
    assert any(said in violation for violation in found)


def follows_anybody(*_: Any) -> None:
    return None


@pytest.mark.parametrize("rule", ["one voter is enough", "a voter follows two"])
def test_without_a_rule_an_order_is_obeyed_though_another_leads(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rule == "one voter is enough":
        for module in (lease, leading):
            monkeypatch.setattr(module, "take", lambda _: 1)
    else:
        monkeypatch.setattr(Voter, "refusal", follows_anybody)
    found = (run_of(of_several(seed)).result().violation for seed in range(2, 27))
    assert any("has taken the lead" in violation for violation in found)
