"""Machines that boot a Debian of their own: overlays of one system, wired to one switch.

Root only. It leaves the system of a suite in the cache, and nothing else.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

CACHE = Path(os.environ.get("MMM_SUITES", "/var/cache/mmm/suites"))
MIRROR = "http://deb.debian.org/debian"
BOOT = Path(__file__).with_name("boot")
CGROUPS = Path("/sys/fs/cgroup")
ROUTER = "192.168.100.1"
CGROUP_LIMIT = 10.0
"""Seconds for the processes of a machine to end that was switched off."""
LIMIT = 180.0
"""Seconds for a machine to boot, and for what is run there, unless told otherwise."""
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
_AT_ONCE = (
    "systemd-sysv", "systemd", "dbus", "iproute2", "iputils-ping", "iptables", "procps", "ca-certificates", "python3",
)  # fmt: skip
_TO_BUILD = (
    "python3-pymysql", "python3-pyroute2", "python3-scapy", "python3-yaml", "python3-daemon", "python3-cryptography",
    "python3-h11",
    "build-essential", "debhelper", "dh-python", "fakeroot", "help2man", "logrotate", "lowdown", "man-db",
)  # fmt: skip
_TO_RUN = ("mariadb-client",)
_BESIDE = (
    "lintian", "mariadb-server", "mariadb-backup", "zstd", "bash-completion", "python3-aiohttp",
    "python3-prometheus-client", "python3-rich",
)  # fmt: skip


class FailedError(Exception):
    """A program on a machine ended with another status than 0; the text is what it said."""


def system(suite: str, *, lean: bool = False) -> Path:
    """Return the folder of a suite's system, which is made when it is missing; raises CalledProcessError.

    A `lean` one, in which no package can be built and no server runs, is made only where there is no other. A suite
    that this machine's debootstrap does not know, as one that is not released yet, is made as Debian unstable is.
    """
    root = CACHE / suite
    if lean and not (root / "ready").exists():
        root = CACHE / f"{suite}-lean"
    wanted = (*_AT_ONCE, *_TO_RUN) if lean else (*_AT_ONCE, *_TO_BUILD, *_TO_RUN, *_BESIDE)
    if not (root / "ready").exists():
        _bootstrap(suite, root)
    if not set(wanted) <= set((root / "ready").read_text().split()):
        _install(root, wanted)
    return root


def _bootstrap(suite: str, root: Path) -> None:
    """Make the system of a suite with what any machine needs; apt adds the rest: debootstrap knows no Provides."""
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    known = Path("/usr/share/debootstrap/scripts")
    script = known / (suite if (known / suite).exists() else "sid")
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(_AT_ONCE)}"]
    subprocess.run([*argv, suite, root, MIRROR, script], check=True)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    (root / "ready").touch()


def _install(root: Path, packages: Iterable[str]) -> None:
    """Install what is missing of packages, and note that they are there."""
    # No server is started in the chroot, where nothing would end it.
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    environment = ["env", "-i", PATH, "DEBIAN_FRONTEND=noninteractive"]
    # The mirror may be one of a day in the past.
    for argv in (
        ["-o", "Acquire::Check-Valid-Until=false", "update"],
        ["-y", "--no-install-recommends", "install", *packages],
    ):
        subprocess.run(["chroot", root, *environment, "apt-get", "--quiet=2", *argv], check=True)
    (root / "usr/sbin/policy-rc.d").unlink()
    (root / "ready").write_text("\n".join(packages))


class Machine:
    """One machine: a copy of a system that is written over, and an address on the switch."""

    def __init__(self, name: str, ip: str, folder: Path, below: Path, switch: int) -> None:
        self.name, self.ip = name, ip
        self._folder, self._below, self._switch = folder / name, below, switch
        self._cgroup = f"{folder.name}-{name}"
        self.root = self._folder / "root"
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        for part in ("upper", "work", "root"):
            (self._folder / part).mkdir(parents=True)
        layers = f"lowerdir={below},upperdir={self._folder / 'upper'},workdir={self._folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        (self.root / "etc/hostname").write_text(f"{name}\n")
        (self.root / "etc/machine-id").unlink(missing_ok=True)
        for unit in (
            "systemd-networkd.service",
            "systemd-networkd-wait-online.service",
        ):  # eth0 is not theirs
            (self.root / "etc/systemd/system" / unit).unlink(missing_ok=True)
            (self.root / "etc/systemd/system" / unit).symlink_to("/dev/null")

    def boot(self, *, idle: bool = False) -> None:
        """Boot, and return once systemd has started everything; raises TimeoutError.

        An `idle` machine has no systemd, and nothing runs there but what is run.
        """
        log = (self._folder / "console").open("ab")
        self._process = subprocess.Popen(
            [str(BOOT), str(self.root), self.name, self._cgroup, *(["idle"] if idle else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.pid = self._await_init("sh\n" if idle else "systemd\n")
        self._plug_in()
        if idle:
            return
        self.wait_until(lambda: self.says("systemctl", "is-system-running") in {"running", "degraded"})

    def _await_init(self, name: str) -> int:
        end = time.monotonic() + LIMIT
        children = Path(f"/proc/{self._started.pid}/task/{self._started.pid}/children")
        while self._started.poll() is None and time.monotonic() < end:
            with suppress(OSError, ValueError, IndexError):
                child = int(children.read_text().split()[0])
                if Path(f"/proc/{child}/comm").read_text() == name:
                    return child
            time.sleep(0.05)
        raise TimeoutError(
            f"{self.name}: {name.strip()} did not start: {(self._folder / 'console').read_text()[-2000:]}"
        )

    @property
    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"{self.name} is switched off")
        return self._process

    def _plug_in(self) -> None:
        plug = f"p-{self.name}"
        inside = ["nsenter", "-t", str(self._switch), "-n", "ip", "link"]
        # The kernel takes the network of a machine that reboots away in its own time, and with it its plug.
        subprocess.run([*inside, "del", plug], check=False, stderr=subprocess.DEVNULL)
        link = ["ip", "link", "add", plug, "netns", str(self._switch), "type", "veth"]
        subprocess.run([*link, "peer", "name", "eth0", "netns", str(self.pid)], check=True)
        subprocess.run([*inside, "set", plug, "master", "br0", "up"], check=True)
        self.run("ip", "addr", "add", f"{self.ip}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def enter(self, *argv: str) -> list[str]:
        """Return the command line that runs `argv` on this machine."""
        where = ["nsenter", "-t", str(self.pid), "-a", "-r", "-w"]
        return [
            *where,
            "env",
            "-i",
            PATH,
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive",
            *argv,
        ]

    def run(self, *argv: str, limit: float = LIMIT, given: str | None = None) -> str:
        """Return what a program prints; raises FailedError, TimeoutExpired."""
        done = subprocess.run(
            self.enter(*argv), capture_output=True, text=True, timeout=limit, check=False, input=given
        )
        if done.returncode:
            raise FailedError(
                f"{self.name}: {' '.join(argv)}: status {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def says(self, *argv: str) -> str:
        """Return what a program prints, whatever its status."""
        done = subprocess.run(self.enter(*argv), capture_output=True, text=True, timeout=LIMIT, check=False)
        return done.stdout.strip()

    def wait_until(self, holds: Callable[[], bool], limit: float = LIMIT) -> None:
        """Return once `holds` does; raises TimeoutError."""
        end = time.monotonic() + limit
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{self.name}: {self.says('systemctl', 'list-units', '--failed', '--no-legend')}"
                )
            time.sleep(0.2)

    def reboot(self) -> None:
        """Have systemd reboot, and return once it is up again."""
        with suppress(FailedError):
            self.run("systemctl", "reboot")
        self._started.wait(LIMIT)
        self.boot()

    def close(self) -> None:
        """Switch it off, and remove what it has written."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # and with it the machine
            self._process.wait(LIMIT)
        if self.root.is_mount():
            subprocess.run(["umount", "--lazy", self.root], check=False)
        for place in (CGROUPS, *(CGROUPS / name for name in ("systemd", "unified"))):
            _remove_cgroup(place / self._cgroup)


def _remove_cgroup(own: Path) -> None:
    """Remove a cgroup and those below it, once its last process has ended; returns also when that takes too long."""
    end = time.monotonic() + CGROUP_LIMIT
    while own.exists() and time.monotonic() < end:
        with suppress(OSError):
            for path, _, _ in os.walk(own, topdown=False):
                Path(path).rmdir()
            return
        time.sleep(0.05)


class Network:
    """A switch, and the machines on it; a context manager that takes all of it away."""

    def __init__(self, below: Path) -> None:
        self._below = below
        self._folder = Path(tempfile.mkdtemp(prefix="mmm-deb-", dir="/var/tmp"))
        self.machines: list[Machine] = []
        argv = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
        self._switch = subprocess.Popen(argv, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        inside = ["nsenter", "-t", str(self._switch.pid), "-n", "ip", "link"]
        if self._switch.stdout is not None:
            self._switch.stdout.readline()
        subprocess.run([*inside, "add", "br0", "type", "bridge"], check=True)
        subprocess.run([*inside, "set", "br0", "up"], check=True)
        router = [*inside[:-1], "addr", "add", f"{ROUTER}/24", "dev", "br0"]
        subprocess.run(router, check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for machine in self.machines:
            machine.close()
        self._switch.kill()
        self._switch.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def machine(self, name: str, ip: str) -> Machine:
        """Return a new machine that is switched off."""
        made = Machine(name, ip, self._folder, self._below, self._switch.pid)
        self.machines.append(made)
        return made
