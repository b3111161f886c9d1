"""Where a server keeps its binary log: asked while it lives, for whoever reads the log once the server is dead."""

from dataclasses import dataclass
from pathlib import Path

from mmm.mysql.server.read_only import is_on
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question

_ASKS = (
    "SELECT @@global.log_bin AS logs, @@global.log_bin_index AS place, @@global.datadir AS folder,"
    " @@global.server_id AS server_id"
)


@dataclass(frozen=True, slots=True)
class LogHome:
    """What reading the log takes; no index: the server writes none."""

    index: str
    """Path of the file that lists the log's files."""
    folder: str
    """What names in it begin from, where they are not whole paths: the data folder."""
    server_id: int
    """What its own events carry."""
    mariadb: bool


def look_at_log_home(connection: Connection) -> Question[LogHome]:
    """Ask the server; needs no privilege."""
    row = (yield _ASKS)[0]
    place = str(row["place"] or "") if is_on(row["logs"]) else ""
    return LogHome(place, str(row["folder"]), int(row["server_id"] or 0), connection.flavour.mariadb)


def log_files(home: LogHome) -> dict[str, Path]:
    """Return the files of the log by their names, in their order, as its index has them; raises OSError."""
    lines = Path(home.index).read_text("utf-8", "surrogateescape").splitlines()
    places = (Path(home.folder) / line.strip() for line in lines if line.strip())
    return {place.name: place for place in places}
