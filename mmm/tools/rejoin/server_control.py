"""Stops and starts this host's server by the means of the machine: never by a kill, never a second one.

`mysql_rcscript` of the conf where that exists, else the systemd unit that the server's process is in, else the init
script of the packages.
"""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.config.model import Host
from mmm.process.file_owner import holders, works_in
from mmm.tools.fetch.files import FIRST_FILE, SERVERS

STOP_LIMIT = 300.0
"""Seconds that a server may take to write down what it has in memory."""
START_LIMIT = 900.0
"""Seconds that it may take to start; a long recovery is no failure."""
_NAP = 0.05
_INIT = ("/etc/init.d/mariadb", "/etc/init.d/mysql", "/etc/init.d/mysqld")
_UNIT = re.compile(r"/([^/]+\.service)$", re.MULTILINE)
_SYSTEMD = Path("/run/systemd/system")


class ControlError(Exception):
    """The server cannot be stopped or started; the text says what was tried and what came of it."""


@dataclass(frozen=True, slots=True)
class ServerControl:
    """How the server with this data folder is stopped and started."""

    argv: tuple[str, ...]
    """`{}` stands for the action."""
    datadir: Path

    def processes(self) -> tuple[int, ...]:
        """Return the processes that have the data open, and a server that is about to open them."""
        starting = filter(_is_server, works_in(self.datadir))
        return tuple(sorted({*holders(self.datadir / FIRST_FILE), *starting}))

    def stop(self, limit: float = STOP_LIMIT) -> None:
        """Stop the server, also one that is starting; returns once no process has its data. Raises ControlError."""
        deadline = time.monotonic() + limit
        if not self.processes():
            return
        self._run("stop", limit)
        while left := self.processes():
            if time.monotonic() > deadline:
                raise ControlError(
                    f"process {left[0]} still has the data {limit:g} s after `{self._said('stop')}`"
                )
            time.sleep(_NAP)

    def start(self, limit: float = START_LIMIT) -> None:
        """Start the server where none has the data; raises ControlError. It need not answer yet."""
        if not self.processes():
            self._run("start", limit)

    def _run(self, action: str, limit: float) -> None:
        argv = [part.format(action) for part in self.argv]
        try:
            ran = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a server that a script starts may keep it open
                stderr=subprocess.DEVNULL,
                timeout=limit,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            why = (
                f"does not end within {limit:g} s" if isinstance(error, subprocess.TimeoutExpired) else error
            )
            raise ControlError(f"`{self._said(action)}`: {why}") from error
        if ran.returncode:
            raise ControlError(
                f"`{self._said(action)}` ended with status {ran.returncode}: look at the server's error log"
            )

    def _said(self, action: str) -> str:
        return " ".join(part.format(action) for part in self.argv)


def find(host: Host, datadir: Path, pids: Sequence[int]) -> ServerControl:
    """Return how the host's server is stopped and started; `pids` are its processes. Raises ControlError."""
    script = host.mysql_rcscript.split()
    if script and Path(script[0]).is_file():
        return ServerControl((*script, "{}"), datadir)
    units = (unit for pid in pids if (unit := _unit_of(pid)))
    if _SYSTEMD.is_dir() and (unit := next(units, "")):
        return ServerControl(("systemctl", "{}", unit), datadir)
    for path in _INIT:
        if Path(path).is_file():
            return ServerControl((path, "{}"), datadir)
    raise ControlError(
        f"nothing is found that starts the server: name its init script as mysql_rcscript of host {host.name}"
    )


def _is_server(pid: int) -> bool:
    """Tell whether the process is a server: an admin's shell or mysqldump may work in the data folder, too.

    An upgrade may have removed the program since it was started.
    """
    try:
        name = Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return False
    return name.removesuffix(" (deleted)").removesuffix("-debug") in SERVERS


def _unit_of(pid: int) -> str:
    try:
        found = _UNIT.search(Path(f"/proc/{pid}/cgroup").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found else ""
