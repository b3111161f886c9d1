"""Gets a full copy of a MariaDB donor's data into a folder beside the old one, ready to be started on. Edge.

came = fetch(conf, conf.hosts["db2"], Path("/var/lib/mysql.mmm-new"), print, owner=Owner.of(datadir))
"""

import os
import subprocess
import time
import uuid
from pathlib import Path

from mmm.config.model import Cluster, Host
from mmm.mysql.backup import copied_options, mariadb_backup
from mmm.mysql.backup.mariadb_backup import Position, Program
from mmm.tools.fetch import files
from mmm.tools.fetch.connect import open_stream
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.receive import receive, receive_head
from mmm.tools.fetch.unpack import Unpacking
from mmm.tools.fetch.values import Cause, Failed, FailedError, Fetched, Progress, Report
from mmm.wire.stream import Head

PROVIDER = "mariadb-backup"
PREPARE_LIMIT = 86_400.0
"""Seconds that preparing may take: as long as the redo log is."""


def fetch(
    conf: Cluster, donor: Host, into: Path, report: Report, *, owner: Owner | None = None, job: str = ""
) -> Fetched | Failed:
    """Return what came, prepared in the new folder `into`, which must not be there yet; never raises for a failure.

    The files are given to `owner`; None: to whoever runs this. What failed leaves no folder behind.
    """
    began = time.monotonic()
    try:
        program = _program()
        with files.made(into):
            with open_stream(conf, donor, PROVIDER, job or uuid.uuid4().hex) as stream, files.settling(into):
                came = receive(stream, donor.name, into, lambda head: _unpacking(program, head, into), report)
            done = files.size(into)
            report(Progress("preparing", done, done, 0.0))
            position = _prepared(program, into)
            files.give(into, owner or Owner(os.getuid(), os.getgid()))
            files.sync(into)
            seconds = time.monotonic() - began
            return Fetched(files.size(into), seconds, position, came.head.server_version, came.sent)
    except FailedError as error:
        return error.failed
    except OSError as error:
        return Failed(Cause.HERE, f"{into}: {error.strerror or error}")


def tried(conf: Cluster, donor: Host, into: Path, job: str) -> Failed | None:
    """Return why no copy could be begun now, None where one could: the donor is asked for it, and nothing is taken.

    `into` is where it would come; there is nothing afterwards.
    """
    try:
        program = _program()
        with files.made(into), open_stream(conf, donor, PROVIDER, job) as stream:
            head = receive_head(stream, donor.name)
            with _unpacking(program, head, into):
                pass
            into.rmdir()
    except FailedError as error:
        return error.failed
    except OSError as error:
        return Failed(Cause.HERE, f"{into}: {error.strerror or error}")
    return None


def _program() -> Program:
    try:
        return mariadb_backup.find(os.environ.get("PATH", ""))
    except mariadb_backup.ProgramError as error:
        raise FailedError(Cause.HERE, str(error)) from error


def _unpacking(program: Program, head: Head, into: Path) -> Unpacking:
    """Return what unpacks the stream; raises FailedError before any of it is written where it does not fit."""
    if why := mariadb_backup.unfit(program, head.server_version):
        raise FailedError(Cause.HERE, why)
    argv = [program.unpack, "-x", "-C", str(into)]
    return Unpacking(argv, into, compressed=head.compressed)


def _prepared(program: Program, into: Path) -> Position:
    """Make the copy one that a server starts on, and return where it stands; raises FailedError, OSError."""
    copied_options.clear(into)
    try:
        done = subprocess.run(
            mariadb_backup.prepare(program, into),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PREPARE_LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(Cause.PREPARE, f"{program.path}: {error}") from error
    said = done.stderr.rstrip()
    if done.returncode or not mariadb_backup.is_done(said):
        why = mariadb_backup.telling(said.splitlines())
        raise FailedError(Cause.PREPARE, f"{program.path} --prepare ended with {done.returncode}: {why}")
    try:
        position = mariadb_backup.position(into)
    except mariadb_backup.ProgramError as error:
        raise FailedError(Cause.PREPARE, str(error)) from error
    mariadb_backup.remove_own_files(into)
    return position
