"""The transactions as SQL that people read and servers run: `transactions.sql`. Pure.

    -- transaction 0-1-7, 2026-11-28 14:30:34
    BEGIN;
    -- said as: update shop.w set c='changed' where id=1
    UPDATE `shop`.`w` SET `c`='changed' WHERE `id`=1 LIMIT 1; -- `c` was 'base'
    COMMIT;

What cannot be said in SQL, for the columns' names are not known or the program could not print the row, is a comment.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mmm.tools.saved.layouts import Table
from mmm.tools.saved.printed import Change, Item, Row, Said, Statement
from mmm.tools.saved.values import Cell, as_text, chosen, literal, name, stored

OURS = (
    "SET NAMES utf8mb4, TIMESTAMP=DEFAULT, time_zone='+00:00', foreign_key_checks=1, unique_checks=1,"
    " sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';"
)
"""What rows are written for."""
_FOR_STATEMENTS = re.compile(
    rb"SET (TIMESTAMP|INSERT_ID|LAST_INSERT_ID|@`|@@RAND_SEED1"
    rb"|@@session\.(foreign_key_checks|sql_mode|auto_increment_increment|character_set_client|time_zone|lc_time_names))"
)
"""What a statement was said under and anybody may set."""
_LONGEST_REMARK = 2000
_LONGEST_VALUE = 200
_FOREVER = ("2147483647.999999", "4294967295.999999")
"""The end of a row of a system-versioned table that is not history."""


def plain(row: Row, table: Table | None) -> Row | None:
    """Return a row as people changed it: with what columns hold, and of a table that keeps its history without that.

    None: it is history, which the server makes.
    """
    if table is None:
        return row
    change, old, new = row.change, _image(row.old, table), _image(row.new, table)
    if table.ends and (table.ends in row.old or table.ends in row.new):
        was, lives = (_text(image.get(table.ends)) in _FOREVER for image in (row.old, row.new))
        if not (lives if change is Change.INSERT else was):
            return None
        if change is Change.UPDATE and not lives:
            change, new = Change.DELETE, {}
    return Row(change, row.schema, row.table, old, new, row.whole)


def _image(image: Mapping[int, Cell], table: Table) -> dict[int, Cell]:
    """Return the columns that people know: a server adds some, for long unique keys say."""
    return {
        at: stored(cell, column) for at, cell in image.items() if (column := table.column(at)) is not None
    }


def _text(cell: Cell | None) -> str:
    return (cell.value or b"").decode("ascii", "replace") if cell else ""


def told(*, mariadb: bool) -> tuple[str, ...]:
    """Return what a reader of the file has to know."""
    less = (
        ""
        if mariadb
        else ": of compressed transactions a FLOAT has six digits here, spatial columns are left out"
    )
    return (
        "To put some of it back: read it, take out what is not wanted, run the rest on the active master.",
        f"The files in raw/ are the truth{less}.",
        "What triggers have written is among it, and they would write it again.",
    )


@dataclass(slots=True)
class Writer:
    """Writes one item after the other."""

    _theirs: dict[bytes, bytes] = field(default_factory=dict)
    """What the session is set to for statements; empty: for rows."""

    def begin(self, title: str) -> Iterator[bytes]:
        """Return what stands before a transaction."""
        yield f"\n-- transaction {title}\n".encode()

    def write(self, item: Item, table: Table | None) -> Iterator[bytes]:
        """Return the lines of an item; of a row that of its table, if anybody knows it."""
        match item:
            case Said(text):
                yield from remark("said as: ", text)
            case Row():
                yield from self._back()
                yield f"{row_sql(item, table)}\n".encode("utf-8", "surrogateescape")
            case Statement(text, settings):
                yield from self._statement(text, settings)

    def _back(self) -> Iterator[bytes]:
        if self._theirs:
            self._theirs = {}
            yield f"{OURS}\n".encode()

    def _statement(self, text: bytes, settings: Mapping[bytes, bytes]) -> Iterator[bytes]:
        if text in {b"BEGIN", b"START TRANSACTION", b"COMMIT", b"ROLLBACK"}:
            yield (b"BEGIN" if text == b"START TRANSACTION" else text) + b";\n"
            return
        if text.startswith(b"XA "):
            yield text + b";\n"
            return
        for what, how in settings.items():
            if self._theirs.get(what) != how and (what == b"use" or _FOR_STATEMENTS.match(how)):
                yield how + b";\n"
        self._theirs = dict(settings)
        if b";" not in text:
            yield text + b"\n;\n"
            return
        end = b"$$"
        while end in text:
            end += b"$"
        yield b"DELIMITER " + end + b"\n" + text + b"\n" + end + b"\nDELIMITER ;\n"


def remark(what: str, text: bytes) -> Iterator[bytes]:
    """Return a comment of as many lines as the text has, of a length that can be read."""
    shown = text[:_LONGEST_REMARK].decode("utf-8", "replace")
    lines = "".join(sign if sign >= " " or sign in "\n\t" else " " for sign in shown).split("\n")
    more = f" … ({len(text)} bytes)" if len(text) > _LONGEST_REMARK else ""
    for number, line in enumerate(lines):
        yield f"-- {what if not number else ' ' * len(what)}{line}{more if number == len(lines) - 1 else ''}\n".encode()


def row_sql(row: Row, table: Table | None) -> str:
    """Return the statement for a row, with what was there before as a comment; a comment where it cannot be said."""
    where = f"{name(row.schema)}.{name(row.table)}"
    if not row.whole:
        return (
            f"-- {row.change} {where}: this row, and others with it, cannot be printed: the raw log has them"
        )
    if (seen := plain(row, table)) is None:
        return f"-- history of {where}, which the server makes itself"
    if table is None:
        return _unnamed(seen, where)
    beyond = ", ".join(
        f"@{at}={shown(cell, None, at)}"
        for at, cell in (row.new or row.old).items()
        if at > max(len(table.columns), table.ends)
    )
    return _named_sql(seen, table, where) + (beyond and f" -- and {beyond}: no column is known for that")


def _named_sql(seen: Row, table: Table, where: str) -> str:
    match seen.change:
        case Change.INSERT:
            return _insert(seen, table, where)
        case Change.UPDATE:
            changed = [
                at for at, cell in seen.new.items() if seen.old.get(at) != cell and _settable(at, table)
            ]
            sets = ", ".join(_assignments(changed, seen.new, table))
            if not sets:
                return f"-- UPDATE {where}: no column has changed that can be set"
            was = "; ".join(
                f"{_named(at, table)} was {shown(seen.old[at], table, at)}"
                for at in changed
                if at in seen.old
            )
            return f"UPDATE {where} SET {sets} WHERE {condition(seen, table)} LIMIT 1;{was and f' -- {was}'}"  # noqa: S608
        case _:
            was = ", ".join(f"{_named(at, table)}={shown(cell, table, at)}" for at, cell in seen.old.items())
            return f"DELETE FROM {where} WHERE {condition(seen, table)} LIMIT 1; -- was {was}"  # noqa: S608


def _insert(row: Row, table: Table, where: str) -> str:
    values = {at: cell for at, cell in row.new.items() if _settable(at, table)}
    names = ", ".join(_named(at, table) for at in values)
    texts = ", ".join(literal(cell, table.column(at)) for at, cell in values.items())
    return f"INSERT INTO {where} ({names}) VALUES ({texts});"  # noqa: S608


def _assignments(which: Iterable[int], image: Mapping[int, Cell], table: Table) -> Iterator[str]:
    return (
        f"{_named(at, table)}={literal(image[at], table.column(at))}" for at in which if _settable(at, table)
    )


def _settable(at: int, table: Table) -> bool:
    column = table.column(at)
    return column is None or not column.generated


def _unnamed(row: Row, where: str) -> str:
    """Return a row of a table whose columns nobody names."""
    if row.change is Change.INSERT and list(row.new) == list(range(1, len(row.new) + 1)):
        return f"INSERT INTO {where} VALUES ({', '.join(literal(cell, None) for cell in row.new.values())});"  # noqa: S608
    images = {"SET": row.new, "WHERE": row.old}
    text = " ".join(
        f"{word} {', '.join(f'@{at}={shown(cell, None, at)}' for at, cell in image.items())}"
        for word, image in images.items()
        if image
    )
    return f"-- {row.change} {where} {text} -- the names of its columns are not known"


def _named(at: int, table: Table) -> str:
    column = table.column(at)
    return name(column.name) if column else f"@{at}"


def shown(cell: Cell, table: Table | None, at: int) -> str:
    """Return a value for people, of a length that can be read."""
    text = literal(cell, table.column(at) if table else None)
    return (
        text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(cell.value or b'')} bytes)"
    )


def condition(row: Row, table: Table) -> str:
    """Return what finds the row: its key, or without one all that it was."""
    image = row.old or row.new
    if table.key and all(at in image for at in table.key):
        return " AND ".join(_equals(image[at], table, at, exact=False) for at in table.key)
    parts = [_equals(cell, table, at, exact=True) for at, cell in image.items() if cell.kind != "GEOMETRY"]
    return " AND ".join(parts) or "TRUE"


def _equals(cell: Cell, table: Table, at: int, *, exact: bool) -> str:
    column = table.column(at)
    named, text = _named(at, table), literal(cell, column)
    if cell.value is None:
        return f"{named} IS NULL"
    if cell.kind == "FLOAT":  # printed with six digits
        return f"ABS({named}-({text}))<=1e-5*ABS({text})"
    if cell.kind == "JSON":
        return f"{named}=CAST({text} AS JSON)"
    if cell.kind == "YEAR":  # 0 by itself is the year 2000
        return f"{named}+0={text}"
    if cell.kind in {"ENUM", "SET"}:  # a SET of 64 labels plus 0 is a DOUBLE
        return f"CAST({named} AS UNSIGNED)={chosen(cell.kind, cell.value.decode())}"
    if exact and column is not None and column.charset:  # 'a' is no 'A'
        unicode = column.charset.startswith("utf8") and as_text(cell, column) is not None
        stored_as = text if unicode else f"X'{cell.value.hex()}'"
        return f"BINARY {named}={stored_as}"
    return f"{named}={text}"
