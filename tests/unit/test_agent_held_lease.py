"""The agent's lease: tokens, promises that outlive it, and how long the kernel may keep a VIP bound."""

import math
from pathlib import Path

import pytest

from mmm.agent.act import promise_file
from mmm.agent.act.memory import Memory
from mmm.agent.decide.held_lease import KERNEL_LATE, HeldLease, begun
from mmm.lease.rules import FOREVER, Grant, Reason, Refusal, margin
from mmm.wire.status import LeaseOffer

START = 5000.0
BOOT = "0123456789ab"


def fresh(length: float = 10.0, now: float = START, kept: str = "") -> HeldLease:
    return begun(length, BOOT, now, kept)


def granted(at: float, length: float = 10.0) -> LeaseOffer:
    return LeaseOffer(length, f"{BOOT}.{round(at * 1e9)}")


def given(held: HeldLease, at: float, length: float = 10.0, *, now: float) -> HeldLease:
    return held.obeyed(held.grant(granted(at, length)), now, role=True)


def refused(held: HeldLease, offer: LeaseOffer, now: float, *, role: bool = True) -> Refusal | None:
    return held.lease.refusal(held.grant(offer), now, role=role)


def test_a_lease_is_counted_from_its_token_and_the_kernel_told_whole_seconds() -> None:
    held = given(fresh(), START + 1.0, now=START + 3.0)
    assert held.lifetime(START + 3.0) == 8
    assert held.lifetime(START + 10.6) == -1
    assert given(held, START + 2.0, FOREVER, now=START + 10.6).lifetime(START + 10.6) == 0


@pytest.mark.parametrize("length", [1.0, 3.0, 20.0])
@pytest.mark.parametrize("asked_after", [0.0, 0.3, 0.61, 0.95])
@pytest.mark.parametrize("restarted_after", [0.02, 0.99, 1.5, 1.99, 2.98])
def test_what_the_next_agent_finds_in_the_kernel_ends_before_others_may_have_the_role(
    length: float, asked_after: float, restarted_after: float
) -> None:
    """An older order has the VIP bound once more, as one from a monitor with another conf does."""
    told_at = START + asked_after
    told = given(fresh(length), START, length, now=told_at).lifetime(told_at)
    ends, now = told_at + told, told_at + restarted_after
    if told < 0 or ends <= now:
        return
    held = fresh(length, now).found(told - math.floor(now - told_at), now)
    held = given(held, START - 5.0, length, now=now)
    others = START + length + margin(length)
    assert held.lease.until <= others
    for later in (now, now + 0.3, now + 0.9, now + 1.7):
        again = held.lifetime(later)
        assert again < 0 or later + again + KERNEL_LATE <= others


def test_a_lease_that_the_kernel_keeps_is_kept() -> None:
    held = fresh(10.0).found(6.0, START)
    assert held.left(START) == 5.0
    assert given(held, START + 0.5, now=START + 0.5).lifetime(START + 0.5) == 10
    assert fresh(10.0).found(FOREVER, START).lifetime(START) == 0


def test_a_role_that_was_ordered_away_is_leaving_until_that_is_done_or_it_is_given_again() -> None:
    now = START + 5.0
    first = given(fresh(), START + 1.0, now=now)
    away = first.noted(first.grant(granted(START + 2.0)))
    again = given(away, START + 3.0, now=now)
    noted = again.noted(again.grant(granted(START + 4.0)))
    done = noted.obeyed(noted.grant(granted(START + 4.0)), now, role=False)
    assert [each.leaving for each in (first, away, again, noted, done)] == [False, True, False, True, False]


def test_tokens_of_another_boot_are_older_than_all_others() -> None:
    strange = LeaseOffer(10.0, f"ba9876543210.{round(START * 1e9) + 5}")
    assert refused(fresh(), strange, START + 1.0)
    assert refused(fresh(), LeaseOffer(10.0, "abc"), START + 1.0, role=False)


def test_a_promise_outlives_the_agent() -> None:
    held, why = fresh().promise("db2", 10.0, "", START)
    assert why == ""
    again = fresh(now=START + 1.0, kept=held.kept(START))
    refusal = refused(again, granted(START + 1.5), START + 2.0)
    assert refusal is not None
    assert (refusal.reason, refusal.stale) == (Reason.PROMISED, False)
    assert refused(again, granted(START + 11.5), START + 12.0) is None


def test_what_is_promised_is_found_in_the_file_by_the_next_agent(tmp_path: Path) -> None:
    file = tmp_path / "removed" / "agent.promise"
    assert promise_file.load(file) == promise_file.load(None) == ""
    promise_file.store(file, fresh().promise("db2", 10.0, "", START)[0].kept(START))
    assert fresh(now=START + 1.0, kept=promise_file.load(file)).bound(START + 10.0)
    file.write_bytes(b"\xff\xfe")
    assert promise_file.load(file) == ""


def test_after_a_boot_the_role_is_refused_for_as_long_as_a_promise_could_hold() -> None:
    held = fresh(now=4.0)
    assert refused(held, granted(4.5), 5.0)
    assert refused(held, granted(11.2), 11.5) is None
    assert not begun(10.0, BOOT, 4.0, keeps=False).bound(5.0)


def test_a_restart_does_not_end_what_is_refused_since_the_boot() -> None:
    first, _ = fresh(now=4.0).promise("db2", 2.0, fresh().token(3.0), 4.0)
    again = fresh(now=6.0, kept=first.kept(5.0)).given_back("db2", fresh().token(3.5))
    assert refused(again, granted(6.5), 7.0)
    assert refused(again, granted(11.2), 11.5) is None


def test_an_emptied_run_is_not_taken_for_a_host_that_has_promised_nothing(tmp_path: Path) -> None:
    """Only who finds that no agent has run in this boot, or what that one has written, is free at once."""
    memory = Memory(f"{tmp_path}/agent.pid")
    assert not memory.lease(10.0, START).bound(START)
    assert not memory.lease(10.0, START + 1.0).bound(START + 1.0)
    (tmp_path / "agent.pid.promise").unlink()
    assert memory.lease(10.0, START + 2.0).bound(START + 12.9)
    again = memory.lease(10.0, START + 3.0)
    assert again.bound(START + 12.9)
    assert not again.bound(START + 13.1)


def test_what_an_agent_of_another_boot_has_left_delays_nobody() -> None:
    ran = fresh(now=START + 500.0).mark(START + 500.0)
    assert not begun(10.0, BOOT, START, ran=ran).bound(START)
    assert not begun(10.0, "ba9876543210", START + 600.0, ran=ran).bound(START + 600.0)
    assert begun(10.0, BOOT, START + 600.0, ran=ran).bound(START + 610.0)


def test_a_promise_is_given_back_by_who_asked_for_it_up_to_then() -> None:
    holder, asked = fresh(), fresh()
    asked, _ = asked.promise("db2", 10.0, holder.token(START), START)
    early = holder.token(START + 1.0)
    asked, _ = asked.promise("db2", 10.0, holder.token(START + 2.0), START + 2.0)
    assert asked.given_back("db2", early) is asked  # a word about the older promise comes late
    assert asked.given_back("db3", holder.token(START + 2.5)) is asked
    assert asked.bound(START + 3.0)
    free = asked.given_back("db2", holder.token(START + 3.0))
    assert not free.bound(START + 3.0)
    assert not fresh(now=START + 3.0, kept=free.kept(START + 3.0)).bound(START + 3.0)


def test_promises_are_given_back_only_by_who_has_given_the_role_up() -> None:
    held = HeldLease(10.0, BOOT, START, given(fresh(), START + 0.5, now=START + 1.0).lease, 10.0, owes=True)
    assert held.gives_back(START + 1.0) == (held, "")
    gone = held.obeyed(held.grant(granted(START + 0.8)), START + 1.0, role=False)
    gone, token = gone.gives_back(START + 1.1)
    assert token == gone.token(START + 1.1)
    assert gone.gives_back(START + 1.1)[1] == ""  # nothing was asked for since
    again = given(gone, START + 1.15, 0.5, now=START + 1.2)
    late = again.renewed(START + 1.05, START + 1.2)  # an answer to what was asked before
    assert late.lease.until == again.lease.until


def test_what_one_host_gives_back_does_not_free_from_what_another_was_promised() -> None:
    held, _ = fresh().promise("db2", 10.0, fresh().token(START), START)
    held, _ = held.promise("db3", 10.0, fresh().token(START + 1.0), START + 1.0)
    held = held.given_back("db3", fresh().token(START + 1.0))
    assert held.lease.promised == START + 11.0
    assert not held.given_back("db2", fresh().token(START + 1.0)).bound(START + 1.0)


def test_a_promise_asked_for_in_another_boot_is_not_given_back() -> None:
    held, _ = fresh().promise("db2", 10.0, f"ba9876543210.{round(START * 1e9)}", START)
    back = fresh().token(START + 9.0)
    assert held.given_back("db2", back) is held
    held, _ = held.promise("db2", 10.0, fresh().token(START), START)  # which of the two came later?
    assert held.given_back("db2", back) is held


def test_no_promise_is_longer_than_the_lease_of_the_conf_nor_when_it_is_read_back() -> None:
    held, why = fresh().promise("db2", 999_999.0, "", START)
    assert "vip_lease is 10" in why
    assert held == fresh()
    kept = f'{{"boot": "{BOOT}", "promised": {START + 999_999}}}'
    assert not fresh(kept=kept).bound(START + 11.1)


def test_a_shorter_lease_in_the_conf_does_not_cut_what_was_promised_before() -> None:
    kept = fresh(20.0).promise("db2", 20.0, "", START)[0].kept(START)
    assert fresh(3.0, START + 15.0, kept).bound(START + 15.0)


def test_the_end_that_is_watched_for_is_that_of_a_lease_that_is_held_and_has_one() -> None:
    held = fresh().obeyed(Grant(10.0, START + 1.0), START + 1.0, role=True)
    assert (held.ends, fresh().ends, held.ended().ends) == (START + 11.0, FOREVER, FOREVER)
