"""MySQL events of a copy are disabled as a replica has them: what they write comes from the writer, too. Edge."""

from mmm.mysql.session.connection import Connection

_TABLE = "UPDATE mysql.event SET status='SLAVESIDE_DISABLED' WHERE status='ENABLED'"
"""MariaDB and MySQL 5.7 keep events in a table: so their definers and times stay."""
_ENABLED = (
    "SELECT EVENT_SCHEMA AS place, EVENT_NAME AS name, DEFINER AS definer FROM information_schema.EVENTS"
    " WHERE STATUS='ENABLED'"
)
_IN_A_DICTIONARY = 8
"""The version of MySQL from which on nobody may change that table."""


def disable(session: Connection) -> None:
    """Disable all events that are ENABLED on a server that nobody else uses, by an account that may; raises MysqlError.

    The server that takes the copy on would run them at once, also where it is read-only: each definer may ignore that
    who has a privilege for it.
    """
    flavour = session.flavour
    if not flavour.mariadb:
        session.execute("SET GLOBAL super_read_only=0")
    if flavour.mariadb or flavour.version[0] < _IN_A_DICTIONARY:
        session.execute(_TABLE)
        return
    for row in session.query(_ENABLED):
        user, _, client = str(row["definer"]).rpartition("@")
        event = f"{_quoted(row['place'])}.{_quoted(row['name'])}"
        session.execute(f"ALTER DEFINER={_quoted(user)}@{_quoted(client)} EVENT {event} DISABLE ON SLAVE")


def _quoted(name: object) -> str:
    return "`" + str(name).replace("`", "``") + "`"
