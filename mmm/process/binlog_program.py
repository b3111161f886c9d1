"""Runs the server's own program that turns a binary log into statements: mariadb-binlog, or MySQL's mysqlbinlog."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

VERSION_LIMIT = 2.0
"""Seconds that the program may take to say its version."""
_NAMES = {True: ("mariadb-binlog", "mysqlbinlog"), False: ("mysqlbinlog",)}
_MORE_PATH = "/usr/bin:/usr/local/bin:/usr/local/mysql/bin"


class ProgramError(Exception):
    """The program cannot be run, or did not come to its end; the text says why."""


@cache
def find(configured: str, path: str, *, mariadb: bool) -> str:
    """Return the program for that family of servers, by the conf or in `path`; raises ProgramError."""
    family = "MariaDB" if mariadb else "MySQL"
    for name in (configured,) if configured else _NAMES[mariadb]:
        found = shutil.which(name, path=f"{path}:{_MORE_PATH}")
        if found is not None and _is_of(found, mariadb=mariadb):
            return found
    wanted = configured or " or ".join(_NAMES[mariadb])
    raise ProgramError(
        f"there is no {wanted} of {family} on this host: install its client package, or set mysqlbinlog in the conf"
    )


def _is_of(program: str, *, mariadb: bool) -> bool:
    """Tell whether the program is that family's: the one does not know the other's GTIDs."""
    told = _run([program, "--no-defaults", "--version"], b"", VERSION_LIMIT).decode("utf-8", "replace")
    said = f"{told} {Path(program).resolve().name}".lower()
    return ("mariadb" in said) == mariadb


def printed(program: str, log: bytes, limit: float) -> bytes:
    """Return the statements for a whole binary log, within `limit` seconds; raises ProgramError."""
    return _run([program, "--no-defaults", "--verify-binlog-checksum", "-"], log, limit)


def _run(argv: list[str], log: bytes, limit: float) -> bytes:
    try:
        done = subprocess.run(argv, input=log, capture_output=True, check=False, timeout=max(limit, 0.001))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{argv[0]}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        raise ProgramError(f"{argv[0]}: exit status {done.returncode}: {said}")
    return done.stdout
