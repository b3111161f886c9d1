"""The option file that mariadb-backup puts into a copy: what preparing it takes of the server's set-up.

Page size, the files of the system tablespace, and the plugin that has the keys of encrypted data. The file comes from
another host and is read by root here, so what it names is looked at first: options that can do no more than say how
the data are, and plugins from a folder that root alone may change.
"""

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

NAME = "backup-my.cnf"
_PLAIN = frozenset(
    {
        "innodb_checksum_algorithm",
        "innodb_compression_level",
        "innodb_data_file_path",
        "innodb_encrypt_log",
        "innodb_encrypt_tables",
        "innodb_log_block_size",
        "innodb_log_file_size",
        "innodb_page_size",
        "innodb_undo_tablespaces",
    }
)
"""What says how the data are, and no path."""
_LOAD, _FOLDER = "plugin_load", "plugin_dir"
_PLUGIN = re.compile(r"(?P<name>\w*key_management\w*)=\w+")
"""One that has keys: options are passed on by its name, and those of no other plugin, InnoDB say, may be."""


def cleared(text: str, may_load_from: Callable[[str], bool]) -> str:
    """Return the option file with nothing in it but what preparing takes.

    A folder of plugins that may not be loaded from is left out: then the program's own one counts. Pure.
    """
    return "\n".join(["[mysqld]", *_kept(dict(_options(text)), may_load_from), ""])


def _options(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, is_option, value = line.partition("=")
        if is_option and not line.startswith(("#", "[", "!")):
            yield name.strip(), value.strip()


def _kept(options: dict[str, str], may_load_from: Callable[[str], bool]) -> Iterator[str]:
    yield from (f"{name}={value}" for name, value in options.items() if name in _PLAIN and "/" not in value)
    plugin = _PLUGIN.fullmatch(options.get(_LOAD, ""))
    if plugin is None:
        return
    yield f"{_LOAD}={options[_LOAD]}"
    if may_load_from(options.get(_FOLDER, "").strip('"')):
        yield f"{_FOLDER}={options[_FOLDER]}"
    own = f"{plugin['name']}_"
    yield from (f"{name}={value}" for name, value in options.items() if name.startswith(own))


def clear(copy: Path) -> Path:
    """Have the option file of a copy hold no more than preparing takes, and return it; raises OSError."""
    path = copy / NAME
    text = path.read_text("utf-8") if path.is_file() else ""
    path.write_text(cleared(text, lambda folder: _is_roots_own(Path(folder), copy)), "utf-8")
    return path


def _is_roots_own(folder: Path, copy: Path) -> bool:
    """Tell whether a folder is outside of the copy, and root alone may change what is in it."""
    with suppress(OSError):
        found, place = folder.stat(), folder.resolve()
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return folder.is_absolute() and not found.st_uid and not others and not place.is_relative_to(copy)
    return False
