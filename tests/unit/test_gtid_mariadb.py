"""Which transactions somebody has, by MariaDB's GTIDs."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.gtid.mariadb import Gtid, History, goes_on_behind, missing, newest_everywhere, parse, surplus, text


def history(applied: str = "", logged: str = "") -> History:
    return History(parse(applied), parse(logged))


@dataclass
class Server:
    """A server that logs all it has: what real ones say can be compared with the truth."""

    number: int
    transactions: list[Gtid] = field(default_factory=list)
    replicated: Gtid | None = None

    def write(self) -> None:
        last = max((gtid.sequence for gtid in self.transactions), default=0)
        self.transactions.append(Gtid(0, self.number, last + 1))

    def replicate(self, source: "Server") -> None:
        """Apply all of the source that comes after what was last applied; like a server that is not strict."""
        have = set(self.transactions)
        for gtid in source.transactions:
            if gtid not in have:
                self.transactions.append(gtid)
            self.replicated = gtid

    def says(self) -> History:
        logged: dict[int, Gtid] = {}
        for gtid in self.transactions:
            logged[gtid.server] = gtid
        return History((self.replicated,) if self.replicated else (), tuple(logged.values()))


@given(st.lists(st.tuples(st.sampled_from(["write", "replicate"]), st.integers(0, 2), st.integers(0, 2))))
def test_nothing_is_surplus_exactly_when_the_source_has_it_all(
    events: list[tuple[str, int, int]],
) -> None:
    servers = [Server(1), Server(2), Server(3)]
    for what, one, other in events:
        if what == "write":
            servers[one].write()
        elif one != other and not surplus(servers[one].says(), servers[other].says()):
            servers[one].replicate(servers[other])
    for replica in servers:
        for source in servers:
            really = set(replica.transactions) - set(source.transactions)
            assert bool(surplus(replica.says(), source.says())) == bool(really)


def test_positions_are_read_and_written_as_the_server_does() -> None:
    assert parse("") == ()
    assert text(parse("0-1-7,1-3-20")) == "0-1-7,1-3-20"


@pytest.mark.parametrize(
    ("replica", "source", "named"),
    [
        (history("0-1-5"), history("", "0-1-9"), ""),
        (history("0-1-9"), history("", "0-1-5"), "0-1-9"),
        # an old master with a write that nobody got, while the new one went on
        (history("0-2-3", "0-1-101,0-2-3"), history("0-1-100", "0-1-100,0-2-150"), "0-1-101"),
        (history("0-2-3", "0-2-3,0-1-100"), history("0-1-100", "0-1-100,0-2-150"), ""),
        # the source was set up from a backup: it has no log of the older ones
        (history("0-1-100"), history("0-1-100", ""), ""),
        (history("0-2-105", "0-1-100,0-2-105"), history("0-2-105", "0-2-105"), ""),
        # the replica would have to go on from one that the source cannot find
        (history("0-1-100"), history("0-2-105", "0-2-105"), "0-1-100"),
        # a domain that the source has never seen
        (history("0-1-5,7-1-1"), history("", "0-1-9"), "7-1-1"),
        # the same number from different servers
        (history("", "0-1-5"), history("", "0-2-5"), "0-1-5"),
        (history(), history(), ""),
    ],
)
def test_what_the_source_lacks_is_named(replica: History, source: History, named: str) -> None:
    assert text(surplus(replica, source)) == named


@pytest.mark.parametrize(
    ("here", "wanted", "left"),
    [
        (history("0-1-5"), "0-1-5", ""),
        (history("0-1-5"), "0-1-6", "0-1-6"),
        (history(), "0-1-1", "0-1-1"),
        (history(), "", ""),
        # its own write came back as the newest of its peer
        (history("0-2-3", "0-2-3,0-1-9"), "0-1-9", ""),
        # no log here: replication being past the number is all there is to go by
        (history("0-2-9"), "0-1-6", ""),
        # numbers are past it, but by a write of its own: the wanted one is not here
        (history("0-2-4", "0-2-4,0-1-200"), "0-2-150", "0-2-150"),
        (history("0-1-5,1-1-1"), "0-1-5,1-1-2", "1-1-2"),
    ],
)
def test_what_is_not_here_yet(here: History, wanted: str, left: str) -> None:
    assert text(missing(here, parse(wanted))) == left


def test_the_newest_of_each_domain_is_the_place_to_go_on_from() -> None:
    assert text(newest_everywhere(history("0-2-50,3-2-1", "0-1-100,0-2-50"))) == "0-1-100,3-2-1"


@pytest.mark.parametrize(
    ("logged", "place"),
    [
        ("0-1-4,0-2-6", "0-2-6"),
        ("0-2-6,0-1-4", "0-1-4"),  # the source took over 0-1-4 behind its own
        ("0-2-6,0-1-5", "0-2-6"),  # it has more of server 1: where that stands its log alone tells
        ("0-1-4", "0-2-6"),  # it was set up from a backup, and has logged less
    ],
)
def test_a_replica_goes_on_behind_the_last_in_the_log_where_it_has_all_of_that(
    logged: str, place: str
) -> None:
    found = goes_on_behind(history("0-2-6", "0-1-4,0-2-6"), history("", logged))
    assert text(found) == place


def test_numbers_that_no_server_has_are_no_ids() -> None:
    assert parse(f"0-1-7,0-1-{'9' * 5000},{'9' * 30}-1-2") == (Gtid(0, 1, 7),)
