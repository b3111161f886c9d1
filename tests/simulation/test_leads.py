"""Two monitors in virtual time keep to the rules under faults; with one left out two are found that are obeyed."""

import logging
from math import inf
from pathlib import Path

import pytest

from mmm.agent.act import promise_file
from mmm.agent.act.voting import Voting
from mmm.lease import leading as lease
from mmm.lease.leading import Round
from mmm.lease.quorum import take
from mmm.lease.rules import NEVER, margin
from mmm.lease.voter import Voter
from mmm.monitor.act import leading
from mmm.monitor.world.leadership import Place
from tests.simulation.books import ViolationError
from tests.simulation.leads import LEASE, Run, virtual_time
from tests.unit.test_monitor_leading import OTHER, OWN, THIRD

FOUND_WITHIN = 12
"""Seeds."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise_file, "settle", lambda *_: None)
    monkeypatch.setattr(logging.getLogger("mmm"), "disabled", True)


def go(seed: int, folder: Path, *, together: bool = False) -> Run:
    with virtual_time(seed):
        run = Run(seed, folder, together=together)
        run.go()
    return run


def went_wrong(seed: int, folder: Path, *, together: bool = False) -> str:
    try:
        go(seed, folder, together=together)
    except ViolationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(1, 4))
def test_one_of_two_monitors_is_obeyed_whatever_breaks_and_one_leads_at_the_end(
    seed: int, tmp_path: Path
) -> None:
    run = go(seed, tmp_path)
    assert len(run.took) > 1, "the lead has changed"


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_another_leads_in_time_though_a_voter_is_cut_off_from_both(fault: str, tmp_path: Path) -> None:
    took = [replaced_after(fault, moment / 8, tmp_path) for moment in range(16)]
    assert max(took) < LEASE + margin(LEASE) + 0.4, (
        "what voters are bound by, slow clocks, a question, its turn"
    )


def test_one_message_in_ten_that_is_lost_makes_it_little_longer(tmp_path: Path) -> None:
    took = [replaced_after("killed", seed / 8, tmp_path, seed, of_ten=1) for seed in range(16)]
    assert max(took) < LEASE + margin(LEASE) + 2.0
    assert sorted(took)[8] < LEASE + margin(LEASE) + 0.4


def test_two_that_ask_at_once_and_part_the_voters_ask_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "_APART", 0.0)
    three = (OWN, OTHER, THIRD)
    took = [replaced_after("killed", seed / 8, tmp_path, seed, monitors=three) for seed in range(16)]
    assert max(took) < LEASE + margin(LEASE) + 1.0


@pytest.mark.parametrize("target", [OTHER, THIRD])
def test_of_three_the_one_takes_the_lead_to_which_it_is_handed_over(target: str, tmp_path: Path) -> None:
    for seed in range(8):
        with virtual_time(seed):
            run = Run(seed, tmp_path, monitors=(OWN, OTHER, THIRD))
            run.lost = 0.0
            run.until(run.now + 12.0)
            (leader,) = (each for each in run.monitors.values() if each.world.leadership.place is Place.LEADS)
            goal = target if target != leader.ip else OWN
            run.until(run.now + seed / 8)
            epochs = set(run.took)
            run.hand_over(leader, goal)
            run.until(run.now + LEASE / 4 + 2.0)
            (taken,) = set(run.took) - epochs
            assert taken.address.startswith(f"{goal}:")
            for each in run.monitors.values():
                each.end()


@pytest.mark.parametrize("monitors", [(OWN, OTHER), (OWN, OTHER, THIRD)], ids=len)
def test_who_comes_second_does_not_ask_in_vain_and_gives_the_one_that_leads_its_word(
    monitors: tuple[str, ...], tmp_path: Path
) -> None:
    """It had asked by a higher epoch, and refused its word for as long as the other one led."""
    for seed in range(8):
        with virtual_time(seed):
            run = Run(seed, tmp_path, monitors=monitors)
            run.lost = 0.0
            run.until(run.now + 12.0)
            (leader,) = (each for each in run.monitors.values() if each.world.leadership.place is Place.LEADS)
            if len(monitors) > 2:  # the other two see at one moment that the voters are free
                run.hand_over(leader, "")
                run.until(run.now + LEASE + 4.0)
            awake = run.monitors.values()
            (leader,) = (each for each in awake if each.world.leadership.place is Place.LEADS)
            run.cut_off(inf, *((ip, name) for ip in monitors for name in ("db2", "db3")))
            run.until(run.now + 3 * LEASE)
            assert leader.world.leadership.by_monitors
            for each in awake:
                each.end()


def test_of_three_one_is_obeyed_whatever_breaks_and_wherever_the_lead_is_handed_over(tmp_path: Path) -> None:
    for seed in range(2):
        with virtual_time(seed):
            run = Run(seed, tmp_path, monitors=(OWN, OTHER, THIRD))
            run.go()
        assert len(run.took) > 1, "the lead has changed"


def replaced_after(
    fault: str,
    moment: float,
    folder: Path,
    seed: int = 7,
    of_ten: int = 0,
    monitors: tuple[str, ...] = (OWN, OTHER),
) -> float:
    """Return the seconds after which another monitor is agreed to, where the leader is lost at some moment.

    Either all do not reach a voter, or of ten messages some are lost from then on.
    """
    with virtual_time(seed):
        run = Run(seed, folder, monitors=monitors)
        run.lost = 0.0
        run.until(run.now + 12.0)
        leader = next(each for each in run.monitors.values() if each.world.leadership.place is Place.LEADS)
        if not of_ten:
            run.cut_off(inf, *((ip, "db3") for ip in run.monitors))
        run.until(run.now + 3.0 + moment)
        run.lost = of_ten / 10
        lost, epochs = run.now, set(run.took)
        if fault == "killed":
            leader.end()
        leader.frozen_until = inf
        while not set(run.took) - epochs and run.now < lost + 20.0:
            run.until(run.now + 0.5)
        for each in run.monitors.values():
            if not each.gone:
                each.end()
    return min(run.took[epoch] for epoch in set(run.took) - epochs) - lost


def test_where_one_voter_is_enough_to_take_the_lead_two_are_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (lease, leading):
        monkeypatch.setattr(module, "take", lambda _: 1)
    assert any("has taken the lead" in went_wrong(seed, tmp_path) for seed in range(16, 16 + FOUND_WITHIN))


_begun = Voting._begun


def forgets(voting: Voting) -> Voter:
    return _begun(voting)._replace(epoch=None, until=NEVER, booted=NEVER)


def agrees_at_once(voter: Voter, *_: float) -> Voter:
    return voter._replace(epoch=None, until=NEVER)


def counts_anyway(round_: Round, voters: int) -> bool:
    return round_.leads or len(round_.agreed) >= take(voters)


PLANTED = {
    "one voter is enough to keep the lead": (8, lease, "keep", lambda _: 1),
    "an agent that is restarted forgets whom it follows": (28, Voting, "_begun", forgets),
    "a record counts whoever has it": (8, Round, "counts_record", counts_anyway),
    "a voter whose host has booted agrees at once": (32, Voter, "rebooted", agrees_at_once),
}
"""By the first of the seeds that it is looked for in."""


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_that_takes_two_things_to_break_is_found(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, where, what, instead = PLANTED[mistake]
    monkeypatch.setattr(where, what, instead)
    found = (went_wrong(seed, tmp_path, together=True) for seed in range(first, first + FOUND_WITHIN))
    assert any("has taken the lead" in wrong for wrong in found)


def test_what_breaks_together_makes_no_two_that_are_obeyed(tmp_path: Path) -> None:
    for seed in range(2):
        go(seed, tmp_path, together=True)
