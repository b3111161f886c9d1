"""The pid file, and the lock that makes sure that only one copy runs.

The pid file is for people and init scripts. What counts is a lock (flock) on a file beside it: it is held
by the angel and, inherited, by its worker, and the kernel lets go of it when the last of them has ended.
So a stale or missing pid file, or an angel killed alone, never lets two copies run (SPEC 10.35).
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

_POLL = 0.05


class StartError(Exception):
    """The daemon cannot start; the text is one line that says why and what to do."""


def hold_lock(pid_path: Path, wait: float) -> int:
    """Return a descriptor that holds the lock beside `pid_path`; raises StartError.

    When the pid file names a running process the lock is refused at once; else, as after an angel was
    killed alone, its holder is on its way out, and gets `wait` seconds for it.
    """
    path = pid_path.with_name(f"{pid_path.name}.lock")
    limit = time.monotonic() + wait
    while True:
        descriptor = _try_lock(path)
        if descriptor is not None:
            return descriptor
        pid = read_pid(pid_path)
        if pid is not None and _alive(pid):
            raise StartError(f"runs already, with pid {pid} ({pid_path})")
        if time.monotonic() >= limit:
            raise StartError(
                f"runs already, though {pid_path} names no running process: {path} is locked; "
                f"find the process with 'fuser {path}' and end it"
            )
        time.sleep(_POLL)


def drop_lock(pid_path: Path, descriptor: int) -> None:
    """Let go of the lock and remove its file, so that nothing is left behind."""
    with contextlib.suppress(OSError):
        pid_path.with_name(f"{pid_path.name}.lock").unlink()
    os.close(descriptor)


def claim(pid_path: Path, program: str) -> str | None:
    """Write the pid of this process, which holds the lock; returns a warning if the file was stale.

    Raises StartError if the file cannot be written, or a daemon that takes no lock (the Perl one) runs.
    """
    stale = _stale(pid_path, program)
    new = pid_path.with_name(f"{pid_path.name}.new")
    try:
        new.write_text(f"{os.getpid()}\n")
        new.chmod(0o644)
        new.replace(pid_path)
    except OSError as error:
        raise StartError(_unusable(pid_path, error)) from error
    return stale


def release(pid_path: Path) -> None:
    """Remove the pid file if it is still this process's."""
    if read_pid(pid_path) == os.getpid():
        with contextlib.suppress(OSError):
            pid_path.unlink()


def read_pid(pid_path: Path) -> int | None:
    """Return the pid in the file, None if there is none to be read."""
    try:
        text = pid_path.read_text("ascii", "replace")[:32].strip()
    except OSError:
        return None
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(_unusable(path, error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except OSError:  # held by another, or removed by the one that just let go of it
        pass
    os.close(descriptor)
    return None


def _stale(pid_path: Path, program: str) -> str | None:
    if not pid_path.exists():
        return None
    pid = read_pid(pid_path)
    if pid is not None and _alive(pid) and _is_unlocked_daemon(pid, program):
        raise StartError(
            f"a daemon that takes no lock runs already, with pid {pid} ({pid_path}): stop it first"
        )
    return f"{pid_path} was stale: it names {pid or 'no pid'}, which is no {program}; replaced"


def _alive(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_text("ascii", "replace")
    except OSError:
        return False
    return not stat.rpartition(")")[2].lstrip().startswith(("Z", "X"))


def _is_unlocked_daemon(pid: int, program: str) -> bool:
    process = Path("/proc", str(pid))
    try:
        command = (process / "cmdline").read_bytes().decode(errors="replace")
        return program in command and (process / "exe").readlink().name.startswith("perl")
    except OSError:
        return False


def _unusable(path: Path, error: OSError) -> str:
    return (
        f"cannot write {path}: {error.strerror}; the folder must exist and be writable (pid_path in the conf)"
    )
