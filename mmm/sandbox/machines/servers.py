"""The real database servers that the sandbox runs: found by name or path, their conf written.

What one kind of server wants otherwise than another is in its own module, `mariadb` and `mysql`.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmm.mysql.flavour import Flavour
from mmm.sandbox.machines import fetch, mariadb, mysql
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.sql import SOCKET

CNF = "/etc/mysql/my.cnf"
DATADIR = "/var/lib/mysql/data"
ERROR_LOG = "/var/log/mysql/error.log"
TMPDIR = "/var/lib/mysql-tmp"
"""Not /tmp, which all machines share: a server removes there what it takes for its own of an earlier run."""
PRIVATE = ("/var/lib/mysql", "/var/lib/mysql-mmm", "/var/log/mysql", TMPDIR)
_NAMES = ("mariadbd", "mysqld")
_PLACES = ("bin", "usr/sbin", "sbin", "usr/bin", "libexec")


@dataclass(frozen=True, slots=True)
class Instance:
    """What makes one server of a cluster different from the others."""

    name: str
    server_id: int
    port: int
    masters: int
    """How many masters share the auto_increment values."""
    offset: int
    pid_file: str


class Server(Protocol):
    """A server program of one kind and version."""

    @property
    def binary(self) -> Path:
        """Return the program."""

    @property
    def version(self) -> str:
        """Return its version as SELECT VERSION() does."""

    @property
    def flavour(self) -> Flavour:
        """Return what it is told."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Return the values of my.cnf that all servers of this kind have: small, many fit on a machine."""

    def template(self, cache: Path) -> Path:
        """Return an empty datadir to copy, made in `cache` at the first call; raises SandboxError."""

    def binlog_program(self) -> Path | None:
        """Return the program of its own folder that reads its binary log; None: the machine's does."""

    def client(self) -> Path | None:
        """Return the command line client, if there is one."""


def cnf(server: Server, instance: Instance, options: Mapping[str, object]) -> str:
    """Return the my.cnf of an instance, read-only from its start; `options` are added, or win."""
    client = {"port": instance.port, "socket": SOCKET}
    own = {
        "user": "root",
        "port": instance.port,
        "bind-address": "*",
        "socket": SOCKET,
        "pid-file": instance.pid_file,
        "datadir": DATADIR,
        "tmpdir": TMPDIR,
        "log_error": ERROR_LOG,
        "server_id": instance.server_id,
        "log_bin": "mysql-bin",
        "binlog_format": "ROW",
        "relay_log": "relay-bin",
        "skip_name_resolve": "ON",
        "read_only": "ON",
        "auto_increment_increment": max(instance.masters, 1),
        "auto_increment_offset": instance.offset,
    }
    return f"[client]\n{_lines(client)}\n[mysqld]\n{_lines({**own, **server.settings, **options})}"


def find(wanted: str) -> Server:
    """Return the server for `--server`; raises SandboxError.

    That is "mariadb", the one of this machine; a name of `fetch.ORIGINS`, fetched if need be; the path of a server
    program, or of the folder of one.
    """
    binary = _program(wanted)
    try:
        argv = [str(binary), "--no-defaults", "--version"]
        told = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"cannot run {binary}: {error}") from error
    version = re.search(r"Ver (\S+)", told)
    if version is None:
        raise SandboxError(f"{binary} is neither a MariaDB nor a MySQL server: {told[:100]}")
    kind = mariadb.MariaDb if "mariadb" in told.lower() else mysql.MySql
    return kind.at(binary, version[1])


def _program(wanted: str) -> Path:
    if wanted == "mariadb":
        return mariadb.installed()
    path = fetch.fetched(wanted) if wanted in fetch.ORIGINS else Path(wanted).absolute()
    if path.is_file():
        return path
    for place in _PLACES:
        for name in _NAMES:
            if (path / place / name).is_file():
                return path / place / name
    raise SandboxError(
        f"--server {wanted}: neither mariadb, {', '.join(fetch.ORIGINS)}, nor a server program or a folder with one"
    )


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in values.items())
