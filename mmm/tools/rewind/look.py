"""What a MariaDB server says of its settings, and of tables whose rows are to be undone, for the judge."""

from collections.abc import Iterable, Sequence

from mmm.mysql.session.question import Question
from mmm.mysql.session.text_protocol import Row
from mmm.tools.rewind.changes import Name
from mmm.tools.rewind.judge import WANTED, Reference, Settings, TableFacts
from mmm.tools.saved.values import quoted

_TABLE = (
    "SELECT TABLE_TYPE AS kind, ENGINE AS engine, UNIX_TIMESTAMP(CREATE_TIME) AS created"
    " FROM information_schema.TABLES"
)
_COLUMNS = "SELECT COLUMN_NAME AS name, EXTRA AS extra FROM information_schema.COLUMNS"
_FOREIGN_KEYS = (
    "SELECT f.ID AS id, f.TYPE AS kind, c.REF_COL_NAME AS part FROM information_schema.INNODB_SYS_FOREIGN f"
    " JOIN information_schema.INNODB_SYS_FOREIGN_COLS c ON f.ID=c.ID"
)
_RULES = ((1, "CASCADE"), (2, "SET NULL"))
"""Bits of InnoDB's type of a foreign key for ON DELETE; those for ON UPDATE are twice to the left."""
_ON_UPDATE = 2


def look_at_settings() -> Question[Settings]:
    """Ask for the settings that matter; needs BINLOG MONITOR."""
    names = ("sync_binlog", "innodb_flush_log_at_trx_commit", *WANTED)
    row = (yield f"SELECT {', '.join(f'@@global.{name} AS {name}' for name in names)}")[0]
    status = yield "SHOW MASTER STATUS"
    filtered = any(each.get("Binlog_Do_DB") or each.get("Binlog_Ignore_DB") for each in status)
    return Settings(
        str(row["sync_binlog"]),
        str(row["innodb_flush_log_at_trx_commit"]),
        {name: str(row[name]) for name in WANTED},
        filtered,
    )


def look_at_tables(names: Iterable[Name]) -> Question[dict[Name, TableFacts | None]]:
    """Ask for tables, None for one that is not there; needs SELECT, and PROCESS to see foreign keys."""
    found: dict[Name, TableFacts | None] = {}
    for name in names:
        found[name] = yield from _look_at_table(*name)
    return found


def _look_at_table(schema: str, table: str) -> Question[TableFacts | None]:
    of = f"TABLE_SCHEMA={quoted(schema)} AND TABLE_NAME={quoted(table)}"
    rows = yield f"{_TABLE} WHERE {of}"
    if not rows:
        return None
    columns = yield f"{_COLUMNS} WHERE {of} ORDER BY ORDINAL_POSITION"
    references = yield from _look_at_references(schema, table)
    created = rows[0]["created"]
    return TableFacts(
        str(rows[0]["kind"]).upper(),
        str(rows[0]["engine"]),
        float(created) if created is not None else None,
        tuple(str(row["name"]) for row in columns),
        _generated(columns, "VIRTUAL"),
        _generated(columns, "STORED"),
        references,
    )


def _generated(columns: Sequence[Row], how: str) -> frozenset[int]:
    """Return the numbers, from 1, of the columns that are generated that way."""
    return frozenset(number for number, row in enumerate(columns, 1) if how in str(row["extra"]).upper())


def _look_at_references(schema: str, table: str) -> Question[tuple[Reference, ...]]:
    """Ask InnoDB which foreign keys refer to a table: information_schema shows others to who may only read."""
    named = ",'/',".join(
        f"CONVERT(CONVERT({quoted(part)} USING filename) USING binary)" for part in (schema, table)
    )
    rows = yield f"{_FOREIGN_KEYS} WHERE f.REF_NAME=CONCAT({named}) ORDER BY f.ID"
    columns: dict[str, list[str]] = {}
    kinds: dict[str, int] = {}
    for row in rows:
        columns.setdefault(str(row["id"]), []).append(str(row["part"]))
        kinds[str(row["id"])] = int(row["kind"] or 0)
    found = (
        Reference(_rule(kinds[each]), _rule(kinds[each] >> _ON_UPDATE), tuple(of))
        for each, of in columns.items()
    )
    return tuple(reference for reference in found if reference.on_delete or reference.on_update)


def _rule(bits: int) -> str:
    return next((name for bit, name in _RULES if bits & bit), "")
