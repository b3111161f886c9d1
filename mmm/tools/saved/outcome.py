"""What was saved, as a value: for the final message, for programs, and kept in the folder itself. Pure."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmm.tools.saved.extras import Extras
from mmm.wire.json_text import parsed
from mmm.wire.typed import built

FORM = 1
"""Of the file that keeps it; another one is not read."""


@dataclass(frozen=True, slots=True)
class TableCount:
    """What was done to the rows of a table."""

    name: str
    """`SCHEMA.TABLE`."""
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    rows: int = 0
    """How many rows that was, each counted once."""
    changed: int = 0
    """How many of these rows the active master has changed or removed since."""
    unfollowed: int = 0
    """Changes of rows that have no key, or were too many to be listed, or of a key where the log lacks the rest."""
    unlogged: int = 0
    """How many of these rows may have changed there: the log does not have all that they were before."""

    def __str__(self) -> str:
        what = (("INSERT", self.inserted), ("UPDATE", self.updated), ("DELETE", self.deleted))
        return ", ".join(f"{change} {self.name} {count}" for change, count in what if count)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a folder holds; no folder: there was nothing to save."""

    host: str
    """Whose transactions they are."""
    peer: str
    """The active master, which lacks them."""
    folder: Path | None = None
    count: int = 0
    """How many transactions."""
    names: str = ""
    """First and last of them."""
    uncertain: int = 0
    """How many of them the active master may have; its GTIDs do not tell."""
    identity: str = ""
    """What tells the same transactions again."""
    tables: tuple[TableCount, ...] = ()
    statements: int = 0
    """Of those that were logged as statements: DDL, grants, and what was written with binlog_format STATEMENT."""
    unprinted: int = 0
    """Rows that the program which reads the log could not print; the raw log has them."""
    compared: bool = False
    """The rows were compared with what the active master has."""
    size: int = 0
    """Bytes of the files of the log that hold them."""
    again: bool = False
    """It was there already."""

    def __str__(self) -> str:
        if not self.count:
            return f"{self.host} has no transactions that {self.peer} lacks"
        may = f", {self.uncertain} of which {self.peer} may have" if self.uncertain else ""
        rows = f": {self.rows}" if self.rows else ""
        return f"{self.count} transaction{'' if self.count == 1 else 's'} ({self.names}{may}){rows}"

    @property
    def place(self) -> str:
        """Return where they are and what they did, in a sentence; empty where there were none."""
        if not self.count:
            return ""
        which = "own transaction is" if self.count == 1 else f"own {self.count} transactions are"
        return f"Its {which} in {self.folder}{self.rows and f': {self.rows}'}."

    @property
    def rows(self) -> str:
        """Return what was done to which tables, as people read it."""
        parts = [text for table in self.tables if (text := str(table))]
        if self.statements:
            parts.append(f"{self.statements} other statement{'' if self.statements == 1 else 's'}")
        text = ", ".join(parts)
        if not self.compared:
            return text
        changed = sum(table.changed for table in self.tables)
        unlogged = sum(table.unlogged for table in self.tables)
        if changed:
            text += (
                f"; {changed} of these rows {'has' if changed == 1 else 'have'} changed on {self.peer} since"
            )
        if unlogged:
            text += f"; {unlogged} of these rows may have changed on {self.peer} since"
        return text

    def as_json(self) -> dict[str, Any]:
        """Return it in words and numbers."""
        return {**asdict(self), "folder": str(self.folder or ""), "form": FORM}


def summary(saved: Saved, extras: Extras) -> str:
    """Return what is said of it in the folder."""
    lines = [
        f"What only {saved.host} had, while {saved.peer} was the active master: {saved}.",
        "",
        *(
            f"raw/{part.name}: {sum(extra.file == part.name for extra in extras.transactions)} transactions"
            for part in extras.parts
        ),
    ]
    for table in saved.tables:
        changed = f", {table.changed} changed on {saved.peer} since" if saved.compared else ""
        lines.append(f"{table.name}: {table.rows} rows{changed}: {table}")
        if table.unlogged:
            lines.append(
                f"  {table.unlogged} rows may have changed on {saved.peer} since: what they were before"
                " is not in the log (binlog_row_image)"
            )
        if table.unfollowed:
            lines.append(
                f"  {table.unfollowed} changes cannot be followed by a key: the table has none, the rows were too many,"
                " or not all of the row is in the log"
            )
    if saved.statements:
        lines.append(f"Other statements, DDL say: {saved.statements}")
    if saved.unprinted:
        lines.append(f"Rows that could not be printed, and are in raw/ alone: {saved.unprinted} or more")
    if not saved.compared:
        lines.append(
            f"The rows were not compared with what {saved.peer} has: it was not asked, or did not answer."
        )
    lines += [
        "",
        "transactions.sql: what they did, one after the other",
        f"rows.sql: each row that they changed, once, and what {saved.peer} has",
        "sha256sum -c SHA256: whether all of it is as it was written",
    ]
    return "\n".join(lines) + "\n"


def encode(saved: Saved) -> str:
    """Return what the folder keeps."""
    return json.dumps(saved.as_json(), indent=1) + "\n"


def decode(text: str, folder: Path) -> Saved | None:
    """Return what a folder says that it holds; None where that cannot be read."""
    try:
        known = parsed(text)
        return (
            replace(built(Saved, {**known, "folder": None}), folder=folder) if known["form"] == FORM else None
        )
    except (KeyError, TypeError, ValueError):
        return None
