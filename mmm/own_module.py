"""Runs a module of this installation in a process of its own."""

import sys
from pathlib import Path

import mmm

_ROOT = Path(mmm.__file__).resolve().parents[1]


def own_module(module: str, *args: str) -> list[str]:
    """Return the command line that runs `module` with this interpreter, wherever these programs are installed.

    A package of Debian keeps them where Python does not look by itself, so that no module of the same name takes
    their place.
    """
    return ["env", f"PYTHONPATH={_ROOT}", sys.executable, "-P", "-m", module, *args]
