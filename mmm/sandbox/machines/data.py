"""What the sandbox's servers hold at first: the users of the conf, the sandbox's own tables, replication."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from mmm.gtid.place import LogPlace
from mmm.mysql.flavour import Family, Flavour
from mmm.mysql.server.accounts import Account, grants, tools_grants
from mmm.mysql.server.change_source import change_source
from mmm.mysql.session.connection import Address
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.layout import Layout
from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.machines.servers import Server
from mmm.sandbox.machines.sql import quoted

DATABASE = "sandbox"
PROBE_TABLE = f"{DATABASE}.probe"
TICK_TABLE = f"{DATABASE}.tick"
CLIENT_USER = "client"
CLIENT_PASSWORD = "client-secret"  # noqa: S105  (of a server that only this sandbox reaches)

_RETRIES: Mapping[Family, Mapping[str, object]] = {"MySQL": {"RETRY_COUNT": 86400}}
"""MySQL gives its source up after 10 tries since 8.4; MariaDB does so after 100000."""
_RUNS = frozenset({1198, 3081})
"""MariaDB's and MySQL's errors for what cannot be done while replication runs."""
_TRIES = 20
_UNLOGGED = "SET SESSION sql_log_bin=0"
_STATEMENTS: Mapping[Family, str] = {"MariaDB": "BINLOG ADMIN", "MySQL": "SESSION_VARIABLES_ADMIN"}
"""What a user needs whose statements are to be replicated as such."""
_OF_STATEMENTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX"
"""What the agent needs besides to apply statements that only a dead server's log has, CREATE TABLE say."""
_ID = "id BIGINT AUTO_INCREMENT PRIMARY KEY"
_AT = "at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
_TABLES = (
    f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
    # No unique key on the row's number: a row that is written twice must show.
    f"CREATE TABLE IF NOT EXISTS {PROBE_TABLE} ({_ID}, run VARCHAR(20) NOT NULL, n INT NOT NULL, {_AT}, KEY (run, n))",
    f"CREATE TABLE IF NOT EXISTS {TICK_TABLE} ({_ID}, {_AT})",
)


def set_up(machine: Machine, layout: Layout, server: Server) -> None:
    """Make users and tables on a host's new server, out of its binary log; raises SqlError."""
    sql.execute(machine, [_UNLOGGED, *_TABLES, *users(layout, machine.name, server)], limit=30)


def users(layout: Layout, name: str, server: Server) -> list[str]:
    """Return the statements that make the users that the conf names for a host, and the sandbox's client."""
    watched = layout.hosts[name]
    own = layout.agents[name].hosts[name]
    client = f"{quoted(CLIENT_USER)}@'%'"
    return [
        *grants(
            server.flavour,
            Account(watched.monitor_user, watched.monitor_password),
            Account(own.agent_user, own.agent_password),
            Account(own.replication_user, own.replication_password),
        ),
        _UNLOGGED,
        f"GRANT {_OF_STATEMENTS} ON *.* TO {quoted(own.agent_user)}@'%'",
        *(
            tools_grants(server.flavour, Account(own.tools_user, own.tools_password))
            if own.tools_user
            else ()
        ),
        _UNLOGGED,
        f"CREATE USER {client} IDENTIFIED BY {quoted(CLIENT_PASSWORD)}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {DATABASE}.* TO {client}",
        f"GRANT {_STATEMENTS[server.flavour.family]} ON *.* TO {client}",
    ]


def replicate(machine: Machine, layout: Layout, server: Server, source: str) -> None:
    """Make a host replicate from the host `source`, from where its own transactions end; raises SqlError.

    Without GTIDs, from the end of the binary log of `source`.
    """
    own = layout.agents[machine.name].hosts[machine.name]
    origin = layout.hosts[source]
    user = Address(origin.ip, origin.mysql_port, own.replication_user, own.replication_password)
    flavour = server.flavour
    there = Machine(source, machine.home.parent / source)
    more = {"CONNECT_RETRY": 1, **_RETRIES.get(flavour.family, {})}
    statement, args = change_source(flavour, user, _end(there, flavour), more)
    while_stopped(machine, flavour, lambda: sql.query(machine, statement, args, limit=10))
    sql.query(machine, flavour.start_replica, limit=10)


def _end(machine: Machine, flavour: Flavour) -> LogPlace | None:
    """Return the end of a server's binary log where it has no GTIDs to go on by, None where it has."""
    if flavour.mariadb or sql.query(machine, "SELECT @@global.gtid_mode AS mode")[0]["mode"] == "ON":
        return None
    row = sql.query(machine, flavour.binlog_status)[0]
    return LogPlace(str(row["File"]), int(row["Position"]))


def forget(machines: Iterable[Machine], server: Server) -> None:
    """Make all servers equal again: no replication, no binary logs, empty tables of the sandbox; raises SqlError."""
    flavour = server.flavour
    statements = [
        flavour.reset_replica,
        _UNLOGGED,
        flavour.allow_writes,
        f"TRUNCATE {PROBE_TABLE}",
        f"TRUNCATE {TICK_TABLE}",
        "SET GLOBAL read_only=1",
        flavour.reset_binlog,
        *(["SET GLOBAL gtid_slave_pos=''"] if flavour.mariadb else []),
    ]
    for machine in machines:
        while_stopped(machine, flavour, partial(sql.execute, machine, statements, limit=15))


def while_stopped(machine: Machine, flavour: Flavour, do: Callable[[], object]) -> None:
    """Stop replication and `do` what can be done only then, again when an agent has started it; raises SqlError."""
    for left in reversed(range(_TRIES)):
        sql.query(machine, flavour.stop_replica, limit=15)
        try:
            do()
        except sql.SqlError as error:
            if not left or error.args[0] not in _RUNS:
                raise
        else:
            return
