"""Runs the server's own program that turns a binary log into statements: mariadb-binlog, or MySQL's mysqlbinlog."""

import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

VERSION_LIMIT = 2.0
"""Seconds that the program may take to say its version."""
_NAMES = {True: ("mariadb-binlog", "mysqlbinlog"), False: ("mysqlbinlog",)}
_ANY_ORDER = ("--loose-skip-gtid-strict-mode",)
"""MariaDB's refuses since 10.8 a log with a lower number behind a higher one, as a host that came apart may have it."""
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


def printed(program: str, log: bytes, limit: float, *, mariadb: bool) -> bytes:
    """Return the statements for a whole binary log, within `limit` seconds; raises ProgramError."""
    return _run(_reading(program, ["-"], mariadb=mariadb), log, limit)


def got(program: str, secret: int, name: str, prefix: str, limit: float) -> str:
    """Have a server send a file of its log, as it stands there; returns why `prefix` + `name` is not it, else nothing.

    `secret` is a descriptor that reads an option file with the login. Raises OSError, subprocess.TimeoutExpired.
    """
    argv = [program, f"--defaults-file=/dev/fd/{secret}", "--read-from-remote-server", "--raw",
            f"--result-file={prefix}", name]  # fmt: skip
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=limit, pass_fds=(secret,)
    )
    if not done.returncode and Path(f"{prefix}{name}").is_file():
        return ""
    said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
    return f"{program} ended with {done.returncode}: {said}"


def _reading(program: str, arguments: Sequence[str], *, mariadb: bool) -> list[str]:
    """Return the command that reads a log, whatever the order of the numbers in it."""
    order = _ANY_ORDER if mariadb else ()
    return [program, "--no-defaults", "--verify-binlog-checksum", *order, *arguments]


def _run(argv: list[str], log: bytes, limit: float) -> bytes:
    try:
        done = subprocess.run(argv, input=log, capture_output=True, check=False, timeout=max(limit, 0.001))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{argv[0]}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        raise ProgramError(f"{argv[0]}: exit status {done.returncode}: {said}")
    return done.stdout


@contextmanager
def lines_of(
    program: str, arguments: Sequence[str], limit: float, *, mariadb: bool
) -> Iterator[Iterator[bytes]]:
    """Run the program and give the lines that it prints, as they come; it is killed after `limit` seconds.

    Raises ProgramError at the end where it failed: what it has printed is not whole then.
    """
    with TemporaryFile() as errors:
        argv = _reading(program, arguments, mariadb=mariadb)
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise ProgramError(f"{program}: {error.strerror or error}") from error
        clock = threading.Timer(max(limit, 0.001), process.kill)
        clock.start()
        try:
            with process.stdout or nullcontext(BytesIO()) as printed:
                yield iter(printed)
                for _ in printed:
                    pass
            status = process.wait()
        finally:
            clock.cancel()
            process.kill()
            process.wait()
        if status < 0:
            raise ProgramError(f"{program}: it was killed, or was not done within {limit:.0f} s")
        if status:
            errors.seek(0)
            said = " ".join(errors.read().decode("utf-8", "replace").split())[-300:]
            raise ProgramError(f"{program}: exit status {status}: {said}")
