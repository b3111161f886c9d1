"""What was saved, as a value: for the final message, for programs, and kept in the folder itself. Pure."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmm.tools.saved.extras import Extras

FORM = 1
"""Of the file that keeps it; another one is not read."""


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
    size: int = 0
    """Bytes of the files of the log that hold them."""
    again: bool = False
    """It was there already."""

    def __str__(self) -> str:
        if not self.count:
            return f"{self.host} has no transactions that {self.peer} lacks"
        may = f", {self.uncertain} of which {self.peer} may have" if self.uncertain else ""
        return f"{self.count} transaction{'' if self.count == 1 else 's'} ({self.names}{may})"

    def as_json(self) -> dict[str, Any]:
        """Return it in words and numbers."""
        return {**asdict(self), "folder": str(self.folder or ""), "form": FORM}


def summary(saved: Saved, extras: Extras) -> str:
    """Return what is said of it in the folder."""
    lines = [
        f"What only {saved.host} had: {saved}. {saved.peer} was the active master.",
        "",
        *(
            f"{part.name}: {sum(extra.file == part.name for extra in extras.transactions)} transactions"
            for part in extras.parts
        ),
    ]
    return "\n".join(lines) + "\n"


def encode(saved: Saved) -> str:
    """Return what the folder keeps."""
    return json.dumps(saved.as_json(), indent=1) + "\n"


def decode(text: str, folder: Path) -> Saved | None:
    """Return what a folder says that it holds; None where that cannot be read."""
    try:
        known = json.loads(text)
        if known.pop("form") != FORM:
            return None
        return replace(Saved(**known), folder=folder)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
