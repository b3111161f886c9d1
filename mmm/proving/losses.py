"""What MMM says about the transactions that a failover has lost, as values, from the monitors' history files.

From the file, not from an answer: the monitor may be dead, frozen or cut off when somebody wants to know.
"""

from collections.abc import Callable
from pathlib import Path

from mmm.monitor.report import history
from mmm.monitor.report.history import Entry
from mmm.proving.announced import Announced
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.machine import SandboxError


class Losses:
    """Reads what has been added to the history since it was made, or last read; `clock` says when that is."""

    def __init__(self, sandbox: Sandbox, clock: Callable[[], float]) -> None:
        """Read what is there; raises SandboxError where the sandbox has no monitor, OSError."""
        monitor = sandbox.layout.cluster.monitor
        if monitor is None:
            raise SandboxError(f"sandbox {sandbox.name} has no monitor: nobody says what a failover loses")
        machines = map(sandbox.machine, sandbox.layout.monitors)
        self._files = [_File(machine.path(f"{monitor.status_path}.history")) for machine in machines]
        self._clock = clock
        self.read()

    def read(self) -> list[Announced]:
        """Return what is new, of each monitor in the order in which it was said; raises OSError."""
        known = {line for file in self._files for line in file.lines}
        new: dict[str, None] = {}  # a monitor that comes to lead has the lines of the one before
        for file in self._files:
            new |= dict.fromkeys(line for line in file.read() if line not in known)
        return [self._announced(entry) for entry in history.decode("".join(new)) if entry.loss]

    def _announced(self, entry: Entry) -> Announced:
        said = entry.loss or {}
        most = said["most"]
        return Announced(
            self._clock(),
            str(said["host"]),
            str(said["taker"]),
            str(said["loss"]),
            None if most is None else int(most),
        )


class _File:
    """The history of one monitor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = (0, 0)
        self.lines: list[str] = []
        """The whole lines that it had when it was read last."""

    def read(self) -> list[str]:
        """Return its whole lines, none where it has not changed."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return []
        size = (found.st_ino, found.st_size)
        if size == self._size:
            return []
        # When the monitor shortens the file it has lines that are known.
        lines = self._path.read_text(errors="replace").splitlines(keepends=True)
        self.lines, self._size = [line for line in lines if line.endswith("\n")], size
        return self.lines
