"""What rebuilt hosts have saved of the transactions that were thrown away with their data: read back, as rows.

A row that was thrown away has to be in one of these folders, and on no host.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmm.sandbox.cluster import Sandbox
from mmm.tools.saved.save import KEPT, TRANSACTIONS, SaveError, verify

_INSERT = re.compile(r"INSERT INTO `(\w+)`\.`(\w+)` \(([^)]*)\) VALUES \((.*)\);")
_MADE = re.compile(r"CREATE TABLE (?:`?\w+`?\.)?`?(\w+)`? \(", re.IGNORECASE)

Row = dict[str, str]
"""Its values by column, as SQL has them."""


@dataclass(frozen=True, slots=True)
class ThrownAway:
    """What a host has saved when it was rebuilt."""

    host: str
    folder: Path
    count: int
    """Transactions."""
    text: str
    """What they did, as SQL."""

    def rows(self, table: str) -> list[Row]:
        """Return the rows that were inserted into a table, `DATABASE.TABLE`."""
        found = _INSERT.finditer(self.text)
        return [
            dict(zip(_parts(match[3], "`"), _parts(match[4], "'"), strict=True))
            for match in found
            if f"{match[1]}.{match[2]}" == table
        ]

    @property
    def tables(self) -> list[str]:
        """Return the names of the tables that were made."""
        return _MADE.findall(self.text)

    def __str__(self) -> str:
        return f"{self.host} has saved {self.count} transactions in {self.folder.name}"


def _parts(text: str, quote: str) -> list[str]:
    return [part.strip().strip(quote) for part in text.split(",")]


class Saves:
    """Reads what the hosts of a sandbox have saved since this was made, or last read."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known = {folder for _, folder in self._folders()}

    def read(self) -> list[ThrownAway]:
        """Return what is new, each folder read back whole; raises SaveError where one is not as it was written."""
        new = [(host, folder) for host, folder in self._folders() if folder not in self._known]
        self._known |= {folder for _, folder in new}
        return [_read(host, folder) for host, folder in new]

    def _folders(self) -> Iterator[tuple[str, Path]]:
        for host in self._sandbox.hosts:
            folder = self._sandbox.machine(host).path(self._sandbox.layout.cluster.saved_dir)
            for kept in sorted(folder.glob(f"*/{KEPT}")):
                yield host, kept.parent


def _read(host: str, folder: Path) -> ThrownAway:
    count = verify(folder).count
    try:
        return ThrownAway(host, folder, count, (folder / TRANSACTIONS).read_text("utf-8", "replace"))
    except OSError as error:
        raise SaveError(f"{folder}: {error.strerror}") from error
