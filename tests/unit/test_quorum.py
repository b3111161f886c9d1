"""When enough voters are bound to nobody for another monitor to take the lead (rule 14.2)."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mmm.lease.quorum import free_in, take


def test_the_lead_can_be_taken_once_more_than_half_of_all_voters_are_free() -> None:
    assert free_in([3.0, 1.0, 2.0], 3) == 2.0
    assert free_in([3.0, 1.0], 3) == 3.0
    assert free_in([0.0, 0.0, 5.0], 3) == 0.0
    assert free_in([0.0], 2) == inf
    assert free_in([], 1) == inf


@given(st.lists(st.floats(0, 100), max_size=7), st.integers(1, 7))
def test_at_that_moment_and_not_before_a_majority_is_free(left: list[float], voters: int) -> None:
    said = left[:voters]
    ends = free_in(said, voters)
    assert (ends < inf) == (len(said) >= take(voters))
    assert ends == inf or sum(each <= ends for each in said) >= take(voters)
    assert sum(each < ends for each in said) < take(voters)
