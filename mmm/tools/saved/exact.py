r"""Values as they are stored, in place of what the program prints of them less exactly, or not at all. Pure.

It prints a FLOAT with six digits; MariaDB's a newline and the four characters `\x0a` alike; MySQL's nothing of a row
from its first column of a spatial type on, and none of the others of the event.
"""

import struct
from collections.abc import Callable, Mapping

from mmm.binlog import stored_rows as stored
from mmm.binlog.events import DamagedError
from mmm.binlog.stored_rows import Stored, StoredRow
from mmm.tools.saved.printed import Change, Row
from mmm.tools.saved.values import Cell

_CHANGES = {stored.INSERTED: Change.INSERT, stored.UPDATED: Change.UPDATE, stored.DELETED: Change.DELETE}
_WHOLE = {
    stored.TINY: "TINYINT",
    stored.SHORT: "SHORTINT",
    stored.INT24: "MEDIUMINT",
    stored.LONG: "INT",
    stored.LONGLONG: "LONGINT",
}
_STRINGS = {
    stored.VARCHAR: "VARSTRING",
    stored.VARCHAR_COMPRESSED: "VARSTRING",
    stored.VAR_STRING: "VARSTRING",
    stored.BLOB: "BLOB",
    stored.BLOB_COMPRESSED: "BLOB",
    stored.GEOMETRY: "GEOMETRY",
}
_INEXACT = frozenset({"FLOAT", "VECTOR"})


def is_inexact(row: Row) -> bool:
    """Tell whether a row is printed less exactly than it is stored."""
    images = (row.old, row.new)
    return not row.whole or any(
        cell.doubtful or cell.kind in _INEXACT for image in images for cell in image.values()
    )


def fits(row: Row, of: StoredRow) -> bool:
    """Tell whether a stored row is the one that is printed."""
    named = (row.schema, row.table) == tuple(_name(text) for text in (of.schema, of.table))
    return named and _CHANGES[of.change] is row.change


def exact(row: Row, of: StoredRow) -> Row:
    """Return a row that is printed whole with its values as they are stored."""
    return Row(row.change, row.schema, row.table, _image(row.old, of.old), _image(row.new, of.new))


def _image(image: Mapping[int, Cell], of: Mapping[int, Stored]) -> dict[int, Cell]:
    return {at: _exact(cell, of[at]) if at in of else cell for at, cell in image.items()}


def _exact(cell: Cell, value: Stored) -> Cell:
    if value.data is None or cell.value is None or not (cell.doubtful or cell.kind in _INEXACT):
        return cell
    return Cell(cell.kind, value.data) if cell.doubtful else cell_of(value)


def whole(of: StoredRow) -> Row:
    """Return a stored row as if it were printed; raises DamagedError for what cannot be read: JSON of MySQL, say."""
    old, new = ({at: cell_of(value) for at, value in image.items()} for image in (of.old, of.new))
    return Row(_CHANGES[of.change], _name(of.schema), _name(of.table), old, new)


def _name(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def cell_of(value: Stored) -> Cell:
    """Return a value as it is printed, but exact; raises DamagedError."""
    kind, about, data = value
    if kind in _WHOLE:
        return Cell(_WHOLE[kind], None if data is None else _number(data))
    if kind in _STRINGS:
        return Cell(_STRINGS[kind], data)
    if kind == stored.STRING and about >> 8 not in {stored.ENUM, stored.SET}:
        return Cell("STRING", data)
    named, read = _READ.get(about >> 8 if kind == stored.STRING else kind, ("", None))
    if read is None:
        raise DamagedError(f"a column of type {kind}")
    try:
        return Cell(named, None if data is None else read(data, about).encode())
    except (struct.error, IndexError) as error:
        raise DamagedError(f"a value of type {kind}: {error}") from error


def _number(data: bytes) -> bytes:
    signed, unsigned = (int.from_bytes(data, "little", signed=sign) for sign in (True, False))
    return f"{signed} ({unsigned})".encode() if signed < 0 else str(signed).encode()


def _float(data: bytes, _: int = 0) -> str:
    """Return the shortest text that is the same FLOAT again."""
    (number,) = struct.unpack("<f", data)
    texts = (f"{number:.{digits}g}" for digits in range(6, 10))
    return next((text for text in texts if struct.pack("<f", float(text)) == data), repr(number))


def _double(data: bytes, _: int) -> str:
    return repr(struct.unpack("<d", data)[0])


def _vector(data: bytes, _: int) -> str:
    return f"[{','.join(_float(data[at : at + 4]) for at in range(0, len(data), 4))}]"


def _decimal(data: bytes, about: int) -> str:
    """Return a DECIMAL: groups of nine digits in four bytes, the odd ones outermost; the first bit is the sign's."""
    precision, scale = about >> 8, about & 0xFF
    negative = not data[0] & 0x80
    data = bytes((data[0] ^ 0x80, *data[1:]))
    if negative:
        data = bytes(byte ^ 0xFF for byte in data)
    first, last = (precision - scale) % 9, scale % 9
    groups = [first, *[9] * ((precision - scale) // 9 + scale // 9), last]
    texts, at = [], 0
    for digits in groups:
        size = stored.DIGITS[digits]
        texts.append(f"{int.from_bytes(data[at : at + size], 'big'):0{digits}d}" if digits else "")
        at += size
    text = "".join(texts)
    before = text[: precision - scale].lstrip("0") or "0"
    return f"{'-' if negative else ''}{before}{'.' if scale else ''}{text[precision - scale :]}"


def _date(data: bytes, _: int) -> str:
    number = int.from_bytes(data, "little")
    return f"{number >> 9:04d}:{number >> 5 & 15:02d}:{number & 31:02d}"


def _year(data: bytes, _: int) -> str:
    return str(1900 + data[0])


def _fraction(number: int, digits: int) -> str:
    """Return a part of a second, which is stored in hundredths, ten-thousandths or millionths."""
    size = (digits + 1) // 2 * 2
    return f".{number:0{size}d}"[: digits + 1] if digits else ""


def _timestamp(data: bytes, digits: int) -> str:
    return f"{int.from_bytes(data[:4], 'big')}{_fraction(int.from_bytes(data[4:], 'big'), digits)}"


def _datetime(data: bytes, digits: int) -> str:
    number = int.from_bytes(data[:5], "big") - (1 << 39)
    days, seconds = number >> 17, number & 0x1FFFF
    months, day = days >> 5, days & 31
    date = f"{months // 13:04d}-{months % 13:02d}-{day:02d}"
    return f"{date} {_clock(seconds)}{_fraction(int.from_bytes(data[5:], 'big'), digits)}"


def _time(data: bytes, digits: int) -> str:
    bits = 8 * (len(data) - 3)
    number = int.from_bytes(data, "big") - (1 << 23 + bits)
    sign, number = "-" if number < 0 else "", abs(number)
    return f"{sign}{_clock(number >> bits)}{_fraction(number & (1 << bits) - 1, digits)}"


def _clock(number: int) -> str:
    return f"{number >> 12 & 0x3FF:02d}:{number >> 6 & 63:02d}:{number & 63:02d}"


def _bits(data: bytes, about: int) -> str:
    size = (about >> 8) * 8 + (about & 0xFF)
    return f"b'{int.from_bytes(data, 'big'):0{size}b}'"


def _enum(data: bytes, _: int) -> str:
    return str(int.from_bytes(data, "little"))


def _set(data: bytes, _: int) -> str:
    return f"b'{int.from_bytes(data, 'little'):b}'"


_READ: Mapping[int, tuple[str, Callable[[bytes, int], str] | None]] = {
    stored.FLOAT: ("FLOAT", _float),
    stored.DOUBLE: ("DOUBLE", _double),
    stored.VECTOR: ("VECTOR", _vector),
    stored.DECIMAL: ("DECIMAL", _decimal),
    stored.DATE: ("DATE", _date),
    stored.YEAR: ("YEAR", _year),
    stored.TIMESTAMP2: ("TIMESTAMP", _timestamp),
    stored.DATETIME2: ("DATETIME", _datetime),
    stored.TIME2: ("TIME", _time),
    stored.BIT: ("BIT", _bits),
    stored.ENUM: ("ENUM", _enum),
    stored.SET: ("SET", _set),
}
