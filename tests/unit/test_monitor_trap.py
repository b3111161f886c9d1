from mmm.monitor.assess import trap
from mmm.monitor.world.checks import CheckStatus, Outcome
from tests.unit.worlds import finds

GOOD = CheckStatus(finding=finds(Outcome.OK))


def steps(*results: tuple[Outcome, float], trap_period: float = 10.0) -> CheckStatus:
    status = GOOD
    for outcome, now in results:
        status = trap.step(status, finds(outcome, f"at {now}"), now, trap_period)
    return status


def test_a_check_fails_once_it_has_been_error_for_its_trap_period() -> None:
    assert not steps((Outcome.ERROR, 100.0), (Outcome.ERROR, 109.9)).failed
    failed = steps((Outcome.ERROR, 100.0), (Outcome.ERROR, 110.0))
    assert failed.failed
    assert failed.changed == 110.0


def test_one_ok_makes_it_good_at_once_and_starts_the_trap_anew() -> None:
    assert not steps((Outcome.ERROR, 100.0), (Outcome.ERROR, 110.0), (Outcome.OK, 111.0)).failed
    assert not steps((Outcome.ERROR, 100.0), (Outcome.OK, 105.0), (Outcome.ERROR, 110.0)).failed


def test_unknown_neither_ends_nor_restarts_the_trap() -> None:
    assert steps((Outcome.ERROR, 100.0), (Outcome.UNKNOWN, 105.0), (Outcome.ERROR, 110.0)).failed
    assert not steps((Outcome.UNKNOWN, 100.0), (Outcome.UNKNOWN, 200.0)).failed


def test_ok_is_taken_whatever_came_before() -> None:
    odd = steps(
        (Outcome.ERROR, 0.0),
        (Outcome.ERROR, 10.0),
        (Outcome.UNKNOWN, 11.0),
        (Outcome.ERROR, 12.0),
        (Outcome.OK, 13.0),
    )
    assert not odd.failed
    assert odd.changed == 13.0


def test_the_newest_message_is_kept_and_the_time_of_the_last_change() -> None:
    status = steps((Outcome.ERROR, 100.0), (Outcome.ERROR, 110.0), (Outcome.ERROR, 120.0))
    assert str(status.finding) == "ERROR: at 120.0"
    assert status.changed == 110.0


def test_a_failing_check_is_repeated_when_its_trap_ends() -> None:
    failing = steps((Outcome.ERROR, 100.0))
    assert trap.due(failing, 100.0, check_period=7.0, trap_period=10.0) == 107.0
    assert trap.due(failing, 107.0, check_period=7.0, trap_period=10.0) == 110.0
    assert trap.due(GOOD, 100.0, check_period=7.0, trap_period=10.0) == 107.0


def test_one_that_is_unknown_after_its_trap_is_repeated_no_faster_than_others() -> None:
    unsure = steps((Outcome.ERROR, 100.0), (Outcome.UNKNOWN, 105.0))
    assert trap.due(unsure, 105.0, check_period=7.0, trap_period=10.0) == 110.0
    still = steps((Outcome.ERROR, 100.0), (Outcome.UNKNOWN, 105.0), (Outcome.UNKNOWN, 110.0))
    assert trap.due(still, 110.0, check_period=7.0, trap_period=10.0, lasted=2.0) == 117.0


def test_errors_seen_just_before_the_network_was_lost_do_not_count() -> None:
    status = trap.begun_anew(steps((Outcome.ERROR, 100.0)))
    assert not trap.step(status, finds(Outcome.ERROR), 200.0, 10.0).failed


def test_the_first_run_waits_for_no_trap() -> None:
    assert trap.first(Outcome.ERROR, finds(Outcome.ERROR), 5.0).failed
    assert not trap.first(Outcome.UNKNOWN, finds(Outcome.UNKNOWN), 5.0).failed


def test_an_ok_that_says_nothing_new_makes_nothing_new() -> None:
    """It comes of every host every few seconds: neither is it compared field by field, nor is anything copied."""
    assert trap.step(GOOD, finds(Outcome.OK), 200.0, 10.0) is GOOD
    assert trap.step(GOOD, finds(Outcome.OK, "3 s behind"), 200.0, 10.0) is not GOOD
