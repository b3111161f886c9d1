"""The ratios of an earlier run, which a later one should not be much worse than (bench/ratios.json)."""

import json
from collections.abc import Mapping
from pathlib import Path

KEPT = Path(__file__).with_name("ratios.json")
TOLERANCE = 0.3
"""By how much a ratio may be worse, as a part of it, where the file says nothing else."""

Kept = dict[str, dict[str, float]]
"""Of each ratio by its name, `ratio` and `tolerance`."""


def read(path: Path = KEPT) -> Kept:
    """Return what is kept, nothing where there is no file; raises OSError, ValueError."""
    kept: Kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return kept


def worse(measured: Mapping[str, float], kept: Kept) -> list[str]:
    """Return a line for each ratio that is worse than it was, by more than its tolerance."""
    return [
        f"{name}: {measured[name]:.2f}, was {was['ratio']:.2f}: more than {100 * was['tolerance']:.0f} % worse"
        for name, was in kept.items()
        if name in measured and measured[name] > was["ratio"] * (1 + was["tolerance"])
    ]


def keep(measured: Mapping[str, float], path: Path = KEPT) -> None:
    """Keep the ratios of this run; what it did not measure stays as it was, and so do tolerances. Raises OSError."""
    kept = read(path)
    for name, ratio in measured.items():
        kept[name] = {
            "ratio": round(ratio, 3),
            "tolerance": kept.get(name, {}).get("tolerance", TOLERANCE),
        }
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")
