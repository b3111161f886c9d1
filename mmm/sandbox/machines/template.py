"""The empty datadir of a kind of server: made once, copied for every server."""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from mmm.sandbox.machines.machine import SandboxError

_LIMIT = 120.0


def ready(cache: Path, binary: Path, recipe: str, fill: Callable[[Path], None]) -> Path:
    """Return the datadir made by `recipe` for a server program; `fill` makes it at the first call.

    Raises SandboxError. What was broken off is made anew.
    """
    key = hashlib.sha256(f"{binary}\n{recipe}".encode()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    datadir, making = cache / f"{binary.name}-{key}", cache / f"making-{key}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not datadir.is_dir():
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            fill(making)
            making.rename(datadir)
    return datadir


def own_program(binary: Path, name: str) -> Path | None:
    """Return a program of the folder that a server was unpacked into, None for one that is installed."""
    found = binary.parent.parent / "bin" / name
    return found if found.is_file() and not binary.is_relative_to("/usr") else None


def run(argv: list[str], script: str = "") -> None:
    """Run the server program that fills a datadir; raises SandboxError."""
    try:
        done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False, timeout=_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"cannot make the first datadir with {argv[0]}: {error}") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["no reason given"]
        raise SandboxError(f"{argv[0]} cannot make the first datadir: {errors[0]}")
