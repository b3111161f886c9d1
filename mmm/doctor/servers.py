"""Looks at servers as MMM's accounts see them; every server has a limit, and no error is raised."""

from collections.abc import Callable, Iterable

from mmm.config.model import Host
from mmm.doctor.look import Lack, Login, Replica, Server
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.log_filters import look_at_log_filters
from mmm.mysql.server.privileges import (
    Need,
    agent_needs,
    in_one,
    look_at_missing_grants,
    monitor_needs,
    replication_needs,
    statement_needs,
    tools_needs,
)
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import replica_status
from mmm.mysql.server.variables import look_at_variables
from mmm.mysql.session.connection import Address, Connection, MysqlError, connect
from mmm.mysql.session.tls import tls_of

LIMIT = 2.0
"""Seconds that a server may take to let a user in, and for each answer."""

FOLDERS = {"datadir": "data", "log_bin_basename": "binary logs", "relay_log_basename": "relay logs"}
"""Settings that name where a server writes what grows, and what that is; the last two with the beginning of a name."""

SETTINGS = (
    "server_id",
    "server_uuid",
    "read_only",
    "log_bin",
    "log_slave_updates",
    "log_replica_updates",
    "gtid_mode",
    "enforce_gtid_consistency",
    "gtid_strict_mode",
    "binlog_format",
    "auto_increment_increment",
    "auto_increment_offset",
    "skip_name_resolve",
    "slave_skip_errors",
    "replica_skip_errors",
    *FOLDERS,
)

_NEEDS: dict[str, Callable[[Flavour], Iterable[Need]]] = {
    "monitor": monitor_needs,
    "agent": agent_needs,
    "replication": replication_needs,
    "tools": tools_needs,
}


def account(host: Host, kind: str, of: Host | None = None) -> Address:
    """Return where an account reaches a host's server; user and password are those of the conf of host `of`."""
    of = of or host
    user, password = {
        "monitor": (of.monitor_user, of.monitor_password),
        "agent": (of.agent_user, of.agent_password),
        "replication": (of.replication_user, of.replication_password),
        "tools": (of.tools_user, of.tools_password),
    }[kind]
    return Address(host.ip, host.mysql_port, user, password, tls_of(host))


def log_in(host: Host, kind: str, *, of: Host | None = None, grants: bool = True) -> Login:
    """Return how an account gets on at a host's server, and with `grants` what it lacks there."""
    address = account(host, kind, of)
    try:
        with connect(address, LIMIT) as connection:
            lacks = _lacks(connection, kind) if grants else ()
    except MysqlError as error:
        return _refused(kind, host, address, error)
    return Login(kind, address.user, host.name, lacks=lacks)


def look_at(host: Host, kind: str) -> tuple[Login, Server | None]:
    """Return how an account gets on at a host's server, and the server where it was let in."""
    address = account(host, kind)
    try:
        with connect(address, LIMIT) as connection:
            lacks = _lacks(connection, kind)
            statements = _lacks_for_statements(connection) if kind == "agent" else ()
            login = Login(kind, address.user, host.name, lacks=lacks, statements=statements)
            return login, _server(connection)
    except MysqlError as error:
        return _refused(kind, host, address, error), None


def _refused(kind: str, host: Host, address: Address, error: MysqlError) -> Login:
    return Login(kind, address.user, host.name, error.text, answered=error.server_alive)


def _lacks(connection: Connection, kind: str) -> tuple[Lack, ...]:
    needs = _NEEDS[kind](connection.flavour)
    missing = connection.ask(look_at_missing_grants(connection, needs))
    return tuple(Lack(each.privilege, each.statement) for each in missing)


def _lacks_for_statements(connection: Connection) -> tuple[Lack, ...]:
    """Return what the agent's account lacks to apply what was logged as statements."""
    needs = statement_needs(connection.flavour)
    lacks = in_one(connection.ask(look_at_missing_grants(connection, needs)))
    return () if lacks is None else (Lack(lacks.privilege, lacks.statement),)


def _server(connection: Connection) -> Server:
    flavour = connection.flavour
    settings = connection.ask(look_at_variables(connection, SETTINGS))
    replica, status, unseen = None, None, ""
    try:
        status = replica_status(connection)
    except MysqlError as error:
        if not error.server_alive:
            raise
        unseen = error.text
    else:
        replica = None if status is None else _replica(flavour, status)
    filters = {**dict(status.filters if status else ()), **connection.ask(look_at_log_filters(connection))}
    return Server(flavour.family, flavour.version, settings, replica, unseen, filters)


def _replica(flavour: Flavour, status: ReplicaStatus) -> Replica:
    start, undelay = to_type(flavour, status.channel)
    return Replica(
        source_ip=status.source_ip,
        source_port=status.source_port,
        user=status.source_user,
        receives=status.io_running == "Yes",
        applies=status.sql_running,
        error=status.last_error,
        uses_gtid=status.uses_gtid,
        delay=status.delay,
        detached=status.detached,
        start=start,
        undelay=undelay,
    )


def to_type(flavour: Flavour, channel: str) -> tuple[str, str]:
    """Return what an administrator types to start replication, and to have it stay behind no more.

    The delay cannot be changed while it runs. The one channel (MariaDB: connection) has a name, or an empty one.
    """
    name = "'{}'".format(channel.replace("\\", "\\\\").replace("'", "''"))
    of_it = flavour.of_channel.replace("%s", name) if channel else ""
    change = flavour.change_source.replace(" %s", f" {name}" if channel else "")
    delay = f"{flavour.option_prefix}DELAY=0"
    end = flavour.change_source_end.replace("%s", name) if channel else ""
    start = f"{flavour.start_replica}{of_it}"
    return start, f"{flavour.stop_replica}{of_it}; {change} {delay}{end}; {start}"
