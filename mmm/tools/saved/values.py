r"""A column's value as mariadb-binlog and mysqlbinlog print it with `-vv`, and the same as a literal of SQL. Pure.

    ###   @3='base' /* VARSTRING(80) meta=80 nullable=1 is_null=0 */

Both print strings as bytes of the column's character set. MySQL's escapes are `\'`, `\\`, `\n` and the like, and
`\xNN`; MariaDB's are `\xNN` for bytes below 0x20 alone, with quotes and backslashes as they are: what looks like such
an escape there may be four characters of the value; the event itself tells (`mmm.tools.saved.exact`).
"""

import re
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

_LINE = re.compile(
    rb"###   @(?P<at>[0-9]+)=(?P<value>.*) /\* (?P<kind>[A-Z_]+)[^*]* meta=[0-9]+ nullable=[01] is_null=[01] \*/\s*",
    re.DOTALL,
)
_UNSIGNED = re.compile(r"(-[0-9]+) \(([0-9]+)\)")
_MYSQL_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_MARIADB_ESCAPE = re.compile(rb"\\x([01][0-9a-fA-F])")
_OF_MYSQL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"0": b"\0", b"Z": b"\x1a"}
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = {"utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "ascii": "ascii", "latin1": "cp1252"}
_WIDE = {"ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}
_ADDRESSES: dict[str, tuple[int, Callable[[bytes], object], Callable[[str], object]]] = {
    "inet4": (4, IPv4Address, IPv4Address),
    "inet6": (16, IPv6Address, IPv6Address),
    "uuid": (16, lambda data: uuid.UUID(bytes=data), uuid.UUID),
}
_SHOWN_ESCAPED = {"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_BREAKS = str.maketrans(_SHOWN_ESCAPED)

WHOLE = frozenset({"TINYINT", "SHORTINT", "MEDIUMINT", "INT", "LONGINT"})
"""Kinds of whole numbers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: of a string its bytes, of anything else what is printed; None is NULL."""

    kind: str
    """As the program names the type: VARSTRING, INT, …"""
    value: bytes | None
    doubtful: bool = field(default=False, compare=False)
    """MariaDB's text can be read in more than one way."""


@dataclass(frozen=True, slots=True)
class Column:
    """What information_schema says of a column."""

    name: str
    kind: str
    """Its whole type: `int(10) unsigned`."""
    charset: str = ""
    generated: bool = False

    @property
    def compressed(self) -> bool:
        """Tell whether MariaDB compresses it."""
        return "COMPRESSED" in self.kind

    @property
    def base(self) -> str:
        """Return the type alone: `int`."""
        return re.split(r"[ (]", self.kind, maxsplit=1)[0]


def read_cell(line: bytes, *, mariadb: bool) -> tuple[int, Cell] | None:
    """Return a line's column, from 1, and value; None where the program could not print it."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    at, text, kind = int(found["at"]), found["value"], found["kind"].decode()
    if text == b"NULL":
        return at, Cell(kind, None)
    if kind == "SET":
        return at, Cell(kind, _bits(text.strip()))
    if not (len(text) >= 2 and text.startswith(b"'") and text.endswith(b"'")):
        return at, Cell(kind, text.strip())
    if kind in {"DATE", "TIME", "DATETIME"}:
        return at, Cell(kind, text[1:-1])
    if not mariadb:
        return at, Cell(kind, _MYSQL_ESCAPE.sub(_unescaped, text[1:-1]))
    return at, _of_mariadb(kind, text[1:-1])


def _bits(text: bytes) -> bytes:
    """Return the bits of a SET with the last label first: they are printed byte by byte, with the lowest byte first."""
    bits = text.removeprefix(b"b'").removesuffix(b"'")
    return (
        b"b'%s'" % b"".join(bits[at : at + 8] for at in range(len(bits) - 8, -1, -8))
        if len(bits) > 8
        else text
    )


def _of_mariadb(kind: str, text: bytes) -> Cell:
    value = _MARIADB_ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text)
    return Cell(kind, value, value != text)


def _unescaped(found: re.Match[bytes]) -> bytes:
    what = found[1]
    if len(what) == 3:
        return bytes.fromhex(what[1:].decode())
    return _OF_MYSQL.get(what, what)


def stored(cell: Cell, column: Column) -> Cell:
    """Return what a column holds, of one that MariaDB compresses: the log has that as it lies on the disk.

    A byte says how: 0 for not at all; else its upper half says by what, zlib, its bit 3 whether that has no head, and
    its lower bits how many bytes of a length follow. Source: MariaDB's `Field_longstr::uncompress`.
    """
    if not column.compressed or not cell.value:
        return cell
    how = cell.value[0]
    if not how:
        return Cell(cell.kind, cell.value[1:])
    try:
        return Cell(cell.kind, zlib.decompress(cell.value[1 + (how & 7) :], -15 if how & 8 else 15))
    except zlib.error:
        return cell


def literal(cell: Cell, column: Column | None) -> str:
    """Return a value as SQL writes it, for a session in utf8mb4 and UTC with backslash escapes.

    Without the column it is for people: what cannot be told then is whether a number is unsigned, and how letters
    are coded.
    """
    if cell.value is None:
        return "NULL"
    text = cell.value.decode("utf-8", "replace")
    match cell.kind:
        case kind if kind in WHOLE:
            return number(text, column)
        case "DECIMAL" | "FLOAT" | "DOUBLE" | "BIT":
            return text
        case "YEAR":
            return "0" if text == "1900" else text  # the log has years from 1900 on, and 0 for none
        case "ENUM" | "SET":
            return _labelled(cell.kind, text, column)
        case "DATE":
            return f"'{text.replace(':', '-')}'"
        case "VECTOR":
            return f"STRING_TO_VECTOR('{text}')"
        case "ADDRESS":  # as a server tells it that is asked
            return quoted(_address(text, column))
        case "TIME" | "DATETIME":
            return f"'{text}'"
        case "TIMESTAMP":
            return f"'{moment(text)}'"
    return _string(cell, column)


def number(text: str, column: Column | None) -> str:
    """Return a whole number, of which the program prints both readings where they differ: `-1 (255)`."""
    found = _UNSIGNED.fullmatch(text)
    if found is None:
        return text
    return found[2] if column is not None and "unsigned" in column.kind else found[1]


def moment(text: str) -> str:
    """Return a TIMESTAMP, printed in seconds since 1970, in UTC."""
    seconds, point, fraction = text.partition(".")
    if not seconds.isdigit():
        return text
    if not int(seconds) and not fraction.strip("0"):
        return f"0000-00-00 00:00:00{point}{fraction}"
    return f"{_EPOCH + timedelta(seconds=int(seconds)):%Y-%m-%d %H:%M:%S}{point}{fraction}"


def _address(text: str, column: Column | None) -> str:
    """Return an address as it is spelt here: servers say `::ffff:192.0.2.1`, or `2001:db8::1:1:1:1:1`."""
    if column is None or column.base not in _ADDRESSES:
        return text.lower()
    try:
        return str(_ADDRESSES[column.base][2](text))
    except ValueError:
        return text.lower()


def chosen(kind: str, text: str) -> int:
    """Return what is stored of an ENUM or a SET: the number of the label, or the bits of several."""
    return int(text.strip("b'"), 2) if kind == "SET" else int(text)


def _labelled(kind: str, text: str, column: Column | None) -> str:
    which = chosen(kind, text)
    labels = [found[1].replace("''", "'") for found in _LABEL.finditer(column.kind)] if column else []
    if kind == "ENUM":
        known, these = 0 < which <= len(labels), labels[which - 1 : which]
    else:
        known, these = not which >> len(labels), [each for bit, each in enumerate(labels) if which >> bit & 1]
    if not known or any(
        "\\" in label for label in these
    ):  # servers show a label's own escaped: the number is sure
        return str(which)
    return quoted(",".join(these))


def _string(cell: Cell, column: Column | None) -> str:
    value = cell.value or b""
    if column is not None and column.base in _ADDRESSES:
        size, shown, _ = _ADDRESSES[column.base]
        if len(value) <= size:  # else it was another type then
            return f"'{shown(value.ljust(size, bytes(1)))}'"  # zeros at its end are not in the log
    if column is not None and column.base == "binary" and (length := re.search("[0-9]+", column.kind)):
        cell = Cell(cell.kind, value.ljust(int(length[0]), bytes(1)))
        value = cell.value or b""
    text = as_text(cell, column)
    return quoted(text) if text is not None else f"X'{value.hex()}'"


def as_text(cell: Cell, column: Column | None) -> str | None:
    """Return a string's letters; None where it is none, or not to be shown as it is."""
    value = cell.value or b""
    if cell.kind == "GEOMETRY":
        return None
    if column is None or column.base == "json":
        code = "utf-8"
    elif not column.charset:
        code = "ascii"
    else:
        code = (
            _TEXT.get(column.charset)
            or _WIDE.get(column.charset)
            or ("" if column.charset == "swe7" else "ascii")
        )
    try:
        text = value.decode(code) if code else None
    except UnicodeDecodeError:
        return None
    if text is None or any((sign < " " and sign not in _SHOWN_ESCAPED) or sign == "\x7f" for sign in text):
        return None
    return text


def quoted(text: str) -> str:
    """Return a string of SQL, on one line."""
    return f"'{text.translate(_BREAKS)}'"


def name(text: str) -> str:
    """Return a name of SQL."""
    return f"`{text.replace('`', '``')}`"
