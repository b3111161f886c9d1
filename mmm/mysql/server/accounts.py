"""The accounts that MMM needs on every server, with no more privileges than this package uses."""

from dataclasses import dataclass, field

from mmm.mysql.flavour import Family, Flavour
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.mysql.session.question import Question

_NOT_IN_BINLOG = "SET SESSION sql_log_bin=0"
_IN_BINLOG = "SET SESSION sql_log_bin=1"
_UNSEALED = "SET GLOBAL super_read_only=0"
_SEALED = "SET GLOBAL super_read_only=@@GLOBAL.read_only"
OF_A_DUMP = ("SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES")
"""What is dumped beside rows, where a copy comes no other way; mariadb-backup locks tables, too."""
_TAKEN_TO_PIECES = (10, 5, 2)
"""Since this version MariaDB has privileges for what only SUPER could do before."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the conf and the client addresses it may come from, `%` for all."""

    user: str
    password: str = field(default="", repr=False)
    clients: str = "%"


def grants(flavour: Flavour, monitor: Account, agent: Account, replication: Account) -> tuple[str, ...]:
    """Return the statements that make the three accounts, in order, for an administrator's session.

    They stay out of the binary log, so that they may be run on every server by itself without making
    transactions that the others lack. Running them again sets the passwords and changes nothing else.
    """
    return (
        _NOT_IN_BINLOG,
        *_account(monitor, monitor_privileges(flavour)),
        *_account(agent, agent_privileges(flavour)),
        *_heartbeat(flavour, agent),
        *_account(replication, ("REPLICATION SLAVE",)),
        _IN_BINLOG,
    )


def monitor_privileges(flavour: Flavour) -> tuple[str, ...]:
    """Return what the checks need: to see the replica's status. Anybody may read @@read_only."""
    if flavour.mariadb and flavour.version >= _TAKEN_TO_PIECES:
        return ("SLAVE MONITOR",)
    return ("REPLICATION CLIENT",)


def in_one_line(family: Family, grant: str) -> str:
    """Return what an administrator types to have a grant on one server alone, whether it is the writer or a replica.

    On a replica a grant that is logged is a transaction that no other host has: it cannot be moved to another source
    any more, and with gtid_strict_mode replication stops (error 1950). MySQL refuses it with super_read_only (1290),
    which agents set wherever they set read_only. Afterwards both are as before.
    """
    if family == "MariaDB":
        return f"{_NOT_IN_BINLOG}; {grant}; {_IN_BINLOG}"
    return f"{_NOT_IN_BINLOG}; {_UNSEALED}; {grant}; {_SEALED}; {_IN_BINLOG}"


def look_at_missing_grant(connection: Connection) -> Question[str]:
    """Ask whom the server takes the monitor's user for; returns the line that grants the account what it needs."""
    needed = ", ".join(monitor_privileges(connection.flavour))
    try:
        account = str((yield "SELECT CURRENT_USER() AS account")[0]["account"])
    except (MysqlError, LookupError):  # a proxy may answer anything
        user, clients = "…", "%"
    else:
        user, _, clients = account.rpartition("@")
    grant = f"GRANT {needed} ON *.* TO {_name(Account(user, clients=clients))}"
    return in_one_line(connection.flavour.family, grant)


def agent_privileges(flavour: Flavour) -> tuple[str, ...]:
    """Return what moving roles needs: read_only, ending sessions, replication."""
    if flavour.mariadb and flavour.version >= _TAKEN_TO_PIECES:
        return (
            "READ_ONLY ADMIN",
            "CONNECTION ADMIN",
            "PROCESS",
            "BINLOG MONITOR",
            "SLAVE MONITOR",
            "REPLICATION SLAVE ADMIN",
            "REPLICATION MASTER ADMIN",  # semi-sync: the new master's commits wait
            "BINLOG REPLAY",  # what only a dead server's log has is applied
        )
    if flavour.mariadb or flavour.version < (8, 0, 0):
        return ("SUPER", "PROCESS", "REPLICATION CLIENT")
    return (
        "SYSTEM_VARIABLES_ADMIN",
        "CONNECTION_ADMIN",
        "SYSTEM_USER",  # without it sessions of accounts that have it, such as root's, cannot be ended
        "PROCESS",
        "REPLICATION CLIENT",
        "REPLICATION_SLAVE_ADMIN",
        "REPLICATION_APPLIER",  # what only a dead server's log has is applied
        "INSERT",  # its rows too: MySQL asks for these as if the session changed them itself
        "UPDATE",
        "DELETE",
    )


def tools_grants(flavour: Flavour, tools: Account) -> tuple[str, ...]:
    """Return the statements that make the account of the tools, as `grants` does those of the daemons."""
    return (_NOT_IN_BINLOG, *_account(tools, tools_privileges(flavour)), _IN_BINLOG)


def tools_privileges(flavour: Flavour) -> tuple[str, ...]:
    """Return what copying a host's data, saving what only it has, and bringing it back needs."""
    if flavour.mariadb and flavour.version >= _TAKEN_TO_PIECES:
        return (
            "SELECT",  # the rows that are saved, beside what the active master has there
            *OF_A_DUMP,
            "RELOAD",  # tables are locked and flushed
            "PROCESS",
            "BINLOG MONITOR",
            "BINLOG ADMIN",  # where the log of the copy goes on
            "BINLOG REPLAY",  # a number is passed that was thrown away; what only a host has is undone
            "SLAVE MONITOR",
            "REPLICATION SLAVE ADMIN",
            "REPLICATION MASTER ADMIN",  # its log begins anew where that ends
            "READ_ONLY ADMIN",
            "CONNECTION ADMIN",
        )
    if flavour.mariadb or flavour.version < (8, 0, 0):
        return ("SELECT", *OF_A_DUMP, "RELOAD", "PROCESS", "SUPER", "REPLICATION CLIENT")
    return (
        "SELECT",
        *OF_A_DUMP,
        "RELOAD",
        "PROCESS",
        "BACKUP_ADMIN",
        "CLONE_ADMIN",
        "SYSTEM_VARIABLES_ADMIN",
        "CONNECTION_ADMIN",
        "REPLICATION CLIENT",
        "REPLICATION_SLAVE_ADMIN",
    )


def _heartbeat(flavour: Flavour, agent: Account) -> tuple[str, ...]:
    """Return the grant to read what a change of the source would forget; on MariaDB anybody may."""
    if flavour.mariadb:
        return ()
    return (f"GRANT SELECT ON performance_schema.replication_connection_configuration TO {_name(agent)}",)


def _name(account: Account) -> str:
    return f"{_quoted(account.user)}@{_quoted(account.clients)}"


def _account(account: Account, privileges: tuple[str, ...]) -> tuple[str, ...]:
    name = _name(account)
    secret = f"IDENTIFIED BY {_quoted(account.password)}"
    return (
        f"CREATE USER IF NOT EXISTS {name} {secret}",
        f"ALTER USER {name} {secret}",
        f"GRANT {', '.join(privileges)} ON *.* TO {name}",
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
