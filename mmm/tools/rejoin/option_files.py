"""What the option files say of a server that does not run: where its data and its binary log are.

`my_print_defaults` of the server's packages reads them, as the server itself does.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mmm.config.model import Host
from mmm.mysql.backup.outside import named
from mmm.mysql.server.log_home import LogHome

_PROGRAM = "my_print_defaults"
_GROUPS = ("mysqld", "server", "mariadb", "mariadbd")
USUAL = "/var/lib/mysql"
"""The data folder where no option names one."""
_LIMIT = 10.0


class UnknownError(Exception):
    """It cannot be told; the text says why, and what to do."""


def read(host: Host) -> dict[str, str]:
    """Return the options of `mysql_cnf` where that file exists, else of the usual files: a later one wins.

    Raises UnknownError.
    """
    own = [f"--defaults-file={host.mysql_cnf}"] if Path(host.mysql_cnf).is_file() else []
    try:
        ran = subprocess.run(
            [_PROGRAM, *own, *_GROUPS], capture_output=True, text=True, timeout=_LIMIT, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnknownError(
            f"the server of {host.name} does not answer, and its option files cannot be read: {error}"
        ) from error
    options: dict[str, str] = {}
    for line in ran.stdout.splitlines():
        name, _, value = line.removeprefix("--").partition("=")
        options[name.replace("-", "_")] = value
    return options


def datadir(host: Host, options: Mapping[str, str]) -> Path:
    """Return the data folder; raises UnknownError where there is none, and where it does not hold all data."""
    path = Path(options.get("datadir", USUAL))
    if not path.is_dir():
        raise UnknownError(
            f"the server of {host.name} does not answer, and its data folder {path} does not exist: name its option"
            " file as mysql_cnf"
        )
    if apart := named(options, str(path)):
        raise UnknownError(
            f"the server of {host.name} has data outside of its data folder {path}: {', '.join(apart)}: a copy would"
            " run on the redo log of the old data; move these into it"
        )
    return path


def log_home(host: Host, options: Mapping[str, str], *, mariadb: bool) -> LogHome:
    """Return where the binary log is; raises UnknownError where its name is left to the server."""
    folder = datadir(host, options)
    base = options.get("log_bin_index", "").removesuffix(".index") or options.get("log_bin", "")
    if not base:
        raise UnknownError(
            f"the server of {host.name} does not answer, and its option files do not name its binary log: start it"
        )
    bare = base if Path(base).suffix == "" else str(Path(base).with_suffix(""))
    return LogHome(str(folder / f"{bare}.index"), str(folder), int(options.get("server_id", "0")), mariadb)
