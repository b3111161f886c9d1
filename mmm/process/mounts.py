"""What is mounted where, as the kernel has it (proc_pid_mountinfo(5))."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
"""How that file has blanks and the like."""


def mounted_in(path: Path) -> str:
    """Return what is mounted at or below the folder, empty where nothing is: removing it would remove what is there."""
    return next((at for at in _mounts() if Path(at).is_relative_to(path.resolve())), "")


def mounted_below(path: Path) -> str:
    """Return what is mounted below the folder, which may be a mount point itself; empty where nothing is."""
    top = path.resolve()
    return next((at for at in _mounts() if top in Path(at).parents), "")


def _mounts() -> Iterator[str]:
    for line in _MOUNTS.read_bytes().splitlines():
        yield os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), line.split(b" ")[4]))
