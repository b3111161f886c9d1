"""Whether a data folder holds anything of users: looked at as files, for a new server may let nobody in. Edge."""

from collections.abc import Iterator
from pathlib import Path

_SERVERS_OWN = frozenset(
    {"mysql", "performance_schema", "information_schema", "sys", "#innodb_redo", "#innodb_temp"}
)
_TABLES = frozenset({".ibd", ".frm", ".MYD", ".MAD", ".sdi", ".CSV"})
SHOWN = 3


def user_tables(datadir: Path) -> tuple[str, ...]:
    """Return tables of users in it, a few of them; raises OSError."""
    return tuple(name for name, _ in zip(_found(datadir), range(SHOWN), strict=False))


def _found(datadir: Path) -> Iterator[str]:
    for folder in sorted(datadir.iterdir()):
        if folder.name in _SERVERS_OWN or folder.name.startswith((".mmm-", "#")) or not folder.is_dir():
            continue
        names = {path.stem for path in folder.iterdir() if path.suffix in _TABLES}
        yield from (f"{folder.name}.{name}" for name in sorted(names))
