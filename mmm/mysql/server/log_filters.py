"""What a server's binary log leaves out."""

from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import Question

_COLUMNS = {"Binlog_Do_DB": "binlog_do_db", "Binlog_Ignore_DB": "binlog_ignore_db"}


def look_at_log_filters(server: Connection) -> Question[dict[str, str]]:
    """Ask for the filters of the binary log, by the setting's name; none where the account may not see them."""
    try:
        rows = yield server.flavour.binlog_status
    except MysqlError as error:
        if not error.server_alive:
            raise
        return {}
    return {name: str(row[column]) for row in rows for column, name in _COLUMNS.items() if row.get(column)}
