"""Wall clocks of daemons that are wrong; see `mmm.sandbox.clock`."""

from mmm.sandbox.clock.sitecustomize import SHIFT
from mmm.sandbox.cluster import Sandbox

FAR = 3600
"""Seconds by which a clock is shifted: further than anything that a daemon waits for."""


def shift(sandbox: Sandbox, name: str, seconds: int) -> None:
    """Shift the wall clock of the machine's daemons."""
    sandbox.machine(name).path(str(SHIFT)).write_text(str(seconds))


def right(sandbox: Sandbox, name: str) -> bool:
    """Shift it no more; tells whether it was shifted."""
    file = sandbox.machine(name).path(str(SHIFT))
    shifted = file.exists()
    file.unlink(missing_ok=True)
    return shifted
