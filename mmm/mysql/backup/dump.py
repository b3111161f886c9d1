"""A dump by the server's own program, mariadb-dump or mysqldump: how it is called, where it says that it stands."""

import re
import shutil
from dataclasses import dataclass

from mmm.mysql.backup.mariadb_backup import Position, ProgramError, option
from mmm.mysql.backup.mariadb_backup import login as mariadb_login
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.accounts import OF_A_DUMP
from mmm.mysql.server.privileges import Need, look_at_missing_grants
from mmm.mysql.session.connection import Address, Connection
from mmm.mysql.session.errors import MysqlError
from mmm.mysql.session.question import Question

NEEDED = ("SELECT", *OF_A_DUMP, "RELOAD", "PROCESS")
"""What the account of the tools needs on the donor."""
_MARIADB, _MYSQL = ("mariadb-dump", "mariadb"), ("mysqldump", "mysql")
_MORE_PATH = "/usr/bin:/usr/local/bin:/usr/local/mysql/bin"
_SLAVE_POS = re.compile(rb"^-- SET GLOBAL gtid_slave_pos='([0-9,-]*)';", re.MULTILINE)
_PURGED = re.compile(rb"^SET @@GLOBAL\.GTID_PURGED=(?:/\*!80000 '\+'\*/ )?'([^']*)';", re.MULTILINE)
_FIRST_DATA = b"\n-- Current Database: "
_END = b"-- Dump completed"


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of this machine: the one that dumps, the one that loads."""

    dump: str
    load: str


def find(flavour: Flavour, path: str) -> Programs:
    """Return those of that family, looked for in `path` first; raises ProgramError."""
    names = _MARIADB if flavour.mariadb else _MYSQL
    found = [shutil.which(name, path=f"{path}:{_MORE_PATH}") for name in names]
    if not all(found):
        raise ProgramError(
            f"there is no {' or no '.join(names)} on this host: install the client of {flavour.family}"
        )
    return Programs(str(found[0]), str(found[1]))


def dump(programs: Programs, flavour: Flavour, login_file: str) -> list[str]:
    """Return the command line that writes all of the donor's data to standard output, at one place in its log."""
    place = ("--gtid", "--master-data=2") if flavour.mariadb else ("--set-gtid-purged=ON",)
    return [
        programs.dump, f"--defaults-file={login_file}", "--all-databases", "--single-transaction", "--quick",
        "--routines", "--events", "--triggers", "--hex-blob", "--default-character-set=utf8mb4", *place,
    ]  # fmt: skip


def login(flavour: Flavour, address: Address, *, plain: bool) -> str:
    """Return the option file by which the program logs in; MySQL's demands TLS unless `plain`: its servers have it."""
    if flavour.mariadb:
        return mariadb_login(address, "")
    modes = {"required": "REQUIRED", "verify_ca": "VERIFY_CA", "verify_identity": "VERIFY_IDENTITY"}
    tls = address.tls
    mode = modes[tls.mode] if tls and tls.mode in modes else "PREFERRED" if plain else "REQUIRED"
    named = {"ssl-ca": tls.ca, "ssl-cert": tls.cert, "ssl-key": tls.key} if tls else {}
    lines = [f"{key}={option(file)}" for key, file in named.items() if file]
    who = [f"user={option(address.user)}", f"password={option(address.password)}"]
    return "\n".join(
        ["[client]", f"host={address.ip}", f"port={address.port}", *who, f"ssl-mode={mode}", *lines, ""]
    )


def load(programs: Programs, socket: str) -> list[str]:
    """Return the command line that loads it from standard input into the server at that socket."""
    return [
        programs.load, "--no-defaults", f"--socket={socket}", "--user=root", "--default-character-set=utf8mb4",
        "--max-allowed-packet=1G", "--binary-mode",
    ]  # fmt: skip


def look_at_prepared() -> Question[bool]:
    """Ask whether XA transactions are prepared there: a dump leaves them out, and their commit comes behind it.

    False, too, for an account that MySQL does not tell (XA_RECOVER_ADMIN).
    """
    try:
        return bool((yield "XA RECOVER"))
    except MysqlError as error:
        if not error.server_alive:
            raise
        return False


def position(beginning: bytes, end: bytes, flavour: Flavour) -> Position | None:
    """Return where a dump stands, None: it does not say.

    It says so before the first data, or behind the last, as new programs of MariaDB and late ones of MySQL 5.7 do.
    """
    pattern = _SLAVE_POS if flavour.mariadb else _PURGED
    found = pattern.findall(beginning.partition(_FIRST_DATA)[0]) or pattern.findall(end)
    return Position(None, found[-1].decode().replace("\n", "")) if found else None


def is_whole(end: bytes) -> bool:
    """Tell by its end whether a dump is whole; its program's exit status has to say so too."""
    return _END in end


def look_at_lacks(connection: Connection) -> Question[tuple[str, ...]]:
    """Ask which grants the account lacks to dump all; returns the statements that give them."""
    missing = yield from look_at_missing_grants(connection, map(Need, NEEDED))
    return tuple(each.statement for each in missing)
