"""What one server has and another lacks, as it is told to people."""

import pytest

from mmm.gtid import mysql
from mmm.gtid.mariadb import History, parse
from mmm.gtid.transactions import Transactions, shown, surplus

ONE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
TWO = "4d22fa47-71ca-11e1-9e33-c80aa9429562"


def history(applied: str = "", logged: str = "") -> History:
    return History(parse(applied), parse(logged))


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (history("", "0-1-100"), history("0-1-100", "0-1-100,0-2-150"), ""),
        (history("", "0-1-101"), history("0-1-100", "0-1-100,0-2-150"), "1 transaction (0-1-101)"),
        (
            history("", "0-1-110"),
            history("0-1-100", "0-1-100,0-2-150"),
            "10 transactions (0-1-101 to 0-1-110)",
        ),
        # the other keeps no log of what it replicates
        (history("", "0-1-110"), history("0-1-100"), "10 transactions (0-1-101 to 0-1-110)"),
        # another server has written in between
        (
            history("0-3-105", "0-1-110,0-3-105"),
            history("0-1-100,0-3-105"),
            "up to 10 transactions (0-1-101 to 0-1-110)",
        ),
        # it never wrote before: its numbers went on from those of the domain
        (history("0-1-100", "0-1-100,0-3-103"), history("0-1-100"), "3 transactions (0-3-101 to 0-3-103)"),
        # the other was asked a moment earlier, and goes on writing
        (history("0-2-160", "0-1-100,0-2-160"), history("0-1-100", "0-1-100,0-2-150"), ""),
        (history("", "7-1-2"), history("", "0-2-150"), "2 transactions (7-1-1 to 7-1-2)"),
    ],
)
def test_what_mariadb_has_more_is_counted_and_named(here: History, there: History, said: str) -> None:
    assert str(surplus(here, there, not_of="2") or "") == said


def test_what_mysql_has_more_is_counted_and_named() -> None:
    here = mysql.parse(f"{ONE}:1-110,{TWO}:1-9")
    there = mysql.parse(f"{ONE}:1-100,{TWO}:1-5")
    more = surplus(here, there, not_of=TWO)
    assert str(more) == f"10 transactions ({ONE}:101-110)"
    assert surplus(there, here) is None
    assert surplus(here, history("", "0-1-1")) is None


def test_what_was_received_counts_as_got() -> None:
    mariadb = Transactions(0.0, "2", history("0-1-5", "0-1-5"), received=history("0-1-9"))
    assert mariadb.got is not None
    assert surplus(history("", "0-1-9"), mariadb.got) is None
    sets = Transactions(0.0, TWO, mysql.parse(f"{ONE}:1-5"), received=mysql.parse(f"{ONE}:6-9"))
    assert shown(sets.got) == f"{ONE}:1-9"
    assert shown(Transactions(0.0).got) == "no GTIDs"
