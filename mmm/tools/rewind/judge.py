"""Whether changes of rows can be undone exactly on this server, by its settings and by its tables. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mmm.binlog.stored_rows import DELETED, UPDATED
from mmm.tools.rewind.changes import Changes, Name
from mmm.tools.rewind.unfit import UnfitError

_KINDS = frozenset({"BASE TABLE"})
_ENGINE = "InnoDB"


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a server's settings matters."""

    sync_binlog: str
    flush_log: str
    """innodb_flush_log_at_trx_commit."""
    others: Mapping[str, str]
    """Names and values of those that have to be as in WANTED."""
    filtered: bool


WANTED = {
    "log_slave_updates": frozenset({"1", "ON"}),  # else what is replicated is not in the log
    "slave_exec_mode": frozenset({"STRICT"}),  # else a row that is not there is passed over
    "slave_run_triggers_for_rbr": frozenset({"NO"}),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key of another table that changes that table when a row here goes, or its key changes."""

    on_delete: str
    """CASCADE or SET NULL; empty: neither."""
    on_update: str
    columns: tuple[str, ...]
    """Those of this table that it refers to."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a server says of a table."""

    kind: str
    engine: str
    created: float | None
    """When it was made or altered, in seconds since 1970."""
    columns: tuple[str, ...]
    virtual: frozenset[int] = frozenset()
    """The numbers, from 1, of columns that are generated and not stored: no image of a row needs them."""
    stored: frozenset[int] = frozenset()
    """Those of columns that are generated and stored. MariaDB 11.8 logs none of them: they would be computed anew, by
    the time zone of the session that undoes it, and were by the client's."""
    references: tuple[Reference, ...] = ()


Altered = Callable[[], Mapping[Name, set[int]]]
"""Reads which columns of rows that were updated have changed; asked for only where it matters."""


def judge_settings(settings: Settings, unclosed: str) -> None:
    """Raise UnfitError where the server's settings speak against it; `unclosed`: where it crashed meanwhile."""
    for name, wanted in WANTED.items():
        value = settings.others.get(name, "")
        if value.upper() not in wanted:
            raise UnfitError("setting", {"name": name, "value": value})
    if settings.filtered:
        raise UnfitError("filtered")
    if unclosed and (settings.sync_binlog, settings.flush_log) != ("1", "1"):
        about = {"file": unclosed, "sync": settings.sync_binlog, "flush": settings.flush_log}
        raise UnfitError("crashed", about)


def judge_tables(
    changes: Changes, tables: Mapping[Name, TableFacts | None], since: float, altered: Altered
) -> None:
    """Raise UnfitError where a table's rows may not be what they were; `since`: when the first change was made."""
    for name, touched in changes.tables.items():
        facts, about = tables.get(name), {"table": ".".join(name)}
        if facts is None:
            raise UnfitError("table_gone", about)
        if facts.kind not in _KINDS:
            raise UnfitError("table_kind", {**about, "kind": facts.kind.lower()})
        if facts.engine != _ENGINE:
            raise UnfitError("engine", {**about, "engine": facts.engine})
        if len(facts.columns) != touched.columns:
            columns = {"then": str(touched.columns), "now": str(len(facts.columns))}
            raise UnfitError("columns", {**about, **columns})
        lacking = {at + 1 for at in range(touched.columns) if touched.missing >> at & 1} - facts.virtual
        if lacking:
            code = "stored_column" if lacking <= facts.stored else "row_image"
            raise UnfitError(code, {**about, "gtid": touched.lacking})
        if facts.created is None or facts.created > since:
            raise UnfitError("altered", about)
    for name, touched in changes.tables.items():
        facts = tables[name]
        if facts is not None and facts.references:
            _see_no_cascade(name, touched.changes, facts, altered)


def _see_no_cascade(name: Name, changes: Iterable[int], facts: TableFacts, altered: Altered) -> None:
    about = {"table": ".".join(name)}
    for reference in facts.references:
        if reference.on_delete and DELETED in changes:
            raise UnfitError(
                "cascade", {**about, "what": "deleted", "rule": f"ON DELETE {reference.on_delete}"}
            )
        if not reference.on_update or UPDATED not in changes:
            continue
        numbers = {number for number, column in enumerate(facts.columns, 1) if column in reference.columns}
        if numbers & altered().get(name, set()):
            raise UnfitError(
                "cascade", {**about, "what": "updated", "rule": f"ON UPDATE {reference.on_update}"}
            )
