"""A picture of each family of figures, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.tables import Table

_COLOURS = ("#2b6cb0", "#9db4c9", "#dd6b20", "#718096", "#38a169", "#b7791f", "#805ad5", "#4a5568")
mpl.rcParams["svg.hashsalt"] = "mmm"  # the same figures are the same file
mpl.rcParams["svg.fonttype"] = "none"


def draw(found: Mapping[str, Sequence[Table]], directory: Path) -> dict[str, Path]:
    """Draw a picture for each family that there are figures of; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, painter in _PAINTERS.items():
        if name not in found:
            continue
        figure = painter(found[name])
        if figure is not None:
            drawn[name] = directory / f"{name}.svg"
            canvas: Any = FigureCanvasSVG(figure)
            canvas.print_svg(str(drawn[name]), metadata={"Date": None})
    return drawn


def _number(cell: object) -> float | None:
    try:
        return float(str(cell))
    except ValueError:
        return None


def _column(table: Table, name: str) -> list[float | None]:
    place = list(table.columns).index(name)
    return [_number(row[place]) for row in table.rows]


def _bars(table: Table, columns: Sequence[str], label: str, *, log: bool = False) -> Figure:
    """Return horizontal bars: a group for each row, one of it for each column."""
    names = [str(row[0]) for row in table.rows]
    figure = Figure(figsize=(9, 0.9 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(columns)
    for place, column in enumerate(columns):
        values = _column(table, column)
        ys = [row + (place - (len(columns) - 1) / 2) * height for row in range(len(names))]
        axes.barh(ys, [value or 0 for value in values], height, label=column, color=_COLOURS[place])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if log:
        axes.set_xscale("log")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    return figure


def _move(tables: Sequence[Table]) -> Figure:
    """Return the steps one after the other, a bar for each way to move."""
    steps = tables[-1]
    ways = [str(name) for name in steps.columns[1:]]
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(ways)
    for place, row in enumerate(steps.rows):
        values = [max(0.0, _number(cell) or 0.0) for cell in row[1:]]
        axes.barh(ways, values, left=left, label=str(row[0]), color=_COLOURS[place % len(_COLOURS)])
        left = [begin + value for begin, value in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("ms without a write (medians)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=4, fontsize="small")
    return figure


def _failover(tables: Sequence[Table]) -> Figure:
    columns = ("median", "aim", "classic", "best of others")
    return _bars(tables[0], columns, "s without a write (medians; logarithmic)", log=True)


def _idle(tables: Sequence[Table]) -> Figure:
    return _bars(tables[0], ("CPU % of a core",), "% of a core")


def _start(tables: Sequence[Table]) -> Figure:
    kept = Table("start", tables[0].columns, tables[0].rows[:2])
    return _bars(kept, ("median ms",), "ms")


def _scale(tables: Sequence[Table]) -> Figure | None:
    """Return a line for each part of dead hosts, over the number of hosts; None where no such columns are told."""
    table = tables[0]
    wanted = [name for name in table.columns if any(word in name for word in ("p99", "failover", "us/check"))]
    if not wanted or len(table.rows) < 2:
        return None
    hosts, dead = _column(table, str(table.columns[0])), _column(table, str(table.columns[1]))
    figure = Figure(figsize=(3.4 * len(wanted), 3), layout="constrained")
    for place, name in enumerate(wanted):
        axes = figure.add_subplot(1, len(wanted), place + 1)
        values = _column(table, name)
        for number, some in enumerate((False, True)):
            points = [
                (x, y)
                for x, part, y in zip(hosts, dead, values, strict=True)
                if x is not None and y is not None and bool(part) is some
            ]
            if points:
                label = "some dead" if some else "none dead"
                axes.plot(*zip(*points, strict=True), marker="o", label=label, color=_COLOURS[2 * number])
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel("hosts")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


_PAINTERS = {"move": _move, "failover": _failover, "scale": _scale, "idle": _idle, "start": _start}
