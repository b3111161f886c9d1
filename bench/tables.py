"""Tables of figures: printed, in Markdown, and as JSON that one program of bench/ leaves for another."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ESCAPED = "\\|"
"""A bar within a cell of a Markdown table."""


@dataclass(frozen=True, slots=True)
class Table:
    """A title, columns and rows; `ratios` are those that are compared between two runs, by name."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    ratios: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        cells = [list(map(str, self.columns)), *([str(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.columns))]
        return "\n".join(
            row[0].ljust(widths[0]) + "".join("  " + cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))
            for row in cells
        )  # fmt: skip

    @property
    def markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [self.columns, rule, *self.rows]
        return "".join(
            f"| {' | '.join(str(cell).replace('|', ESCAPED) for cell in line)} |\n" for line in lines
        )


def write_json(path: Path, tables: Sequence[Table]) -> None:
    """Leave tables in a file; raises OSError."""
    path.write_text(json.dumps([asdict(table) for table in tables], indent=1) + "\n", "utf-8")


def read_json(path: Path) -> list[Table]:
    """Return the tables in a file, or the one that is all of it; raises OSError, ValueError."""
    read = json.loads(path.read_text("utf-8"))
    return [
        Table(each.get("title", path.stem), each["columns"], each["rows"], each.get("ratios", {}))
        for each in (read if isinstance(read, list) else [read])
    ]
