"""Which faults a seed of chaos makes."""

from itertools import islice

from mmm.proving.chaos.plan import MONITOR, rounds
from mmm.sandbox.trouble.faults import FAULTS


def test_a_seed_makes_the_same_rounds_and_another_seed_others() -> None:
    first = list(islice(rounds(1), 50))
    assert first == list(islice(rounds(1), 50))
    assert first != list(islice(rounds(2), 50))


def test_a_run_of_300_faults_has_every_kind_of_fault_singly_and_in_pairs() -> None:
    made = list(islice(rounds(1), 200))
    assert {len(strikes) for strikes in made} == {1, 2}
    strikes = [strike for each in made for strike in each]
    assert len(strikes) > 250
    assert {strike.fault for strike in strikes} == set(FAULTS) - {
        "lag"
    }  # its lock needs a replica that follows
    assert {strike.angel for strike in strikes if strike.fault == "kill-agent"} == {True, False}
    for strike in strikes:
        assert (strike.who == MONITOR) == FAULTS[strike.fault].anywhere


def test_no_pair_breaks_the_same_part_twice() -> None:
    for strikes in islice(rounds(3), 500):
        parts = [(FAULTS[strike.fault].touches, strike.who) for strike in strikes]
        assert len(set(parts)) == len(parts)
