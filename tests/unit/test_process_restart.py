"""When the angel starts its worker again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.process.restart import Again, End, GiveUp, Policy, after

POLICY = Policy()


def test_a_worker_that_is_done_is_not_started_again() -> None:
    assert after(0, (1.0, 2.0), 3.0, POLICY) == End()


@pytest.mark.parametrize(("status", "delay"), [(-9, 0.0), (-15, 0.0), (1, 10.0), (255, 10.0)])
def test_a_signal_means_at_once_and_an_exit_status_a_pause(status: int, delay: float) -> None:
    assert after(status, (), 100.0, POLICY) == Again(delay, (100.0,))


def test_the_tenth_failure_in_five_minutes_is_the_last() -> None:
    nine = tuple(float(moment) for moment in range(9))
    assert after(1, nine[:8], 299.0, POLICY) == Again(10.0, (*nine[:8], 299.0))
    assert after(1, nine, 299.0, POLICY) == GiveUp(10)
    assert after(1, nine, 300.0, POLICY) == Again(10.0, (*nine[1:], 300.0))


@given(st.lists(st.floats(0.001, 1000), max_size=60), st.sampled_from([-11, 1, 7]))
def test_it_gives_up_exactly_when_ten_failures_fall_into_five_minutes(gaps: list[float], status: int) -> None:
    moments: list[float] = []
    failures: tuple[float, ...] = ()
    now = 0.0
    for gap in gaps:
        now += gap
        moments.append(now)
        decision = after(status, failures, now, POLICY)
        if sum(now - moment < 300 for moment in moments) >= 10:
            assert decision == GiveUp(10)
            return
        assert isinstance(decision, Again)
        failures = decision.failures
