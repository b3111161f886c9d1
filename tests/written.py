"""Which server each row of a probe was written on first, as the binary logs of all hosts have it."""

from itertools import groupby

from mmm.binlog.events import DamagedError, events_in
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.servers import DATADIR

_WRITE_ROWS = {23, 30}
"""WRITE_ROWS events of MariaDB, and of MySQL since 5.6."""


def first_written(sandbox: Sandbox, run: str) -> dict[int, set[int]]:
    """Return the server_ids under which the rows of a run are logged, by their numbers, over all hosts."""
    found: dict[int, set[int]] = {}
    for name in sandbox.hosts:
        for file in sorted(sandbox.machine(name).path(DATADIR).glob("mysql-bin.[0-9]*")):
            for number, server_id in _rows(file.read_bytes(), run.encode()):
                found.setdefault(number, set()).add(server_id)
    return found


def _rows(log: bytes, run: bytes) -> list[tuple[int, int]]:
    """Return number and server_id of each row: the number stands behind the name of the run."""
    rows = []
    try:
        for event in events_in([log]):
            place = event.body.find(run)
            if event.kind in _WRITE_ROWS and place >= 0:
                behind = place + len(run)
                rows.append((int.from_bytes(event.body[behind : behind + 4], "little"), event.server_id))
    except DamagedError:  # a server that was killed has left half an event at its end
        pass
    return rows


def writers(sandbox: Sandbox, run: str) -> list[str]:
    """Return the hosts that took the rows of a run, one after the other, in the order of the rows.

    Who comes twice was the writer twice. A row that two servers have taken, or one of a host that had lost the role to
    another one, makes the list longer than the moves of the role.
    """
    names = {sandbox.sql(name, "SELECT @@server_id AS id")[0]["id"]: name for name in sandbox.hosts}
    rows = sorted(first_written(sandbox, run).items())
    assert rows, "the rows stand in no binary log"
    assert [number for number, ids in rows if len(ids) > 1] == [], "rows that several servers have taken"
    return [names[server_id] for server_id, _ in groupby(min(ids) for _, ids in rows)]
