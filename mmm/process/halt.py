"""Whether the whole machine is being shut down or rebooted, and not this daemon alone."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

LIMIT = 2.0
"""Seconds that whoever is asked may take."""
_SYSTEMD = Path("/run/systemd/system")
"""Is there where systemd runs: sd_booted(3)."""
_GOES_DOWN = ("0", "6")
"""The runlevels of a machine that halts or reboots: runlevel(8)."""


def machine_halts(systemd: Path = _SYSTEMD) -> bool:
    """Tell whether systemd stops the machine, or else init does; False where nobody can be asked. Blocks."""
    if systemd.is_dir():
        return _said("systemctl", "is-system-running") == ["stopping"]
    said = _said("runlevel")
    return bool(said) and said[-1] in _GOES_DOWN


def _said(*command: str) -> Sequence[str]:
    """Return the words that a command prints, whatever its exit status; none where it cannot be run in time."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.decode(errors="replace").split()
