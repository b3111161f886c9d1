"""How a row is on the active master now: what to ask for each column, and whether that is what the log had. Pure."""

import struct
from collections.abc import Mapping, Sequence

from mmm.tools.saved.layouts import Table
from mmm.tools.saved.values import WHOLE, Cell, Column, chosen, literal, name

Key = tuple[str, ...]
"""What tells a row from the others of its table, as literals of SQL."""

_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
_TIMES = {"date": "DATE", "time": "TIME", "datetime": "DATETIME", "timestamp": "DATETIME"}
_ADDRESSES = ("inet4", "inet6", "uuid")
_CLOSE = 1e-5
"""By how much a FLOAT may differ in proportion, which is printed with six digits."""


def question(schema: str, table: str, layout: Table, keys: Sequence[Key]) -> str:
    """Return the statement that asks for rows by the literals of their keys, for a session in UTC."""
    wanted = ", ".join(f"{_asked(column)} AS c{at}" for at, column in enumerate(layout.columns, 1))
    named = [name(layout.columns[at - 1].name) for at in layout.key]
    if len(named) == 1:
        found = f"{named[0]} IN ({', '.join(key[0] for key in keys)})"
    else:
        found = " OR ".join(
            f"({' AND '.join(f'{column}={text}' for column, text in zip(named, key, strict=True))})"
            for key in keys
        )
    return f"SELECT {wanted} FROM {name(schema)}.{name(table)} WHERE {found}"  # noqa: S608


def key_of(image: Mapping[int, Cell], layout: Table) -> Key:
    """Return the literals of a row's key."""
    return tuple(literal(image[at], layout.column(at)) for at in layout.key)


def _asked(column: Column) -> str:
    """Return what to ask for a column: a text that `answered` makes a value of."""
    named = name(column.name)
    if column.base in {"bit", "enum", "set"}:  # a SET of 64 labels plus 0 is a DOUBLE
        return f"CAST({named} AS UNSIGNED)"
    if column.base == "year" or "zerofill" in column.kind:
        return f"{named}+0"
    if column.base in _NUMBERS or column.base in {"decimal", "float", "double"}:
        return named
    if column.base in _TIMES or column.base in _ADDRESSES:
        return f"CAST({named} AS CHAR)"
    return f"HEX(CAST({named} AS CHAR))" if column.base == "json" else f"HEX({named})"


def answered(row: Mapping[str, str | None], layout: Table) -> dict[int, Cell]:
    """Return the values of a row that was asked for so, by the numbers of its columns.

    Raises ValueError where one is not what was asked for.
    """
    return {at: _cell(column, row[f"c{at}"]) for at, column in enumerate(layout.columns, 1)}


def _cell(column: Column, text: str | None) -> Cell:
    base = column.base
    kind = _TIMES.get(base) or {
        "year": "YEAR",
        "enum": "ENUM",
        "set": "SET",
        "bit": "BIT",
        "json": "JSON",
    }.get(base, "")
    if text is None:
        return Cell(kind, None)
    if base == "year":
        return Cell(kind, b"1900" if text == "0" else text.encode())
    if base in {"bit", "set"}:
        return Cell(kind, f"b'{int(text):b}'".encode())
    if base in _NUMBERS:
        return Cell("INT", text.encode())
    if base in {"decimal", "float", "double"}:
        return Cell(base.upper(), text.encode())
    if kind in {"ENUM", "DATE", "TIME", "DATETIME"} or base in _ADDRESSES:
        return Cell(kind or "ADDRESS", text.encode())
    return Cell(kind or "STRING", bytes.fromhex(text))


def same(logged: Cell, now: Cell, column: Column) -> bool:
    """Tell whether a value of the log is what the active master has; what cannot be read is not."""
    try:
        return _same(logged, now, column)
    except (ValueError, struct.error):
        return False


def _same(logged: Cell, now: Cell, column: Column) -> bool:
    if logged.value is None or now.value is None:
        return logged.value is now.value
    match logged.kind:
        case "FLOAT":
            return _close(float(logged.value), float(now.value))
        case "DOUBLE":
            return float(logged.value) == float(now.value)
        case "VECTOR":  # as it is printed, and as it is stored
            printed = [float(number) for number in logged.value.strip(b"[]").split(b",")]
            there = [number for (number,) in struct.iter_unpack("<f", now.value)]
            return len(printed) == len(there) and all(map(_close, printed, there))
        case "BIT" | "SET":
            return chosen("SET", logged.value.decode()) == chosen("SET", now.value.decode())
        case "ENUM" | "YEAR" | "DECIMAL":
            return logged.value == now.value
        case kind if kind in WHOLE or kind in {"DATE", "TIME", "DATETIME", "TIMESTAMP"}:
            return literal(logged, column) == literal(now, column)
    if now.kind == "ADDRESS":
        return literal(logged, column) == literal(now, column)
    return (
        logged.value.rstrip(b"\0") == now.value.rstrip(b"\0")
        if not column.charset
        else logged.value == now.value
    )


def _close(first: float, second: float) -> bool:
    return abs(first - second) <= _CLOSE * max(abs(first), abs(second))


def differing(image: Mapping[int, Cell], now: Mapping[int, Cell], layout: Table) -> list[int]:
    """Return the columns of a row, as the log had it, in which the active master has something else."""
    return [
        at
        for at, cell in image.items()
        if at in now
        and not layout.columns[at - 1].generated
        and not same(cell, now[at], layout.columns[at - 1])
    ]


def is_whole(image: Mapping[int, Cell], layout: Table) -> bool:
    """Tell whether a row has every column that is stored for itself.

    The log lacks some with binlog_row_image MINIMAL and NOBLOB; MariaDB logs none that it generates.
    """
    return all(column.generated or at in image for at, column in enumerate(layout.columns, 1))
