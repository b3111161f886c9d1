"""The settings of a server that count once it is the active master."""

from mmm.gtid.settings import Settings
from mmm.mysql.server.read_only import is_on
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question, whole


def look_at_settings(connection: Connection) -> Question[Settings]:
    """Ask for them; needs no privilege."""
    row = (yield connection.flavour.settings)[0]
    return Settings(
        increment=whole(row["auto_step"]),
        offset=whole(row["auto_start"]),
        logs=is_on(row["logs"]),
        logs_replicated=is_on(row["logs_replicated"]),
    )
