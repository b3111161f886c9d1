"""Data that a server has outside of its data directory: a copy beside the old data would share it, or miss it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mmm.mysql.flavour import Flavour
from mmm.mysql.session.question import Question

VARIABLES = (
    "innodb_data_home_dir",
    "innodb_undo_directory",
    "innodb_log_group_home_dir",
    "innodb_data_file_path",
    "aria_log_dir_path",
)
"""The settings that say where InnoDB and Aria have files which are no table's."""
_FILES = (
    "SELECT FILE_NAME AS name FROM information_schema.FILES"
    " WHERE FILE_TYPE IN ('TABLESPACE', 'UNDO LOG') AND FILE_NAME LIKE '/%'"
)
_LINK = ".isl"
"""The end of a file that says where InnoDB has a table created with DATA DIRECTORY."""
SHOWN = 3
"""So many are named."""


def look(flavour: Flavour, datadir: str) -> Question[tuple[str, ...]]:
    """Ask a server; returns what is outside as NAME=PATH or PATH, a few of it. MySQL's files need PROCESS."""
    names = ", ".join(f"'{name}'" for name in VARIABLES)
    rows = yield f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"
    found = named({str(row["Variable_name"]): str(row["Value"] or "") for row in rows}, datadir)
    if not flavour.mariadb:  # MariaDB's table of files is empty
        files = yield _FILES
        found += [str(row["name"]) for row in files if is_outside(str(row["name"]), datadir)]
    return tuple(found[:SHOWN])


def named(settings: Mapping[str, str], datadir: str) -> list[str]:
    """Return those of a server's settings that name a place outside of its data directory, as NAME=VALUE.

    Files of the system tablespace stand in one setting: `/a/ibdata1:12M;/b/ibdata2:12M:autoextend`.
    """
    found = ((name, settings[name]) for name in VARIABLES if name in settings)
    return [
        f"{name}={value}"
        for name, value in found
        if any(is_outside(each.partition(":")[0], datadir) for each in value.split(";"))
    ]


def links(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return those of the files of a data directory that stand for one outside of it, a few of them."""
    return tuple([str(path) for path in paths if path.suffix == _LINK or path.is_symlink()][:SHOWN])


def is_outside(place: str, datadir: str) -> bool:
    """Tell whether a path is neither the data directory nor below it; relative ones are."""
    if not place.startswith("/"):
        return False
    return not f"{place.rstrip('/')}/".startswith(f"{datadir.rstrip('/')}/")
