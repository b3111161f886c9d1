"""The settings of a server by name, whatever its kind."""

from collections.abc import Iterable

from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question


def look_at_variables(_: Connection, names: Iterable[str]) -> Question[dict[str, str]]:
    """Ask for global variables, in lower case; those that the server does not have are left out. Needs no privilege.

    The names are identifiers.
    """
    wanted = ",".join(f"'{name}'" for name in names)
    rows = yield f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({wanted})"
    return {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}
