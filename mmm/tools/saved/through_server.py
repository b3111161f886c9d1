"""Finds what only this host's server has in a log that it encrypts: by what the server itself sends of it. Edge.

The files are got as a replica gets them, in clear, the newest first and no more of them than it takes, into a folder
for root alone. What was saved of them is as readable as of any other log.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mmm.binlog.transactions import Problem
from mmm.config.model import Host
from mmm.mysql.backup import dump
from mmm.mysql.server.log_home import LogHome, look_at_log_home
from mmm.mysql.server.login import replicates_from, tools_at
from mmm.mysql.session.connection import Connection
from mmm.process.binlog_program import ProgramError, got
from mmm.process.secret import secret_file
from mmm.tools.saved.extras import Extras

LIMIT = 3600.0
"""Seconds that a file may take."""
_INDEX = "index"


@contextmanager
def scratch(folder: Path, host: str) -> Iterator[Path]:
    """Give an empty folder beside what is saved, which is removed with the log in it; raises OSError."""
    place = folder / f".{host}-log"
    shutil.rmtree(place, ignore_errors=True)  # of one that a crash has left
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def find(
    server: Connection, host: Host, program: str, folder: Path, look: Callable[[LogHome], Extras]
) -> Extras:
    """Return what `look` finds once there are files enough; the folder has to stay as long as it is worked with.

    Raises ProgramError, MysqlError, OSError.
    """
    names = [str(row["Log_name"]) for row in server.query(server.flavour.binlog_files)]
    home = replace(server.ask(look_at_log_home(server)), index=str(folder / _INDEX), folder=str(folder))
    found = Extras((), (), home.mariadb)
    for number in range(1, len(names) + 1):
        _fetch(server, host, program, names[-number], folder)
        Path(home.index).write_text("".join(f"{name}\n" for name in names[-number:]), "utf-8")
        found = look(home)
        if found.problem is not Problem.GAP:
            break
    return found


def _fetch(server: Connection, host: Host, program: str, name: str, folder: Path) -> None:
    """Have the server send a file of its log into the folder; raises ProgramError, OSError."""
    address = replace(replicates_from(host), tls=tools_at(host).tls)
    with secret_file(dump.login(server.flavour, address, plain=True)) as secret:
        try:
            why = got(program, secret, name, f"{folder}/", LIMIT)
        except subprocess.TimeoutExpired as error:
            raise ProgramError(f"{program} has not got {name} within {LIMIT:g} s") from error
    if why:
        raise ProgramError(f"{name} is encrypted, and {why}")
