"""What keeps a host from catching up: what may pass is waited for, and only what a copy mends is a reason for one."""

from dataclasses import replace

import pytest

from mmm.mysql.server.replica_status import ReplicaStatus, parse_status
from mmm.tools.rejoin.hindrance import RECONNECT_LIMIT, hindrance

LONG = RECONNECT_LIMIT + 1.0


def status(io_running: str, io_errno: int, sql_running: str = "Yes", sql_errno: int = 0) -> ReplicaStatus:
    return parse_status(
        {
            "Master_Host": "10.0.0.2",
            "Slave_IO_Running": io_running,
            "Slave_SQL_Running": sql_running,
            "Last_IO_Errno": io_errno,
            "Last_IO_Error": "io" if io_errno else "",
            "Last_SQL_Errno": sql_errno,
            "Last_SQL_Error": "sql" if sql_errno else "",
        }
    )


@pytest.mark.parametrize(
    "number",
    [pytest.param(2003, id="nobody listens"), pytest.param(2013, id="the connection broke"),
     pytest.param(1053, id="it is shutting down"), pytest.param(1040, id="too many connections")],
)  # fmt: skip
def test_a_source_that_restarts_is_waited_for_and_never_a_reason_for_a_copy(number: int) -> None:
    tries = status("Connecting", number)
    assert hindrance(tries, RECONNECT_LIMIT) is None
    found = hindrance(tries, LONG)
    assert found == (f"io ({number})", False)


def test_a_server_that_has_given_up_its_lost_source_is_waited_for_all_the_same() -> None:
    """Somebody may start it again meanwhile."""
    assert hindrance(status("No", 2003), 1.0) is None
    assert hindrance(status("No", 2003), LONG) == ("io (2003)", False)


@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(status("Connecting", 1045), id="turned away"),
        pytest.param(status("No", 1593), id="given up"),
    ],
)
def test_what_waiting_does_not_mend_ends_it_at_once_and_a_copy_would_not_mend_it_either(
    fails: ReplicaStatus,
) -> None:
    found = hindrance(fails, 0.0)
    assert found is not None
    assert not found.by_data


@pytest.mark.parametrize(
    "fails",
    [pytest.param(status("No", 1236), id="the log is gone"),
     pytest.param(status("Yes", 0, "No", 1062), id="a row is there already"),
     pytest.param(status("Connecting", 2003, "No", 1032), id="a row is missing, and the source is lost")],
)  # fmt: skip
def test_data_that_do_not_fit_are_a_reason_for_a_copy(fails: ReplicaStatus) -> None:
    found = hindrance(fails, 0.0)
    assert found is not None
    assert found.by_data


def test_nothing_is_in_the_way_of_threads_that_run_whatever_they_said_before() -> None:
    assert hindrance(status("Yes", 2003), LONG) is None
    assert hindrance(status("Yes", 0, "Yes", 1213), LONG) is None
    assert hindrance(status("No", 0, "No"), LONG) is None
    assert hindrance(replace(status("Yes", 0), seconds_behind=7), LONG) is None
    assert hindrance(None, LONG) is None
