"""A host's own files in its data folder, which are no data: they stay with the host, as its my.cnf does. Edge.

MySQL keeps there what SET PERSIST has set, server_id say, and the keys and certificates that it made for itself at its
first start. A copy of another host's data has none of them, or has that host's: a server without its settings, a
server_id that is there twice, a CA that nobody knows.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mmm.config.model import Host
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import MysqlError, connect
from mmm.mysql.session.question import Question
from mmm.process.to_disk import settle

PERSISTED = "mysqld-auto.cnf"
"""What SET PERSIST has set: it counts more than my.cnf."""
KEYS = (
    "ca.pem",
    "ca-key.pem",
    "server-cert.pem",
    "server-key.pem",
    "client-cert.pem",
    "client-key.pem",
    "private_key.pem",
    "public_key.pem",
)
"""What MySQL makes where it finds none of them: all at once, for they go together."""
_NAMED_BY = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_crl", "admin_ssl_ca", "admin_ssl_cert", "admin_ssl_key")
"""Settings by which an administrator has named them otherwise; MariaDB makes none itself."""
_LIMIT = 10.0


def carry(datadir: Path, staging: Path, *, more: Iterable[str] = (), keep: bool = False) -> None:
    """Put the host's own files from its data folder into a copy that takes its place; those of others go from there.

    `more` names files beside those that MySQL makes itself. With `keep` what came in the copy is this host's too, as
    in its own backup: it stays where the data folder has nothing of the kind. Raises OSError.
    """
    for names in ((PERSISTED,), tuple(dict.fromkeys((*KEYS, *more)))):
        held = [name for name in names if os.path.lexists(datadir / name)]
        if held or not keep:
            for name in names:
                (staging / name).unlink(missing_ok=True)
        for name in held:
            _copy(datadir / name, staging / name)
    settle(staging)


def named(host: Host) -> tuple[str, ...]:
    """Return the keys and certificates in its data folder that a host's server names; none where it is down."""
    with suppress(MysqlError), connect(tools_at(host), _LIMIT) as server:
        return server.ask(_look())
    return ()


def _look() -> Question[tuple[str, ...]]:
    names = ", ".join(f"'{name}'" for name in (*_NAMED_BY, "datadir"))
    rows = yield f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"
    settings = {str(row["Variable_name"]): str(row["Value"] or "") for row in rows}
    folder = Path(settings.pop("datadir", ""))
    paths = (folder / value for value in settings.values() if value)  # a relative one is in the data folder
    return tuple(path.name for path in paths if path.parent == folder)


def _copy(origin: Path, goal: Path) -> None:
    """Copy a file with its owner and mode, a symbolic link as one."""
    shutil.copy2(origin, goal, follow_symlinks=False)
    owner = origin.lstat()
    os.chown(goal, owner.st_uid, owner.st_gid, follow_symlinks=False)
    if not goal.is_symlink():
        settle(goal)
