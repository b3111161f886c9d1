"""What a server's processlist tells; the monitor may not see it, but the agent has PROCESS."""

from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import only
from mmm.wire.questions import DISK_FULL, EVENTS, Note

_FULL = ("Waiting for someone to free space", "Waiting for disk space")
"""The state of a thread that waits for space on a disk: MariaDB's, MySQL's."""
_NEXT = "Waiting for next activation"
"""The state of the event scheduler while an event is ENABLED."""
_THREADS = "SELECT STATE AS state, TIME AS seconds FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for %'"


def look(connection: Connection) -> tuple[Note, ...]:
    """Return what there is to tell of this server now. Raises MysqlError."""
    rows = connection.ask(only(_THREADS))
    waits = [float(row["seconds"] or 0) for row in rows if str(row["state"]) in _FULL]
    full = (Note(DISK_FULL, max(waits)),) if waits else ()
    events = any(str(row["state"]) == _NEXT for row in rows)
    return (*full, Note(EVENTS)) if events else full
