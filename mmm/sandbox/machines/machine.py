"""A machine of the sandbox: its own network, mounts, host name, processes and uptime, all held by one process.

The holder is `unshare … sh HOME/boot`. When it is killed the kernel ends everything in the machine and
drops its namespaces, mounts and links: nothing has a name outside, so nothing can be left over but files.
Inside, the machine looks like a host: its own /run, /var/log/mysql-mmm, /etc/mysql-mmm and so on.
"""

import contextlib
import ctypes
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmm.sandbox.machines.processes import Process, argv_of, end_holders, processes_beside

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_TIME_NAMESPACES = Path("/proc/self/ns/time").exists()
_BOOT_LIMIT = 30.0
LAID_OVER = ("/usr/local/bin", "/usr/sbin")
"""Where a machine has programs and servers that the real one has not."""

_BOOT = """\
# The first process of machine {name}: makes what it sees its own, then waits for the end of its children.
set -e
echo {name} > /proc/sys/kernel/hostname
mount -t sysfs sysfs /sys
{mounts}
sysctl -qw net.ipv6.conf.default.accept_dad=0 2>/dev/null || true
ip link set lo up
echo booted > {home}/booted
while :; do sleep 1000000 & wait; done
"""


class SandboxError(RuntimeError):
    """What went wrong in the sandbox and what to do about it, in one line."""


class NotInTimeError(SandboxError):
    """What was waited for in vain, and where it tells something, how the cluster looked when the time was over."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine; its files are below `home`, where `skeleton` holds what is laid over /etc and others."""

    name: str
    home: Path

    @property
    def etc(self) -> Path:
        """Return the directory that the machine sees as /etc/mysql-mmm."""
        return self.home / "etc/mysql-mmm"

    @property
    def log(self) -> Path:
        """Return the directory that the machine sees as /var/log/mysql-mmm."""
        return self.path("/var/log/mysql-mmm")

    @property
    def skeleton(self) -> Path:
        """Return the directory whose trees are laid read-only over those of the real machine."""
        return self.home / "skeleton"

    def path(self, inside: str) -> Path:
        """Return where a private directory of the machine is from outside."""
        return self.home / inside.lstrip("/")

    def boot(self, private: Iterable[str]) -> None:
        """Start the machine with its own `private` directories; raises SandboxError."""
        (self.home / "booted").unlink(missing_ok=True)
        script = self.home / "boot"
        mounts = "\n".join(self._mounts([*private, "/etc/mysql-mmm"]))
        script.write_text(_BOOT.format(name=self.name, home=shlex.quote(str(self.home)), mounts=mounts))
        with (self.home / "boot.log").open("wb") as log:
            holder = subprocess.Popen(
                [*_unshare(), "sh", str(script)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _BOOT_LIMIT
        while not (self.home / "booted").exists():
            if holder.poll() is not None or time.monotonic() > deadline:
                told = (self.home / "boot.log").read_text(errors="replace").strip().replace("\n", "; ")
                kind = SandboxError if holder.poll() is not None else NotInTimeError
                raise kind(f"machine {self.name} does not start: {told or 'no answer in time'}")
            time.sleep(0.005)
        threading.Thread(target=holder.wait, daemon=True).start()
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        (self.home / "pid").write_text(children[0])

    def _mounts(self, private: Iterable[str]) -> Iterator[str]:
        """Yield the mount commands: an overlay where directories are missing, a bind for each private one."""
        over = {"/etc", *(each for each in LAID_OVER if (self.skeleton / each.lstrip("/")).is_dir())}
        bound: list[str] = []
        for directory in sorted({os.path.realpath(name) for name in private}):
            self.path(directory).mkdir(parents=True, exist_ok=True)
            if any(directory.startswith(f"{outer}/") for outer in bound):
                continue
            bound.append(directory)
            if not Path(directory).is_dir():
                parent = _nearest(directory)
                if parent == "/":
                    raise SandboxError(
                        f"{directory}: not on this machine and directly below /: mkdir it first"
                    )
                over.add(parent)
                (self.skeleton / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
        for parent in sorted(over):
            lower = self.skeleton / parent.lstrip("/")
            lower.mkdir(parents=True, exist_ok=True)
            yield shlex.join(
                ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower}:{parent}", parent]
            )
        for directory in bound:
            yield shlex.join(["mount", "--bind", str(self.path(directory)), directory])

    @property
    def pid(self) -> int:
        """Return the pid, seen from outside, of the machine's first process; raises SandboxError when off."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / "pid").read_text())
            if str(self.home / "boot") in argv_of(pid):
                return pid
        raise SandboxError(f"machine {self.name} is not running: mmm_sandbox down, then up")

    @property
    def running(self) -> bool:
        """Tell whether the machine is on."""
        try:
            return self.pid > 0
        except SandboxError:
            return False

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` inside the machine; raises SandboxError when it is off."""
        flags = ["-T"] if _TIME_NAMESPACES else []
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-i", "-p", *flags, "--", *argv]

    def run(
        self, argv: Sequence[str], *, limit: float = 30.0, text: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end and return what it wrote.

        Raises NotInTimeError when it takes longer than `limit` seconds, SandboxError when (`check`) it fails.
        """
        limited = ["timeout", "-k", "1", f"{limit:.3f}", *argv]
        done = subprocess.run(
            self.enter(limited), input=text, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL if text is None else None,
        )  # fmt: skip
        if done.returncode in {124, 137}:
            raise NotInTimeError(f"{self.name}: {shlex.join(argv)} did not end within {limit:g} s")
        if check and done.returncode:
            told = (done.stderr.strip() or done.stdout.strip()).replace("\n", "; ")
            raise SandboxError(f"{self.name}: {shlex.join(argv)} exits {done.returncode}: {told}")
        return done

    def spawn(self, argv: Sequence[str], *, log: Path) -> "subprocess.Popen[bytes]":
        """Start a program inside that goes on by itself, its output appended to `log`."""
        with log.open("ab") as out:
            return subprocess.Popen(
                self.enter(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def processes(self) -> tuple[Process, ...]:
        """Return the processes in the machine without its first one; none when it is off."""
        try:
            return tuple(processes_beside(self.pid))
        except SandboxError:
            return ()

    def connect(self, address: tuple[str, int], limit: float) -> socket.socket:
        """Return a TCP connection made from inside the machine; raises OSError."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        made = self.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(limit)
            made.connect(address)
        except BaseException:
            made.close()
            raise
        return made

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket of the machine's network, for use out here; raises OSError, SandboxError."""
        return self.in_its_network(lambda: socket.socket(family, kind, protocol))

    def in_its_network(self, do: Callable[[], _T]) -> _T:
        """Return what `do` returns in the machine's network; raises SandboxError, OSError, and any OSError of `do`."""
        done: list[_T] = []
        failed: list[Exception] = []
        pid = self.pid

        def enter() -> None:
            # A network namespace belongs to a thread: this one enters, does it and ends.
            try:
                fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if _LIBC.setns(fd, _CLONE_NEWNET):
                        number = ctypes.get_errno()
                        raise OSError(number, f"cannot enter machine {self.name}: {os.strerror(number)}")
                finally:
                    os.close(fd)
                done.append(do())
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return done[0]

    def halt(self) -> None:
        """End the machine at once, as a power cut does, with all its processes; raises NotInTimeError."""
        boot = str(self.home / "boot")
        if not end_holders(boot):
            raise NotInTimeError(f"machine {self.name} does not end: look for {boot} in ps")
        (self.home / "pid").unlink(missing_ok=True)


def _nearest(directory: str) -> str:
    """Return the nearest directory above that is there."""
    return next(str(parent) for parent in Path(directory).parents if parent.is_dir())


def _unshare() -> list[str]:
    flags = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    if _TIME_NAMESPACES:
        uptime = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        flags += ["--time", f"--boottime=-{uptime}"]
    return ["unshare", *flags]
