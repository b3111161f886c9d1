"""The agent's lease: tokens, promises that outlive it, and how long the kernel may keep a VIP bound."""

from pathlib import Path

import pytest

from mmm.agent.act import held_lease as module
from mmm.agent.act.held_lease import Tenure, boot
from mmm.lease.rules import FOREVER, Reason
from mmm.wire.agent import LeaseOffer

START = 5000.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [START]
    monkeypatch.setattr(module, "clock", lambda: moment[0])
    return moment


def granted(at: float, length: float = 10.0) -> LeaseOffer:
    return LeaseOffer(length, f"{boot()}.{round(at * 1e9)}")


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
    strange = tenure.grant(LeaseOffer(10.0, f"0123456789ab.{round(START * 1e9) + 5}"))
    assert tenure.refusal(strange, role=True)
    assert tenure.refusal(tenure.grant(LeaseOffer(10.0, "abc")), role=False)


def test_a_promise_outlives_the_agent(now: list[float], tmp_path: Path) -> None:
    file = tmp_path / "agent.promise"
    assert Tenure(10.0, file).promise("db2", 10.0) == ""
    now[0] += 1.0
    again = Tenure(10.0, file)
    now[0] += 1.0
    refusal = again.refusal(again.grant(granted(START + 1.5)), role=True)
    assert refusal is not None
    assert (refusal.reason, refusal.stale) == (Reason.PROMISED, False)
    now[0] += 10.0
    assert again.refusal(again.grant(granted(START + 11.5)), role=True) is None


def test_a_promise_that_cannot_be_written_is_not_given(now: list[float], tmp_path: Path) -> None:
    assert "cannot be kept" in Tenure(10.0, tmp_path / "missing" / "file").promise("db2", 10.0)


def test_after_a_boot_the_role_is_refused_for_as_long_as_a_promise_could_hold(
    now: list[float], tmp_path: Path
) -> None:
    now[0] = 4.0
    tenure = Tenure(10.0, tmp_path / "agent.promise")
    now[0] = 5.0
    assert tenure.refusal(tenure.grant(granted(4.5)), role=True)
    now[0] = 11.5
    assert tenure.refusal(tenure.grant(granted(11.2)), role=True) is None


def test_a_promise_is_given_back_by_who_asked_for_it_up_to_then(now: list[float], tmp_path: Path) -> None:
    holder, asked = Tenure(10.0, None), Tenure(10.0, tmp_path / "agent.promise")
    first = holder.asks()[1]
    asked.promise("db2", 10.0, first)
    now[0] += 1.0
    early = holder.gives_back()
    now[0] += 1.0
    asked.promise("db2", 10.0, holder.asks()[1])
    assert not asked.given_back("db2", early)  # a word about the older promise comes late
    assert not asked.given_back("db3", holder.token())
    bound = [asked.promises]
    now[0] += 1.0
    assert asked.given_back("db2", holder.gives_back())
    assert [*bound, asked.promises] == [True, False]
    assert not Tenure(10.0, tmp_path / "agent.promise").promises


def test_promises_are_given_back_only_by_who_has_given_the_role_up(now: list[float]) -> None:
    tenure = Tenure(10.0, None)
    now[0] += 1.0
    given(tenure, START + 0.5)
    asked = tenure.asks()[0]
    assert tenure.gives_back() == ""
    tenure.obeyed(tenure.grant(granted(START + 0.8)), role=False)
    now[0] += 0.1
    assert tenure.gives_back() != ""
    assert tenure.gives_back() == ""  # nothing was asked for since
    now[0] += 0.1
    given(tenure, START + 1.05, 0.5)
    until = tenure.lease.until
    tenure.renewed(asked + 0.05)  # an answer to what was asked before
    assert tenure.lease.until == until


def test_what_one_host_gives_back_does_not_free_from_what_another_was_promised(now: list[float]) -> None:
    tenure, db2, db3 = Tenure(10.0, None), Tenure(10.0, None), Tenure(10.0, None)
    tenure.promise("db2", 10.0, db2.asks()[1])
    now[0] += 1.0
    tenure.promise("db3", 10.0, db3.asks()[1])
    assert tenure.given_back("db3", db3.gives_back())
    assert tenure.lease.promised == START + 11.0
    assert tenure.given_back("db2", db2.gives_back())
    assert not tenure.promises


def test_a_promise_asked_for_in_another_boot_is_not_given_back(now: list[float]) -> None:
    tenure = Tenure(10.0, None)
    tenure.promise("db2", 10.0, f"0123456789ab.{round(START * 1e9)}")
    assert not tenure.given_back("db2", f"{boot()}.{round((START + 9) * 1e9)}")
    tenure.promise(
        "db2", 10.0, f"{boot()}.{round(START * 1e9)}"
    )  # which of the two came later cannot be told
    assert not tenure.given_back("db2", f"{boot()}.{round((START + 9) * 1e9)}")


def test_no_promise_is_longer_than_the_lease_of_the_conf_nor_when_it_is_read_back(
    now: list[float], tmp_path: Path
) -> None:
    file = tmp_path / "agent.promise"
    assert "vip_lease is 10" in Tenure(10.0, file).promise("db2", 999_999.0)
    assert not file.exists()
    file.write_text(f'{{"boot": "{boot()}", "promised": {START + 999_999}}}')
    tenure = Tenure(10.0, file)
    now[0] += 11.1
    assert not tenure.promises


def test_a_shorter_lease_in_the_conf_does_not_cut_what_was_promised_before(
    now: list[float], tmp_path: Path
) -> None:
    file = tmp_path / "agent.promise"
    assert Tenure(20.0, file).promise("db2", 20.0) == ""
    now[0] += 15.0
    assert Tenure(3.0, file).promises
