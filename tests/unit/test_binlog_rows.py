"""What is too long to be sent at once goes in several parts, which do the same."""

import base64
import struct
import zlib

import pytest

from mmm.binlog.events import DamagedError, events
from mmm.binlog.rows import in_parts

TABLE_MAP, WRITE, UPDATE, QUERY = 19, 30, 31, 2


def event(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    """Return an event with a checksum; `flags` are those of rows."""
    body = bytes(6) + struct.pack("<H", flags) + body
    head = struct.pack("<IBIIIH", 0, kind, 1, 19 + len(body) + 4, 0, 0)
    return head + body + zlib.crc32(head + body).to_bytes(4, "little")


def statement(*these: bytes) -> bytes:
    """Return them as the programs print them: each by itself, in lines of 76 characters."""
    texts = [base64.b64encode(each).decode() for each in these]
    lines = [text[at : at + 76] for text in texts for at in range(0, len(text), 76)]
    return "\n".join(("BINLOG '", *lines, "'")).encode()


def read(part: bytes) -> list[tuple[int, bytes, int]]:
    """Return kind, body and flags of the events of a statement; a checksum that is wrong is an error."""
    assert part.startswith(b"BINLOG '\n")
    assert part.endswith(b"\n'")
    data = b"".join(base64.b64decode(line) for line in part[9:-2].split(b"\n"))
    found = list(events(data, checksums=True))
    assert found[-1].end == len(data)
    return [(each.kind, each.body[8:], each.body[6]) for each in found]


MAPS = (event(TABLE_MAP, b"one"), event(TABLE_MAP, b"two"))
ROWS = [event(WRITE, bytes([number]) * 100, flags=2) for number in range(9)]
LAST = event(UPDATE, b"last" * 25, flags=3)


def test_a_long_one_is_sent_in_parts_that_each_name_the_tables_and_end_a_statement() -> None:
    parts = [read(part) for part in in_parts(statement(*MAPS, *ROWS, LAST), checksums=True, most=400)]
    assert len(parts) > 2
    assert all([body for kind, body, _ in part if kind == TABLE_MAP] == [b"one", b"two"] for part in parts)
    rows = [[each for each in part if each[0] != TABLE_MAP] for part in parts]
    assert [body for part in rows for _, body, _ in part] == [bytes([n]) * 100 for n in range(9)] + [
        b"last" * 25
    ]
    assert [[flags for _, _, flags in part] for part in rows] == [
        [2] * (len(part) - 1) + [3] for part in rows
    ]


@pytest.mark.parametrize(
    "text", [b"BEGIN", statement(*MAPS, LAST), b"INSERT INTO t VALUES ('BINLOG \\'" + b"x" * 999]
)
def test_what_is_short_or_no_rows_is_sent_as_it_is(text: bytes) -> None:
    assert list(in_parts(text, checksums=True, most=600)) == [text]


def test_one_event_that_is_longer_goes_alone() -> None:
    large = event(WRITE, b"x" * 5000)
    parts = list(in_parts(statement(MAPS[0], large, LAST), checksums=True, most=400))
    assert [[kind for kind, _, _ in read(part)] for part in parts] == [
        [TABLE_MAP, WRITE],
        [TABLE_MAP, UPDATE],
    ]


@pytest.mark.parametrize(
    "broken",
    [
        statement(*MAPS, *ROWS, event(QUERY, b"x")),
        statement(*MAPS, *ROWS, LAST[:-1]),
        statement(*MAPS, *ROWS, LAST[:50] + b"?" + LAST[51:]),
        statement(*MAPS, *ROWS, LAST).replace(b"A", b"!", 1),
    ],
    ids=["no rows", "cut off", "checksum", "no base64"],
)
def test_what_cannot_be_parted_is_an_error(broken: bytes) -> None:
    with pytest.raises(DamagedError):
        list(in_parts(broken, checksums=True, most=400))
