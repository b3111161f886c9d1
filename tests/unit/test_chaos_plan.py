"""Which faults a seed of chaos makes."""

from itertools import islice

from mmm.proving.chaos.plan import MONITOR, STANDS_BY, WITNESS, rounds
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
    # The lock of lag needs a replica that follows, there is one monitor, and no witness to be switched off.
    assert {strike.fault for strike in strikes} == set(FAULTS) - {"lag", "cut-monitors-apart", "power-off"}
    assert {strike.angel for strike in strikes if strike.fault == "kill-agent"} == {True, False}
    for strike in strikes:
        assert (strike.who == MONITOR) == FAULTS[strike.fault].anywhere


def test_with_several_monitors_those_are_met_that_lead_and_that_stand_by() -> None:
    strikes = [strike for each in islice(rounds(1, monitors=2), 200) for strike in each]
    assert {strike.fault for strike in strikes} == set(FAULTS) - {"lag", "power-off"}
    met = {(strike.fault, strike.who) for strike in strikes if FAULTS[strike.fault].anywhere}
    assert met == {(fault, who) for fault in FAULTS if FAULTS[fault].anywhere for who in (MONITOR, STANDS_BY)}


def test_a_witness_meets_every_fault_that_needs_no_server_and_is_the_only_one_switched_off() -> None:
    made = list(islice(rounds(1, monitors=2, witness=True), 300))
    strikes = [strike for each in made for strike in each]
    assert {strike.fault for strike in strikes} == set(FAULTS) - {"lag"}
    without = {name for name, fault in FAULTS.items() if fault.of_server or fault.anywhere}
    assert {strike.fault for strike in strikes if strike.who == WITNESS} == set(FAULTS) - without
    assert {strike.who for strike in strikes if strike.fault == "power-off"} == {WITNESS}
    for pair in (each for each in made if len(each) > 1):
        assert "power-off" not in {each.fault for each in pair} or pair[0].who != pair[1].who


def test_no_pair_breaks_the_same_part_twice() -> None:
    for strikes in islice(rounds(3), 500):
        parts = [(FAULTS[strike.fault].touches, strike.who) for strike in strikes]
        assert len(set(parts)) == len(parts)
