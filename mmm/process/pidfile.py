"""The pid file, and the lock that makes sure that only one copy runs.

The pid file is for people and init scripts. What counts is a lock: a socket whose name is made of the pid file's path
and stands in no folder, so that nobody can remove it. The angel holds it and, inherited, its worker, and the kernel
takes it away when the last of them has ended. So a stale or missing pid file, a wiped /run, or an angel killed alone,
never lets two copies run (rule 10.35).
"""

import contextlib
import errno
import hashlib
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmm.process.read_only import reason

_POLL = 0.05
_BACKLOG = 100
_NAMES = 4
"""Names that the lock may have, where others have taken the first ones."""
_CREDENTIALS = struct.Struct("3i")

log = logging.getLogger(__name__)


class StartError(Exception):
    """The daemon cannot start; the text is one line that says why and what to do."""


def hold_lock(pid_path: Path, wait: float) -> socket.socket:
    """Return a socket that holds the lock for `pid_path` until it is closed in all processes; raises StartError.

    When its holder or the pid file's process runs, that is refused at once; else, as after an angel was killed alone,
    what is left of the holder is on its way out, and gets `wait` seconds for it. A name that another user has taken is
    passed over, for any user may.
    """
    name = lock_name(pid_path)
    names = (name, *(f"{name}-{number}" for number in range(1, _NAMES)))
    limit = time.monotonic() + wait
    while True:
        found = _first_lock(names, read_pid(pid_path), late=time.monotonic() >= limit)
        if isinstance(found, socket.socket):
            return found
        for pid in (found, read_pid(pid_path)):
            if pid is not None and _alive(pid):
                raise StartError(f"runs already, with pid {pid} ({pid_path})")
        if time.monotonic() >= limit:
            raise StartError(
                f"runs already, though {pid_path} names no running process: "
                f"find the process with 'ss -xlp | grep {name}' and end it"
            )
        time.sleep(_POLL)


def lock_name(pid_path: Path) -> str:
    """Return the lock's name among the abstract sockets of this host's network."""
    return f"mmm-{hashlib.sha256(os.path.realpath(pid_path).encode()).hexdigest()[:16]}"


def claim(pid_path: Path, program: str) -> str | None:
    """Write the pid of this process, which holds the lock; returns a warning if the file was stale.

    Raises StartError if the file cannot be written, or a daemon that takes no lock (the Perl one) runs.
    """
    stale = _stale(pid_path, program)
    try:
        _write(pid_path)
    except OSError as error:
        raise StartError(_unusable(pid_path, error)) from error
    return stale


class Keeper:
    """Writes this process's pid file again when it has vanished, as with a wiped /run; looks every `period` seconds.

    A thread does it: where the disk of the file hangs the angel has other things to look after.
    """

    def __init__(self, pid_path: Path, period: float) -> None:
        self._path = pid_path
        self._period = period
        self._next = time.monotonic() + period
        self._complained = False
        self._thread: threading.Thread | None = None

    def wait(self) -> float:
        """Return for how many seconds there is nothing to look at."""
        return max(0.0, self._next - time.monotonic())

    def reopen(self) -> None:
        """Do nothing: no process was started for it."""

    def look(self) -> None:
        """Have the file written if it is time and it is not there; that it cannot be written is said once."""
        if self.wait():
            return
        self._next = time.monotonic() + self._period
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._keep, daemon=True)
            with contextlib.suppress(RuntimeError):  # no room for one: it is tried again
                thread.start()
                self._thread = thread

    def _keep(self) -> None:
        if self._path.exists():
            self._complained = False
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write(self._path)
            log.warning("%s had vanished: written again", self._path)
        except OSError as error:
            if not self._complained:
                log.error(
                    "%s has vanished, and cannot be written again: %s", self._path, reason(error, self._path)
                )
            self._complained = True


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


def _first_lock(names: Sequence[str], known: int | None, *, late: bool) -> socket.socket | int | None:
    """Return the lock under the first of these names that no other user has taken, else the pid of who has it.

    That is one of ours, under this name or a later one; None where it is not known. So is the process that is `known`
    by the pid file, whoever runs it: strangers cannot write that.
    """
    for place, name in enumerate(names):
        if (lock := _try_lock(name)) is None:
            holder = _holder(name, known)
            if holder is None or not (holder.stranger or (late and holder.silent)):
                return None if holder is None else holder.pid
            continue
        for later in names[place + 1 :]:  # this one was another user's when that was taken
            if (
                (holder := _holder(later, known)) is not None
                and holder.pid is not None
                and not holder.stranger
            ):
                lock.close()
                return holder.pid
        return lock
    return None


def _try_lock(name: str) -> socket.socket | None:
    """Return the lock, None if somebody has it; it listens, so that whoever asks is told its pid by the kernel."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0{name}")
        lock.listen(_BACKLOG)
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise StartError(f"cannot take the lock that keeps a second copy away: {error}") from error
        return None
    return lock


class _Holder(NamedTuple):
    """Who took a lock; `pid` is None when it cannot be told."""

    pid: int | None = None
    stranger: bool = False
    """It is neither root's nor of the user that this process runs as, nor does the pid file name it."""
    silent: bool = False
    """Nobody listens there, as one of ours does at once; or the name is free by now."""


def _holder(name: str, known: int | None) -> _Holder | None:
    """Return who took the lock, None when it cannot be told."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(f"\0{name}")
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except ConnectionRefusedError:
            return _Holder(silent=True)
        except OSError:
            return None
    pid, user, _ = _CREDENTIALS.unpack(told)
    return _Holder(pid or None, user not in {0, os.geteuid()} and pid != known)


def _write(pid_path: Path) -> None:
    """Have the file name this process; raises OSError."""
    new = pid_path.with_name(f"{pid_path.name}.new")
    new.write_text(f"{os.getpid()}\n")
    new.chmod(0o644)
    new.replace(pid_path)


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
    return f"cannot write {path}: {reason(error, path)}; the folder must exist and be writable (pid_path in the conf)"
