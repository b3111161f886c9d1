"""How many transactions a host lacks of what the writer had."""

from dataclasses import replace

import pytest

from mmm.monitor.assess.missing import missing
from tests.unit.test_monitor_silent_lag import FAMILIES, Has, from_mysql, look, mariadb, writing
from tests.unit.worlds import NOW


@FAMILIES
@pytest.mark.parametrize("host", ["db2", "db3"])
def test_what_is_written_between_two_looks_is_not_missing_and_what_is_not_applied_is(
    has: Has, host: str
) -> None:
    after = writing()
    for second in range(3):
        after = look(after, host, has(100 * second + 60), NOW + second - 0.3)
        after = look(after, "db1", has(100 * second + 100), NOW + second)
        after = look(after, "db1", has(100 * second + 100), NOW + second)  # the other check shares the look
    assert missing(after, host) == 0
    assert missing(look(after, host, has(293), NOW + 2.7), host) == 7


@FAMILIES
def test_where_nobody_knows_it_is_not_known(has: Has) -> None:
    never_seen = look(writing(), "db1", has(100), NOW)
    assert missing(never_seen, "db2") is None
    assert missing(never_seen, "db1") is None, "the writer"
    silent = look(look(writing(), "db2", has(90), NOW), "db1", has(100), NOW - 1)
    assert missing(silent, "db2") == 10
    for second in (5, 10):
        silent = look(silent, "db1", has(100 + second), NOW + second)
    assert missing(silent, "db2") is None, "it may have applied anything since"
    assert missing(replace(silent, last_writer=None), "db2") is None


@pytest.mark.parametrize("executed", [None, from_mysql(7)], ids=["no GTIDs", "another family"])
def test_what_cannot_be_compared_is_not_known(executed: object) -> None:
    after = look(writing(), "db1", mariadb(100), NOW)
    assert missing(look(after, "db2", executed, NOW + 1), "db2") is None  # type: ignore[arg-type]


def test_what_a_host_has_written_itself_is_not_missing_there() -> None:
    after = look(writing(), "db1", mariadb(100), NOW)
    assert missing(look(after, "db2", mariadb(90), NOW + 1, origin="1"), "db2") == 0
