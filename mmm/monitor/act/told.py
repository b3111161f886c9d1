"""How far each `<notify>` section has been told of the history, in a file beside it: the next start goes on there.

A thread writes it, for its disk may hang, and nobody waits for that.
"""

import json
import signal
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from mmm.monitor.act import status_file
from mmm.monitor.act.complaint import Complaint
from mmm.wire.follow import Position, positions
from mmm.wire.json_text import parsed


class Told:
    """The positions behind which each section has been told nothing, in the file at `path`; None: on no disk."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._complaint = Complaint(f"file {path}")
        self._positions: Mapping[str, Position] = _read(path) if path is not None else {}
        self._written = self._positions
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def positions(self) -> Mapping[str, Position]:
        """Return them by the names of the sections."""
        return self._positions

    def up_to(self, section: str, told: Position) -> None:
        """Note how far a section has been told."""
        if self._positions.get(section) != told:
            self._go_on({**self._positions, section: told})

    def keep(self, sections: Collection[str]) -> None:
        """Forget all sections but these: one of the same name that comes later begins anew."""
        if not self._positions.keys() <= set(sections):
            self._go_on({name: told for name, told in self._positions.items() if name in sections})

    def _go_on(self, told: Mapping[str, Position]) -> None:
        with self._changed:
            self._positions = told
            if self._thread is None and self._path is not None:
                self._thread = threading.Thread(
                    target=self._run, args=(self._path,), name="told", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def _run(self, path: Path) -> None:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, signal.valid_signals()
        )  # they are for those that wait for them
        while True:
            with self._changed:
                while self._written is self._positions:
                    self._changed.wait()
                self._written = self._positions
            try:
                status_file.write(path, encoded(self._written))
                self._complaint.is_written()
            except OSError as error:
                self._complaint.cannot_be_written(error)


def forget(path: Path) -> None:
    """Remove the file of a monitor that tells nobody: a section that comes later begins anew."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        Complaint(f"file {path}, which is of no use any more,").cannot_be_written(error)


def encoded(told: Mapping[str, Position]) -> str:
    """Return the text of the file."""
    return json.dumps({name: str(place) for name, place in told.items()}) + "\n"


def decoded(text: str) -> Mapping[str, Position]:
    """Return what the text of a file says; what says nothing is left out."""
    try:
        return positions(parsed(text))
    except (ValueError, AttributeError):
        return {}


def _read(path: Path) -> Mapping[str, Position]:
    try:
        return decoded(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:  # at the first start, and where it cannot be read: then what happens from now on is told
        return {}
