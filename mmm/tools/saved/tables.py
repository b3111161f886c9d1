"""What information_schema says of the tables that have rows among the transactions, asked once each."""

from collections.abc import Callable

from mmm.mysql.server.privileges import Need
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import Question
from mmm.tools.saved.layouts import Table
from mmm.tools.saved.values import Column, quoted

NEEDS = (Need("SELECT"),)
"""What the account needs, on this host's server for the names of columns and on the active master for rows.

The log is read as files, by root: that needs no privilege."""


_COLUMNS = (
    "SELECT COLUMN_NAME AS name, COLUMN_TYPE AS kind, CHARACTER_SET_NAME AS charset, EXTRA AS extra,"
    " GENERATION_EXPRESSION AS made"
    " FROM information_schema.COLUMNS"
)
_KEYS = (
    "SELECT INDEX_NAME AS name, COLUMN_NAME AS part, NULLABLE AS nullable, SUB_PART AS prefix"
    " FROM information_schema.STATISTICS"
)
_KIND = "SELECT TABLE_TYPE AS kind FROM information_schema.TABLES"


def look_at_table(schema: str, table: str) -> Question[Table | None]:
    """Ask for a table, None where there is none; needs SELECT on it."""
    of = f"TABLE_SCHEMA={quoted(schema)} AND TABLE_NAME={quoted(table)}"
    rows = yield f"{_COLUMNS} WHERE {of} ORDER BY ORDINAL_POSITION"
    if not rows:
        return None
    columns = tuple(
        Column(
            str(row["name"]),
            str(row["kind"]),
            str(row["charset"] or ""),
            str(row["extra"]).upper().startswith(("VIRTUAL", "STORED", "PERSISTENT")),
        )
        for row in rows
    )
    keys = yield f"{_KEYS} WHERE {of} AND NON_UNIQUE=0 ORDER BY INDEX_NAME<>'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
    kinds = yield f"{_KIND} WHERE {of}"
    ends = 0
    if any(str(row["kind"]).upper() == "SYSTEM VERSIONED" for row in kinds):
        named = (at for at, row in enumerate(rows, 1) if str(row["made"]).upper() == "ROW END")
        ends = next(named, len(columns) + 2)
    parts: dict[str, list[str]] = {}
    for row in keys:
        usable = row["nullable"] != "YES" and row["prefix"] is None and row["part"] is not None
        parts.setdefault(str(row["name"]), []).append(str(row["part"]) if usable else "")
    names = [column.name for column in columns]
    whole = (
        tuple(names.index(part) + 1 for part in each) for each in parts.values() if set(each) <= set(names)
    )
    return Table(columns, next(whole, ()), ends)


class Tables:
    """The tables of one server, each asked for once; none where it cannot be asked."""

    def __init__(self, server: Connection | None, left: Callable[[], float]) -> None:
        self._server = server
        self._left = left
        self._known: dict[tuple[str, str], Table | None] = {}

    def __call__(self, schema: str, table: str) -> Table | None:
        """Return the table of that schema and name."""
        if self._server is None:
            return None
        if (schema, table) not in self._known:
            try:
                found = self._server.ask(look_at_table(schema, table), timeout=max(self._left(), 0.001))
            except MysqlError:
                found = None
            self._known[schema, table] = found
        return self._known[schema, table]
