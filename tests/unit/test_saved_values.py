"""What the servers' programs print of values and events is read for what it was, whatever is in it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmm.tools.saved.layouts import Layouts, Table, alters
from mmm.tools.saved.now import same
from mmm.tools.saved.printed import Change, Row, Said, Statement, items
from mmm.tools.saved.sql import Writer
from mmm.tools.saved.values import Cell, Column, literal, quoted, read_cell

OF_MYSQL = {0x5C: b"\\\\", 0x27: b"\\'", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x08: b"\\b"}
TEN = ",".join(f"'l{at}'" for at in range(10))
CLOSE = b"' /* INT meta=0 nullable=1 is_null=0 */"


def of_mysql(value: bytes) -> bytes:
    """Return what mysqlbinlog prints of a string."""
    return b"".join(
        OF_MYSQL.get(byte) or (b"\\x%02x" % byte if byte < 0x20 else bytes((byte,))) for byte in value
    )


def of_mariadb(value: bytes) -> bytes:
    """Return what mariadb-binlog prints of it."""
    return b"".join(b"\\x%02x" % byte if byte < 0x20 else bytes((byte,)) for byte in value)


def line(text: bytes, kind: bytes = b"VARSTRING(80)") -> bytes:
    return b"###   @3='" + text + b"' /* " + kind + b" meta=80 nullable=1 is_null=0 */\n"


@given(st.binary())
@example(b"\\x0a")
@example(CLOSE)
@example(b"''\\")
def test_a_string_that_mysql_prints_is_what_it_was(value: bytes) -> None:
    assert read_cell(line(of_mysql(value)), mariadb=False) == (3, Cell("VARSTRING", value))


@given(st.binary())
@example(b"\\x0a")
@example(CLOSE)
def test_a_string_that_mariadb_prints_is_what_it_was_or_known_to_be_in_doubt(value: bytes) -> None:
    read = read_cell(line(of_mariadb(value)), mariadb=True)
    assert read is not None
    as_escapes = re.sub(rb"\\x([01][0-9a-f])", lambda found: bytes((int(found[1], 16),)), value)
    assert read[1].value == as_escapes
    assert read[1].doubtful or as_escapes == value


@given(st.text())
def test_a_string_of_sql_stands_on_one_line_and_is_closed(text: str) -> None:
    shown = quoted(text)
    assert "\n" not in shown
    assert "\r" not in shown
    inner = re.fullmatch(r"'((?:[^'\\]|\\.|'')*)'", shown, re.DOTALL)
    assert inner is not None
    back = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\"}
    assert re.sub(r"\\(.)|''", lambda found: back[found[1]] if found[1] else "'", inner[1]) == text


@given(st.binary(min_size=1), st.sampled_from(["", "latin1", "utf8mb4", "gbk", "ucs2", "swe7"]))
def test_letters_are_shown_where_the_column_says_how_they_are_coded(value: bytes, charset: str) -> None:
    codes = {"latin1": "cp1252", "utf8mb4": "utf-8", "ucs2": "utf-16-be"}
    shown = literal(Cell("VARSTRING", value), Column("c", "varchar(9)", charset))
    if shown.startswith("X'"):
        assert bytes.fromhex(shown[2:-1]) == value
    else:
        assert shown == quoted(value.decode(codes.get(charset, "ascii")))


def test_numbers_are_read_by_what_the_column_is() -> None:
    cases = {
        (b"-1 (255)", b"TINYINT", "tinyint(3) unsigned"): "255",
        (b"-1 (255)", b"TINYINT", "tinyint(4)"): "-1",
        (b"7", b"INT", "int"): "7",
        (b"1.1                  ", b"FLOAT", "float"): "1.1",
        (b"1900", b"YEAR", "year(4)"): "0",
        (b"2", b"ENUM(1 byte)", "enum('a','b''x')"): "'b''x'",
        (b"0", b"ENUM(1 byte)", "enum('a','b')"): "0",
        (b"b'00000101'", b"SET(1 bytes)", "set('x','y','z')"): "'x,z'",
        (b"b'0000010000000010'", b"SET(2 bytes)", f"set({TEN})"): "'l2,l9'",
        (b"2", b"ENUM(1 byte)", r"enum('a','b\\\\n')"): "2",
        (b"b'00000011'", b"SET(1 bytes)", r"set('a','b\\\\n')"): "3",
        (b"'2026:11:29'", b"DATE", "date"): "'2026-11-29'",
        (b"0", b"TIMESTAMP(0)", "timestamp"): "'0000-00-00 00:00:00'",
        (b"4294967295.999999", b"TIMESTAMP(6)", "timestamp(6)"): "'2106-02-07 06:28:15.999999'",
        (b"NULL", b"INT", "int"): "NULL",
    }
    for (text, printed, kind), wanted in cases.items():
        read = read_cell(
            b"###   @1=" + text + b" /* " + printed + b" meta=0 nullable=1 is_null=0 */\n", mariadb=True
        )
        assert read is not None
        assert literal(read[1], Column("c", kind)) == wanted


def head(at: int, ends: int, what: str) -> str:
    return f"# at {at}\n#261129  4:04:07 server id 1  end_log_pos {ends} CRC32 0x1 \t{what}\n"


def test_what_a_client_said_is_not_taken_for_the_log() -> None:
    spoofed = "SELECT '\nat 400\n#261129  4:04:07 server id 1  end_log_pos 9 \tGTID\n### DELETE FROM `a`.`b`'"
    said = "".join(f"# {each}\n" for each in spoofed.splitlines())
    text = (
        head(100, 150, "GTID\tlast_committed=0")
        + "SET @@SESSION.GTID_NEXT= 'x:1'/*!*/;\n"
        + head(150, 300, "Rows_query")
        + said
        + head(300, 350, "Table_map: `a`.`t` mapped to number 1")
        + head(350, 390, "Write_rows: table id 1 flags: STMT_END_F")
        + "### INSERT INTO `a`.`t`\n### SET\n###   @1=1 /* INT meta=0 nullable=0 is_null=0 */\n"
        + head(390, 400, "Xid = 1")
        + "COMMIT/*!*/;\n"
        + head(400, 450, "GTID\tlast_committed=1")
        + head(450, 500, "Query\tthread_id=1")
        + "CREATE TABLE other (a INT)\n/*!*/;\nDELIMITER ;\n"
    )
    found = list(items(text.encode().splitlines(keepends=True), {100: "one"}, mariadb=False))
    assert [one for one, _ in found] == ["one"] * 3
    assert [type(item) for _, item in found] == [Said, Row, Statement]
    assert found[0][1] == Said(spoofed.encode())
    assert found[1][1] == Row(Change.INSERT, "a", "t", {}, {1: Cell("INT", b"1")})


def test_a_row_that_is_not_printed_whole_is_no_statement() -> None:
    text = (
        head(4, 50, "GTID 0-1-5 trans")
        + head(50, 99, "Write_rows: table id 1")
        + "### INSERT INTO `a`.`t`\n### SET\n###   @1=1 /* INT meta=0 nullable=0 is_null=0 */\n"
        + "###   @2=!! Don't know how to handle column type=255 meta=4 (0004)\n"
        + "# at 99\n"
    )
    [(_, row)] = list(items(text.encode().splitlines(keepends=True), {4: 1}, mariadb=False))
    assert isinstance(row, Row)
    assert not row.whole
    lines = b"".join(Writer().write(row, Table((Column("id", "int"), Column("g", "point"))))).decode()
    assert all(line.startswith("-- ") for line in lines.splitlines())


def test_a_remark_never_leaves_its_comment() -> None:
    lines = list(Writer().write(Said(b"DELETE\r\nFROM t; -- x\x1b[2J\nDROP TABLE t"), None))
    assert len(lines) == 3
    assert all(line.startswith(b"-- ") and b"\x1b" not in line and b"\r" not in line for line in lines)


def test_which_statements_change_a_table() -> None:
    assert alters(b"alter table `shop`.`O` ADD x INT", "shop", "o")
    assert alters(b"DROP DATABASE shop", "shop", "o")
    assert not alters(b"ALTER TABLE orders ADD x INT", "shop", "o")
    assert not alters(b"INSERT INTO o VALUES (1)", "shop", "o")


def test_a_layout_is_that_of_its_time() -> None:
    here, there = Table((Column("new", "int"),)), Table((Column("old", "int"),))
    layouts = Layouts(lambda *_: here, lambda *_: there, [(3, b"ALTER TABLE o"), (5, b"ALTER TABLE o")])
    assert [layouts.of(number, "shop", "o") for number in (2, 4, 5)] == [there, None, here]
    assert layouts.of(2, "shop", "other") == here


@pytest.mark.parametrize(
    ("of", "data", "spelt"),
    [
        ("inet6", "00000000000000000000ffffc0000201", "::ffff:192.0.2.1"),
        ("inet6", "000000000000000000000000c0000201", "::192.0.2.1"),
        ("inet6", "20010db8000000010001000100010001", "2001:db8::1:1:1:1:1"),
        ("inet4", "c0000201", "192.0.2.1"),
        ("uuid", "123e4567e89b12d3a456426655440000", "123E4567-E89B-12D3-A456-426655440000"),
    ],
)
def test_an_address_is_the_same_however_it_is_spelt(of: str, data: str, spelt: str) -> None:
    column = Column("c", of)
    logged, now = Cell("STRING", bytes.fromhex(data)), Cell("ADDRESS", spelt.encode())
    assert same(logged, now, column)
    assert literal(logged, column) == literal(now, column)
    assert not same(logged, Cell("ADDRESS", b"nothing of the kind"), column)


@given(
    st.sampled_from(["FLOAT", "DOUBLE", "VECTOR", "BIT", "SET", "INT", "TIMESTAMP"]), st.binary(), st.binary()
)
def test_what_cannot_be_read_is_another_value(kind: str, logged: bytes, now: bytes) -> None:
    assert same(Cell(kind, logged), Cell(kind, now), Column("c", "int")) in {True, False}


def test_an_address_of_a_column_that_was_longer_is_shown_as_bytes() -> None:
    assert literal(Cell("STRING", b"\xff" * 20), Column("c", "inet6")) == f"X'{'ff' * 20}'"
