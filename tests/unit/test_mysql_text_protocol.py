"""Answers of a server, byte by byte. Whole ones of real servers are in the fuzzer's corpus."""

from pathlib import Path

import pytest

from mmm.mysql.session.text_protocol import (
    Answer,
    Exchange,
    Failed,
    NotMysqlError,
    query,
)
from tests.fuzz.targets import CORPUS

RECORDED = sorted((CORPUS / "said").iterdir())
STATEMENT = "SHOW ALL SLAVES STATUS"
EOF = b"\xfe\0\0\x02\0"


def packets(*bodies: bytes) -> bytes:
    return b"".join(
        len(body).to_bytes(3, "little") + bytes([number]) + body for number, body in enumerate(bodies, 1)
    )


def column(name: bytes) -> bytes:
    return b"\x03def\0\0\0" + bytes([len(name)]) + name + b"\0" + b"\x0c-\0" + bytes(10)


def table(*rows: bytes, end: bytes = EOF) -> bytes:
    return packets(b"\x02", column(b"one"), column(b"two"), EOF, *rows, end)


def answer(data: bytes, exchange: Exchange | None = None) -> Answer | None:
    """Return what an answer of these bytes is, on a new session or a given one."""
    exchange = exchange or Exchange()
    exchange.ask(STATEMENT)
    return exchange.take_in(data)


def test_a_statement_is_one_packet() -> None:
    assert query("DO 1") == b"\x05\0\0\0\x03DO 1"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_an_answer_is_there_with_its_last_byte_and_not_before(path: Path) -> None:
    data = path.read_bytes()
    assert answer(data) is not None
    assert all(answer(data[:end]) is None for end in range(len(data)))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_an_answer_that_comes_byte_by_byte_is_the_same(path: Path) -> None:
    data, exchange = path.read_bytes(), Exchange()
    for _ in range(2):  # the second time it is known how it begins
        exchange.ask(STATEMENT)
        *before, last = [exchange.take_in(data[at : at + 1]) for at in range(len(data))]
        assert not any(piece is not None for piece in before)
        assert last == answer(data)


def test_null_empty_and_long_values_are_told_apart() -> None:
    long = b"\xfc\x2c\x01" + b"x" * 300
    assert answer(table(b"\xfb\0", b"\x02\xc3\xa4" + long)) == [
        {"one": None, "two": ""},
        {"one": "ä", "two": "x" * 300},
    ]


def test_columns_that_have_changed_are_not_taken_for_the_known_ones() -> None:
    exchange = Exchange()
    assert answer(table(), exchange) == []
    other = packets(b"\x01", column(b"three"), EOF, b"\x01z", EOF)
    assert answer(other, exchange) == [{"three": "z"}]


def test_an_error_is_told_also_in_the_middle_of_an_answer() -> None:
    failed = b"\xff\x15\x04#28000Access denied"
    for data in (packets(failed), table(b"\x01a\x01b", end=failed)):
        assert answer(data) == Failed(1045, "Access denied")


@pytest.mark.parametrize(
    "data",
    [
        packets(b"\xfb/etc/passwd"),
        packets(b"\0\0\0\x02\0\0\0") + b"more",
        packets(b"\xfd\xff\xff\xff"),
        packets(b"\x01", column(b"one"), column(b"two")),
        packets(b"\x01", b"\x03de"),
        table(b"\x01a"),
        table(b"\x01a\x01b\x01c"),
        table(b"\x01a\xff"),
        table(b"\x01a\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
        table(end=b"\xfe\0\0\x0a\0"),
        packets(b"\xff\x01"),
        b"\0\0\0\x01",
        b"\xff\xff\xff\x01",
        b"\x05\0\0\x02" + b"\0" * 5,
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=[
        *("asks for a file", "more behind", "too many columns", "more columns", "a column cut off"),
        *("row too short", "row too long", "length that is none", "length beyond", "several results"),
        *("error cut off", "empty packet", "huge packet", "wrong number", "another protocol"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(NotMysqlError):
        answer(data)
