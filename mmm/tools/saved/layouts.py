"""Which columns a table had when a row of it was written: a binary log has their numbers, not their names. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmm.tools.saved.values import Column

_CHANGES_ROWS = re.compile(
    rb"\s*(INSERT|UPDATE|DELETE|REPLACE|TRUNCATE|COMMIT|BEGIN|ROLLBACK|START|XA|LOAD)\b", re.IGNORECASE
)
_WHOLE_SCHEMA = re.compile(rb"\b(DATABASE|SCHEMA)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """What information_schema says of a table."""

    columns: tuple[Column, ...]
    key: tuple[int, ...] = ()
    """The columns of the primary key, else of a unique key without NULL, from 1; empty: there is none."""
    ends: int = 0
    """The column that says until when a row was true, of a table that keeps its history (MariaDB's system versioning).

    It is beyond the others where none was named for that; 0: the table keeps none.
    """

    def column(self, at: int) -> Column | None:
        """Return the column of that number, from 1."""
        return self.columns[at - 1] if at <= len(self.columns) else None


Lookup = Callable[[str, str], Table | None]
"""Tells the table of a schema and name as a server has it now; None: it has none, or does not answer."""


@dataclass(frozen=True, slots=True)
class Layouts:
    """Tells it by what the servers have now, and by the statements among the transactions that change tables."""

    here: Lookup
    there: Lookup
    """The active master's: as all had it before the first of these statements."""
    statements: Sequence[tuple[int, bytes]] = ()
    """Each with the number of its transaction."""
    _known: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def of(self, number: int, schema: str, table: str) -> Table | None:
        """Return the table as it was for the rows of a transaction; None: nobody knows."""
        altered = self._altered(schema, table)
        if not altered:
            return self.here(schema, table) or self.there(schema, table)
        if number >= max(altered):
            return self.here(schema, table)
        return self.there(schema, table) if number < min(altered) else None

    def _altered(self, schema: str, table: str) -> list[int]:
        if (schema, table) not in self._known:
            self._known[schema, table] = [at for at, text in self.statements if alters(text, schema, table)]
        return self._known[schema, table]


def may_alter(statement: bytes) -> bool:
    """Tell whether a statement may change what columns a table has: it is not about rows."""
    return not _CHANGES_ROWS.match(statement)


def alters(statement: bytes, schema: str, table: str) -> bool:
    """Tell whether a statement may change what columns the table has: it names it, and is not about rows."""
    if not may_alter(statement):
        return False
    return _names(statement, table) or bool(_WHOLE_SCHEMA.search(statement) and _names(statement, schema))


def _names(statement: bytes, name: str) -> bool:
    word = re.escape(name.encode("utf-8", "surrogateescape"))
    return re.search(rb"(?<![\w$])" + word + rb"(?![\w$])", statement, re.IGNORECASE) is not None
