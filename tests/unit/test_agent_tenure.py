"""The agent's lease: tokens, promises that outlive it, and how long the kernel may keep a VIP bound."""

from pathlib import Path

import pytest

from mmm.agent import tenure as module
from mmm.agent.tenure import Tenure, boot
from mmm.lease import FOREVER
from mmm.wire.agent import Granted

START = 5000.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [START]
    monkeypatch.setattr(module, "clock", lambda: moment[0])
    return moment


def granted(at: float, length: float = 10.0) -> Granted:
    return Granted(length, f"{boot()}.{round(at * 1e9)}")


def given(tenure: Tenure, at: float, length: float = 10.0) -> None:
    tenure.obeyed(tenure.grant(granted(at, length)), role=True)


def test_a_lease_is_counted_from_its_token_and_the_kernel_told_whole_seconds(now: list[float]) -> None:
    tenure = Tenure(10.0, None)
    now[0] += 3.0
    given(tenure, START + 1.0)
    assert tenure.lifetime() == 8
    now[0] += 7.6
    assert tenure.lifetime() == -1
    given(tenure, START + 2.0, FOREVER)
    assert tenure.lifetime() == 0


def test_a_role_that_was_ordered_away_is_leaving_until_that_is_done_or_it_is_given_again(
    now: list[float],
) -> None:
    tenure, said = Tenure(10.0, None), []
    now[0] += 5.0
    given(tenure, START + 1.0)
    said.append(tenure.leaving)
    tenure.noted(tenure.grant(granted(START + 2.0)))
    said.append(tenure.leaving)
    given(tenure, START + 3.0)
    said.append(tenure.leaving)
    tenure.noted(tenure.grant(granted(START + 4.0)))
    tenure.obeyed(tenure.grant(granted(START + 4.0)), role=False)
    assert [*said, tenure.leaving] == [False, True, False, False]


def test_tokens_of_another_boot_are_older_than_all_others(now: list[float]) -> None:
    tenure = Tenure(10.0, None)
    strange = tenure.grant(Granted(10.0, f"0123456789ab.{round(START * 1e9) + 5}"))
    assert tenure.refusal(strange, role=True)
    assert tenure.refusal(tenure.grant(Granted(10.0, "abc")), role=False)


def test_a_promise_outlives_the_agent(now: list[float], tmp_path: Path) -> None:
    file = tmp_path / "agent.promise"
    assert Tenure(10.0, file).promise(10.0) == ""
    now[0] += 1.0
    again = Tenure(10.0, file)
    now[0] += 1.0
    assert "promised" in again.refusal(again.grant(granted(START + 1.5)), role=True)
    now[0] += 10.0
    assert again.refusal(again.grant(granted(START + 11.5)), role=True) == ""


def test_a_promise_that_cannot_be_written_is_not_given(now: list[float], tmp_path: Path) -> None:
    assert "cannot be kept" in Tenure(10.0, tmp_path / "missing" / "file").promise(10.0)


def test_after_a_boot_the_role_is_refused_for_as_long_as_a_promise_could_hold(
    now: list[float], tmp_path: Path
) -> None:
    now[0] = 4.0
    tenure = Tenure(10.0, tmp_path / "agent.promise")
    now[0] = 5.0
    assert tenure.refusal(tenure.grant(granted(4.5)), role=True)
    now[0] = 11.5
    assert tenure.refusal(tenure.grant(granted(11.2)), role=True) == ""
