"""Whole transactions are found in binary logs of real servers, and those of them that another server lacks."""

import zlib
from pathlib import Path

import pytest

from mmm.binlog.contents import contents
from mmm.binlog.events import GTID_LIST, HEAD, PREVIOUS_GTIDS, DamagedError, EncryptedError, read_format
from mmm.binlog.heads import logged
from mmm.binlog.transactions import Found, Problem, UnusableError, find, joined, lacking, missing, reached
from mmm.gtid import mariadb, mysql
from mmm.gtid.mariadb import History
from mmm.gtid.place import LogPlace

LOGS = Path(__file__).parents[1] / "fuzz/corpus/binlog"
UUID = "[0-9a-f-]{36}"


def read(name: str, cut: int = 0) -> Found:
    data = (LOGS / name).read_bytes()
    form = read_format(data)
    return find(form, "bin.000001", data[len(form.head) : len(data) - cut])


def has(applied: str, logged: str = "") -> History:
    return History(mariadb.parse(applied), mariadb.parse(logged))


@pytest.mark.parametrize("name", ["mariadb", "mysql"])
def test_every_transaction_of_a_killed_server_is_found(name: str) -> None:
    found = read(name)
    assert len(found.transactions) == 8
    assert (found.problem, found.rest) == (None, 0)
    size = (LOGS / name).stat().st_size
    assert found.transactions[-1].end == LogPlace("bin.000001", size)


@pytest.mark.parametrize("name", ["mariadb", "mysql"])
def test_wherever_a_log_ends_only_whole_transactions_are_found(name: str) -> None:
    whole = read(name).transactions
    length = sum(len(each.data) for each in whole)
    for cut in range(1, length):
        found = read(name, cut)
        assert found.transactions == whole[: len(found.transactions)]
        assert found.problem is None
        assert sum(len(each.data) for each in found.transactions) + found.rest == length - cut


@pytest.mark.parametrize("name", ["mariadb", "mysql"])
def test_no_bit_may_be_another(name: str) -> None:
    data = (LOGS / name).read_bytes()
    form, whole = read_format(data), read(name).transactions
    tail = data[len(form.head) :]
    for place in range(len(data) - sum(len(each.data) for each in whole) - len(form.head), len(tail), 7):
        broken = tail[:place] + bytes([tail[place] ^ 0x10]) + tail[place + 1 :]
        found = find(form, "bin.000001", broken)
        assert len(found.transactions) < len(whole)
        assert found.transactions == whole[: len(found.transactions)]


def listing(kind: int, body: bytes) -> bytes:
    """An event that lists what was in a log before a file of it, with its checksum."""
    event = HEAD.pack(0, kind, 1, HEAD.size + len(body) + 4, 0, 0) + body
    return event + zlib.crc32(event).to_bytes(4, "little")


@pytest.mark.parametrize(("name", "kind"), [("mariadb", GTID_LIST), ("mysql", PREVIOUS_GTIDS)])
def test_what_was_in_a_log_before_a_file_of_it_may_be_as_long_as_it_likes(name: str, kind: int) -> None:
    data = (LOGS / name).read_bytes()
    form = read_format(data)
    many = 5000
    long = {GTID_LIST: many.to_bytes(4, "little") + bytes(16 * many),
            PREVIOUS_GTIDS: many.to_bytes(8, "little") + bytes(24 * many)}[kind]  # fmt: skip
    data = form.head + listing(kind, long) + data[len(form.head) :]
    found = logged(lambda at, length: data[at : at + length], len(form.head), len(data), checksums=True)
    assert len(list(found)) == 8


@pytest.mark.parametrize(
    ("name", "kind", "body"),
    [("mariadb", GTID_LIST, (9).to_bytes(4, "little") + bytes(16)),
     ("mysql", PREVIOUS_GTIDS, (1).to_bytes(8, "little") + bytes(16) + (9).to_bytes(8, "little") + bytes(16))],
)  # fmt: skip
def test_a_list_of_gtids_that_names_more_than_it_has_is_damaged(name: str, kind: int, body: bytes) -> None:
    """Nothing is made of a number that may be any."""
    head = read_format((LOGS / name).read_bytes()).head
    with pytest.raises(UnusableError):
        list(contents([head, listing(kind, body)]))


def test_what_is_here_is_not_taken_again() -> None:
    found = read("mariadb")
    assert len(lacking(found, has("0-1-5", "0-1-5")).transactions) == 3
    assert lacking(found, has("0-1-8")).transactions == ()
    assert len(missing(found, has("0-1-5"))) == 3
    assert reached(found, has("0-1-5")) == found.transactions[4].end
    assert reached(found, has("")) is None


def test_one_that_does_not_follow_on_what_is_here_is_not_taken() -> None:
    found = read("mariadb")
    without = Found(found.transactions[4:])
    assert lacking(without, has("0-1-2")).problem is Problem.GAP
    assert lacking(found, has("0-1-5", "0-1-5,0-2-6")).problem is Problem.DIVERGED
    assert lacking(found, has("", "")).transactions == found.transactions


def test_mysql_goes_by_every_single_number() -> None:
    found = read("mysql")
    origin = found.transactions[0].name.partition(":")[0]
    assert len(lacking(found, mysql.parse(f"{origin}:1-5")).transactions) == 3
    assert lacking(Found(found.transactions[4:]), mysql.parse(f"{origin}:1-2")).problem is Problem.GAP
    assert lacking(found, mysql.parse("")).transactions == found.transactions


def test_files_follow_each_other_but_not_in_the_middle_of_a_transaction() -> None:
    found = read("mariadb")
    first, second = Found(found.transactions[:4]), Found(found.transactions[4:])
    assert joined([first, second]).transactions == found.transactions
    cut = joined([Found(found.transactions[:4], rest=9), second])
    assert (cut.transactions, cut.problem) == (found.transactions[:4], Problem.DAMAGED)


@pytest.mark.parametrize("beginning", [b"", b"\xfebi", b"\xfebin", b"hello", b"\xfebin" + b"\0" * 40])
def test_what_is_no_log_is_refused(beginning: bytes) -> None:
    with pytest.raises(DamagedError):
        read_format(beginning)


def test_mysqls_encrypted_log_is_known_by_its_beginning() -> None:
    with pytest.raises(EncryptedError):
        read_format(b"\xfdbin" + b"\0" * 600)
