"""mariadb-backup: where it is, whether it fits the server, how it is called, what its lines and files say.

Its manual says that it is to be of the server's version, and does not look: a tool of 10.11 copies a server of 11.8 and
says "completed OK!", as it does with the files of another server's data directory. So both are taken from the server.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmm.gtid.place import LogPlace
from mmm.mysql.backup import copied_options, outside
from mmm.mysql.session.connection import Address, Connection
from mmm.mysql.session.question import Question

NAMES = ("mariadb-backup", "mariabackup")
PACKAGE = "mariadb-backup"
UNPACK = "mbstream"
VERSION_LIMIT = 5.0
"""Seconds that the program may take to say its version."""
INTERVAL = 10
"""Milliseconds between two looks at the redo log: commits wait for the last one; by default that is a second."""
PRIVILEGES = ("RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR", "SLAVE MONITOR", "CONNECTION ADMIN")
"""What its account needs on the donor."""
_MORE_PATH = "/usr/bin:/usr/local/bin:/usr/local/mysql/bin"
_VERSION = re.compile(r"based on MariaDB server (\d+\.\d+)(\.\d+)")
_SERIES = re.compile(r"\d+\.\d+")
_STAGE = re.compile(r"(Starting|Started|Acquired locks for|Executing) BACKUP STAGE (\w+)")
_DONE = "completed OK!"
_POSITION_FILES = ("xtrabackup_binlog_info", "mariadb_backup_binlog_info")
"""Before 11, and since."""
_OWN_FILES = ("xtrabackup_*", "mariadb_backup_*", copied_options.NAME)
_TELLING = re.compile(r"\[ERROR\]|\bERROR\b|FATAL", re.IGNORECASE)


class ProgramError(Exception):
    """The program is not there, cannot be run, or left out what it should say; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program of this machine."""

    path: str
    version: str

    @property
    def series(self) -> str:
        """Return its series: 10.11."""
        return series(self.version)

    @property
    def unpack(self) -> str:
        """Return the program that takes its streams apart: the one beside it."""
        beside = Path(self.path).with_name(UNPACK)
        return str(beside) if beside.is_file() else UNPACK


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be known of a server to copy it."""

    version: str
    datadir: str
    not_copied: tuple[str, ...]
    """What the names of files begin with that stay behind: its logs."""
    outside: tuple[str, ...] = ()
    """What it has outside of its data directory, by its own word."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a copy stands in the donor's binary log."""

    place: LogPlace | None
    """None: the donor writes no log, or its name does not matter."""
    gtid: str
    """What is in it: a gtid_slave_pos, or MySQL's gtid_executed."""


def find(path: str) -> Program:
    """Return the program, looked for in `path` first; raises ProgramError."""
    found = next((at for name in NAMES if (at := shutil.which(name, path=f"{path}:{_MORE_PATH}"))), None)
    if found is None:
        raise ProgramError(f"there is no {NAMES[0]} on this host: apt-get install {PACKAGE}")
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, check=False, timeout=VERSION_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{found} cannot be run: {error}") from error
    said = _VERSION.search(done.stdout + done.stderr)
    if said is None:
        raise ProgramError(f"{found} does not say its version")
    return Program(found, "".join(said.groups()))


def series(version: str) -> str:
    """Return the series of a version, as far as it says one: 10.11."""
    found = _SERIES.match(version)
    return found[0] if found else version


def unfit(program: Program, version: str) -> str:
    """Return why the program must not touch the data of a server of that version, empty where it may."""
    if program.series == series(version):
        return ""
    wanted = f"install the {PACKAGE} of {series(version)}"
    return f"{program.path} is of {program.version}, the server of {version}: {wanted}"


def look(connection: Connection) -> Question[Subject]:
    """Ask the server what is to be known to copy it; needs no privilege."""
    row = (
        yield "SELECT VERSION() AS version, @@global.datadir AS datadir, @@global.log_bin_basename AS log,"
        " @@global.relay_log_basename AS relay"
    )[0]
    logs = tuple(Path(str(row[name])).name + "." for name in ("log", "relay") if row[name])
    datadir = str(row["datadir"])
    found = yield from outside.look(connection.flavour, datadir)
    return Subject(str(row["version"]), datadir, (*logs, "ib_logfile"), found)


def files(subject: Subject) -> list[Path]:
    """Return the files of the server that are copied, more or less, and folders that are links; raises OSError."""
    found = []
    for folder, folders, names in os.walk(subject.datadir):
        found += [path for name in folders if (path := Path(folder, name)).is_symlink()]
        found += [Path(folder, name) for name in names if not name.startswith(subject.not_copied)]
    return found


def size(paths: Iterable[Path]) -> int:
    """Return how many bytes the files have."""
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):  # dropped meanwhile
            total += path.lstat().st_size
    return total


def login(address: Address, socket: str) -> str:
    """Return the option file by which the program logs in: not for the command line, which everybody may read."""
    where = f"socket={option(socket)}" if socket else f"protocol=tcp\nhost={address.ip}\nport={address.port}"
    tls = ""
    if address.tls and not socket:
        files = {"ssl-ca": address.tls.ca, "ssl-cert": address.tls.cert, "ssl-key": address.tls.key}
        verify = "ssl-verify-server-cert\n" if address.tls.mode == "verify_identity" else ""
        tls = "ssl\n" + verify + "".join(f"{key}={option(file)}\n" for key, file in files.items() if file)
    return f"[client]\n{where}\nuser={option(address.user)}\npassword={option(address.password)}\n{tls}"


def backup(program: Program, subject: Subject, login_file: str, scratch: str) -> list[str]:
    """Return the command line that writes a copy to standard output; `scratch` is an empty folder for small files."""
    return [
        program.path, f"--defaults-file={login_file}", "--backup", "--stream=mbstream", "--parallel=2",
        f"--log-copy-interval={INTERVAL}", f"--datadir={subject.datadir}", f"--target-dir={scratch}",
        f"--tmpdir={scratch}",
    ]  # fmt: skip


def stops_commits(line: str) -> bool | None:
    """Tell whether commits wait for the program from this line of its on; None: it says nothing of that."""
    found = _STAGE.search(line)
    return None if found is None else found[2] == "BLOCK_COMMIT"


def prepare(program: Program, folder: Path) -> list[str]:
    """Return the command line that makes a copy one that a server can start on.

    The option file in the copy tells how its data are (`copied_options.clear` first); no other one is read.
    """
    options = folder / copied_options.NAME
    return [program.path, f"--defaults-file={options}", "--prepare", f"--target-dir={folder}"]


def is_done(lines: str) -> bool:
    """Tell whether the program's last word is that all went well; its exit status has to say so too."""
    words = lines.rstrip().splitlines()
    return bool(words) and words[-1].endswith(_DONE)


def telling(lines: Sequence[str]) -> str:
    """Return the line that says why the program failed: the first error among its last words, else the very last."""
    said = [line.strip() for line in lines if line.strip()]
    errors = (line for line in said if _TELLING.search(line))
    return next(errors, said[-1] if said else "it said nothing")


def position(folder: Path) -> Position:
    """Return where the copy in a folder stands; raises ProgramError."""
    file = next((folder / name for name in _POSITION_FILES if (folder / name).is_file()), None)
    if file is None:
        raise ProgramError(
            f"the copy in {folder} does not say its position: does the donor write a binary log?"
        )
    name, place, gtid = (*file.read_text().rstrip("\n").split("\t"), "", "", "")[:3]
    if not name or not place.isdecimal():
        raise ProgramError(f"{file} is no position: {name!r} {place!r}")
    return Position(LogPlace(name, int(place)), gtid.strip())


def remove_own_files(folder: Path) -> None:
    """Remove from the copy what the program alone needed there."""
    for pattern in _OWN_FILES:
        for path in folder.glob(pattern):
            path.unlink()


def option(text: str) -> str:
    """Return a value as an option file has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
