"""What is to be known of the two servers to choose a way: values, and the question that brings them."""

from dataclasses import dataclass

from mmm.mysql.backup import clone_plugin, data_size, dump, mariadb_backup, outside
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.read_only import is_on
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question, whole

_KEYS = (
    "SELECT PLUGIN_NAME AS name FROM information_schema.PLUGINS"
    " WHERE PLUGIN_TYPE='ENCRYPTION' AND PLUGIN_STATUS='ACTIVE'"
)


@dataclass(frozen=True, slots=True)
class Side:
    """One server, recipient or donor."""

    name: str
    """Of its host."""
    flavour: Flavour
    version: str
    datadir: str
    page_size: int
    lower_case_table_names: int
    size: int
    """Bytes of its tablespaces: about what a copy takes, the redo log aside."""
    clone_plugin: bool = False
    """MySQL's clone plugin is loaded."""
    not_innodb: tuple[str, ...] = ()
    """Users' tables of engines that the clone plugin leaves empty, a few of them."""
    outside: tuple[str, ...] = ()
    """What it has outside of its data directory, as far as it says."""
    logs_updates: bool = True
    """Its log has what it replicates too."""
    dump_lacks: tuple[str, ...] = ()
    """Statements that grant the tools what they lack to dump all."""
    prepared: bool = False
    """XA transactions are prepared there."""
    backup_program: str = ""
    """Version of mariadb-backup on this host; empty: there is none, or it was not looked for."""
    keys: str = ""
    """The plugin that has the keys of encrypted data (MariaDB); empty: none is active."""

    @property
    def series(self) -> str:
        """Return the series of its version: 10.11."""
        return mariadb_backup.series(self.version)


def look(connection: Connection, name: str, backup_program: str = "") -> Question[Side]:
    """Ask a server what is to be known of it; needs PROCESS, and SELECT to see other engines' tables."""
    flavour = connection.flavour
    updates = (
        "log_slave_updates" if flavour.mariadb or flavour.version < (8, 0, 26) else "log_replica_updates"
    )
    row = (
        yield "SELECT VERSION() AS version, @@global.datadir AS datadir, @@global.innodb_page_size AS page,"
        f" @@global.lower_case_table_names AS lower_case, @@global.{updates} AS updates"
    )[0]
    datadir = str(row["datadir"])
    apart = yield from outside.look(flavour, datadir)
    size = yield from data_size.look_at_size(flavour)
    lacks = yield from dump.look_at_lacks(connection)
    prepared = yield from dump.look_at_prepared()
    keys = yield _KEYS
    active = False
    others: tuple[str, ...] = ()
    if clone_plugin.knows(flavour):
        active = yield from clone_plugin.is_active(connection)
        others = yield from _not_innodb()
    return Side(
        name, flavour, str(row["version"]), datadir, whole(row["page"]), whole(row["lower_case"]),
        size, active, others, apart,
        is_on(row["updates"]), lacks, prepared, backup_program, str(keys[0]["name"]) if keys else "",
    )  # fmt: skip


def _not_innodb() -> Question[tuple[str, ...]]:
    rows = yield (
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS name FROM information_schema.TABLES"
        " WHERE TABLE_TYPE='BASE TABLE' AND ENGINE <> 'InnoDB'"
        " AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') LIMIT 3"
    )
    return tuple(str(row["name"]) for row in rows)
