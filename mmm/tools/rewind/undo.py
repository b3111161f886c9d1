"""Undoes what was proved: in one transaction, and then the binary log begins anew where the server stands. Edge.

Until that transaction is committed everything can be taken back, whoever dies. From then on the log tells of
transactions that the data have no more, until it has begun anew: what dies in that moment is not sure of either, and
nothing but a full copy mends it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmm.binlog.events import DamagedError
from mmm.binlog.stored_rows import DELETED, INSERTED
from mmm.binlog.turned import Turned
from mmm.gtid.mariadb import Gtid, text
from mmm.mysql.server.replication import history
from mmm.mysql.session.connection import OF_THE_SERVER, Connection, MysqlError
from mmm.process.binlog_program import ProgramError, lines_of
from mmm.process.to_disk import settle
from mmm.tools.rewind.changes import ROWS
from mmm.tools.rewind.place import Place
from mmm.tools.rewind.proof import Proof, Stretch

LIMIT = 60.0
"""Seconds that undoing may take."""
_ARGUMENTS = ("--flashback", "--verify-binlog-checksum", "--loose-skip-gtid-strict-mode")
_TURNED = {INSERTED: DELETED, DELETED: INSERTED}


class NotUndoneError(Exception):
    """It was not undone; `clean`: everything is as it was before."""

    def __init__(self, why: str, *, clean: bool) -> None:
        super().__init__(why)
        self.clean = clean


def undo(server: Connection, proof: Proof, kept: Path) -> None:
    """Undo it on a session that holds no lock, and keep the files of the log in the folder `kept`.

    Replication is stopped. Raises NotUndoneError.
    """
    deadline = time.monotonic() + LIMIT
    with _not_undone(clean=True):
        _keep(proof.files, kept)
        server.execute("SET SESSION sql_log_bin=0")
        server.execute(OF_THE_SERVER)
        server.execute("START TRANSACTION")
        _turn_back(server, proof, deadline)
        _see_same_end(server, proof.end, clean=True)
    with _not_undone(clean=False):
        server.execute("COMMIT", timeout=_left(deadline))
        server.execute("FLUSH TABLES WITH READ LOCK", timeout=_left(deadline))
        _see_same_end(server, proof.end, clean=False)
        server.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS", timeout=_left(deadline))
        server.execute("RESET MASTER", timeout=_left(deadline))
        _settled(server, proof.place, deadline)


def _settled(server: Connection, place: Place, deadline: float) -> None:
    """Have the server go on from a place, with its new and empty log."""
    server.execute("SET GLOBAL gtid_binlog_state=%s", (text(place.logged),), timeout=_left(deadline))
    server.execute("UNLOCK TABLES")
    server.execute("SET GLOBAL gtid_slave_pos=%s", (text(place.applied),))
    server.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS", timeout=_left(deadline))


def _turn_back(server: Connection, proof: Proof, deadline: float) -> None:
    """Undo file after file, the newest first, each from its last transaction to its first; raises NotUndoneError."""
    done: dict[int, int] = dict.fromkeys(proof.rows, 0)
    for stretch in reversed(proof.stretches):
        turned = Turned(checksums=stretch.form.checksums)
        with lines_of(proof.program, _arguments(stretch), _left(deadline), mariadb=True) as lines:
            for statement in turned.statements(lines):
                server.send(statement, timeout=_left(deadline))
        for kind, count in turned.rows.items():
            change = ROWS[kind]
            done[_TURNED.get(change, change)] += count
    if done != proof.rows:
        why = f"{proof.program} undoes {sum(done.values())} of {sum(proof.rows.values())} events of rows"
        raise NotUndoneError(why, clean=True)


def _arguments(stretch: Stretch) -> tuple[str, ...]:
    bounds = (f"--start-position={stretch.begin}", f"--stop-position={stretch.end}")
    return (*_ARGUMENTS, *bounds, str(stretch.path))


def _see_same_end(server: Connection, end: tuple[Gtid, ...], *, clean: bool) -> None:
    now = history(server).logged
    if now != end:
        why = f"somebody has written: the binary log has {text(now)}, and had {text(end)}"
        raise NotUndoneError(why, clean=clean)


def _keep(files: tuple[Path, ...], folder: Path) -> None:
    """Have the files of the log in another folder too, which takes no room; raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in files:
        other = folder / path.name
        other.unlink(missing_ok=True)
        os.link(path, other)
    settle(folder)
    settle(folder.parent)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


@contextmanager
def _not_undone(*, clean: bool) -> Iterator[None]:
    """Have what the edge raises end as a NotUndoneError."""
    try:
        yield
    except (MysqlError, ProgramError, DamagedError, OSError) as error:
        raise NotUndoneError(str(error), clean=clean) from error
