"""Processes as /proc tells them: those in a machine, and the holders of machines."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_END_LIMIT = 60.0
_NAP = 0.005


@dataclass(frozen=True, slots=True)
class Process:
    """A process in a machine; `pid` as seen from outside, `inner` as seen inside, `state` as in ps."""

    pid: int
    inner: int
    parent: int
    state: str
    argv: tuple[str, ...]
    name: str = ""
    """What ps calls it."""

    def runs(self, program: str) -> bool:
        """Tell whether this is the (Python) program of that name, not a shell script that starts it."""
        return any(Path(part).name == program for part in self.argv[:2]) and self.state != "Z"

    @property
    def gone(self) -> bool:
        """Tell whether it has ended since."""
        return _ended(self.pid)

    def freeze(self, limit: float) -> bool:
        """Stop the process; tells whether none of its threads ran any more within `limit` seconds."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + limit
        while not all(state in "TtZX" for state in _states(self.pid)):
            if time.monotonic() > deadline:
                return False
            time.sleep(_NAP)
        return True

    def end(self, number: signal.Signals, limit: float) -> bool:
        """Send a signal that ends the process; tells whether it was gone within `limit` seconds."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        deadline = time.monotonic() + limit
        while not self.gone:
            if time.monotonic() > deadline:
                return False
            time.sleep(_NAP)
        return True


def argv_of(pid: int) -> tuple[str, ...]:
    """Return the command line of a process; raises OSError."""
    return tuple(
        (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    )


def _states(pid: int) -> Iterator[str]:
    """Yield the state of each thread of a process, as in ps."""
    for stat in (_PROC / str(pid)).glob("task/*/stat"):
        with contextlib.suppress(OSError):
            yield stat.read_text(errors="replace").rpartition(")")[2].split()[0]


def processes_beside(pid: int) -> Iterator[Process]:
    """Yield the processes that share the pid namespace whose first process is `pid`, without that one."""
    space = _space(pid)
    for other in _pids():
        if space and other != pid and _space(other) == space:
            with contextlib.suppress(OSError):
                lines = (_PROC / str(other) / "status").read_text(errors="replace").splitlines()
                status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
                inner, parent = int(status["NSpid"][-1]), int(status["PPid"][0])
                yield Process(other, inner, parent, status["State"][0], argv_of(other), status["Name"][0])


def end_holders(boot: str) -> bool:
    """Kill every machine whose boot script is, or is below, the path `boot`; tells whether all of it is gone.

    The first process of a pid namespace ends once all others of it have: pid_namespaces(7). It is watched by a pidfd:
    the number of its namespace may be another machine's a moment later, though not while it is ending.
    """
    deadline = time.monotonic() + _END_LIMIT
    ended = select.poll()  # a pidfd can be read once its process has ended: pidfd_open(2)
    with contextlib.ExitStack() as open_files:
        ending: dict[int, int] = {}
        spaces: dict[int, int] = {}
        while time.monotonic() < deadline:
            holders = {pid: name for pid in _pids() if (name := _boots(pid, boot))}
            # The first process of a machine goes first: `unshare`, which waits for it, then ends by itself.
            inner = [pid for pid, name in holders.items() if name == "sh"]
            for pid in inner or (() if ending else holders):
                with contextlib.suppress(ProcessLookupError):
                    if pid not in ending:
                        ending[pid] = os.pidfd_open(pid)
                        open_files.callback(os.close, ending[pid])
                        ended.register(ending[pid], select.POLLIN)
                        # Before it is killed: one that ends has no namespaces any more long before it has ended.
                        spaces[pid] = _space(pid, "pid_for_children")
                    signal.pidfd_send_signal(ending[pid], signal.SIGKILL)
            if not holders and not ending:
                return True
            _wake_entrants({spaces[pid] for pid in ending} - {0, _space(os.getpid())})
            for over, _ in ended.poll(1000 * _NAP):
                ended.unregister(over)
                ending = {pid: fd for pid, fd in ending.items() if fd != over}
    return False


def _wake_entrants(spaces: set[int]) -> None:
    """Have every `nsenter` that is stopped go on whose program is in one of these pid namespaces.

    A namespace ends once the parents of all its processes have asked after them: pid_namespaces(7). One whose program
    was stopped has stopped itself too.
    """
    for pid in _pids():
        if _space(pid, "pid_for_children") in spaces and _space(pid) not in spaces:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _boots(pid: int, boot: str) -> str:
    """Return "unshare" or "sh" if the process is one that holds a machine with such a boot script, else nothing."""
    with contextlib.suppress(OSError):
        argv = argv_of(pid)
        ours = any(part == boot or (part.startswith(f"{boot}/") and part.endswith("/boot")) for part in argv)
        name = Path(argv[0]).name
        return name if ours and name in {"sh", "unshare"} else ""
    return ""


def _ended(pid: int) -> bool:
    """Tell whether a process has ended; one that its parent has not asked after yet has."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"}


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208  (see below)


def _space(pid: int, kind: str = "pid") -> int:
    """Return the number of a process's namespace, 0 when it has gone."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino  # noqa: PTH116  (of all processes: a Path takes six times as long)
    except OSError:
        return 0
