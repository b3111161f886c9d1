"""Which privileges an account lacks, by what SHOW GRANTS says of it. Pure but for `look_at_missing_grants`.

    missing_grants(flavour, agent_needs(flavour), rows)  ->  (Missing("PROCESS", "*.*", "`mmm_agent`@`%`"),)

What the server itself takes for the same counts: ALL PRIVILEGES, roles that are active, SUPER where it still holds
what was taken out of it later, and a privilege on all databases for that on a table.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mmm.mysql.flavour import Family, Flavour
from mmm.mysql.server.accounts import (
    OF_A_DUMP,
    agent_privileges,
    in_one_line,
    monitor_privileges,
    tools_privileges,
)
from mmm.mysql.session.connection import Connection
from mmm.mysql.session.question import Question

_EVERYTHING = "*.*"
_ALL = frozenset({"ALL PRIVILEGES", "ALL"})
_NAME = r"`(?:[^`]|``)*`"
_GRANT = re.compile(
    rf"GRANT (?P<privileges>.+?) ON (?P<on>(?:{_NAME}|\*)\.(?:{_NAME}|\*)) TO (?P<account>{_NAME}(?:@{_NAME})?)"
)
_QUOTED = re.compile(rf"""{_NAME}|'((?:[^'\\]|''|\\.)*)'|"((?:[^"]|"")*)\"""")
_HEARTBEAT = "performance_schema.replication_connection_configuration"

SALVAGE = frozenset({"BINLOG REPLAY", "REPLICATION_APPLIER", "INSERT", "UPDATE", "DELETE"})
"""What the agent needs to apply what only a dead server's binary log has, on MariaDB and on MySQL."""
STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX")
"""What it needs besides to apply what was logged as statements, as every CREATE and ALTER is; optional."""
BESIDES = SALVAGE | {"REPLICATION MASTER ADMIN", "SYSTEM_USER", "SELECT"}
"""What it needs for that, semi-sync, administrators' sessions and the heartbeat period only."""

_OF_SUPER_MARIADB = frozenset(
    {
        "CONNECTION ADMIN",
        "BINLOG MONITOR",
        "SLAVE MONITOR",
        "REPLICATION SLAVE ADMIN",
        "REPLICATION MASTER ADMIN",
        "BINLOG REPLAY",
    }
)
_OF_SUPER_MYSQL = frozenset(
    {
        "SYSTEM_VARIABLES_ADMIN",
        "CONNECTION_ADMIN",
        "REPLICATION CLIENT",
        "REPLICATION_SLAVE_ADMIN",
        "REPLICATION_APPLIER",
    }
)
_OTHER_NAMES = {
    "REPLICATION CLIENT": "BINLOG MONITOR",
    "REPLICA MONITOR": "SLAVE MONITOR",
    "REPLICATION REPLICA": "REPLICATION SLAVE",
    "REPLICATION REPLICA ADMIN": "REPLICATION SLAVE ADMIN",
}
"""What MariaDB understands, and what it shows for that."""


@dataclass(frozen=True, slots=True)
class Need:
    """A privilege, on all databases or on a table."""

    privilege: str
    on: str = _EVERYTHING


@dataclass(frozen=True, slots=True)
class Missing:
    """A privilege that an account lacks, or several in one."""

    privilege: str
    on: str
    account: str
    family: Family = "MariaDB"

    @property
    def statement(self) -> str:
        """Return what gives it, to be typed as it is: in one line, and out of the binary log."""
        return in_one_line(self.family, f"GRANT {self.privilege} ON {self.on} TO {self.account}")


def in_one(missing: Sequence[Missing]) -> Missing | None:
    """Return what an account lacks on all databases as one, None where that is nothing."""
    if not missing:
        return None
    return replace(missing[0], privilege=", ".join(each.privilege for each in missing))


def agent_needs(flavour: Flavour) -> tuple[Need, ...]:
    """Return what the agent's account needs on its own server; it asks the peer's for less."""
    heartbeat = () if flavour.mariadb else (Need("SELECT", _HEARTBEAT),)
    return (*map(Need, agent_privileges(flavour)), *heartbeat)


def statement_needs(_: Flavour) -> tuple[Need, ...]:
    """Return what the agent's account needs to apply statements of another server's binary log."""
    return tuple(map(Need, STATEMENTS))


def monitor_needs(flavour: Flavour) -> tuple[Need, ...]:
    """Return what the monitor's account needs on every server."""
    return tuple(map(Need, monitor_privileges(flavour)))


def replication_needs(_: Flavour) -> tuple[Need, ...]:
    """Return what the replication account needs on every server that others replicate from."""
    return (Need("REPLICATION SLAVE"),)


def tools_needs(flavour: Flavour) -> tuple[Need, ...]:
    """Return what the account of the tools needs on every server, for each may give a copy, or need one."""
    return tuple(map(Need, tools_privileges(flavour)))


def rewind_needs(flavour: Flavour) -> tuple[Need, ...]:
    """Return what the account of the tools needs on a server to undo what only that has."""
    return tuple(need for need in tools_needs(flavour) if need.privilege not in OF_A_DUMP)


def look_at_missing_grants(connection: Connection, needs: Iterable[Need]) -> Question[tuple[Missing, ...]]:
    """Ask which of `needs` the account that is logged in lacks."""
    rows = yield "SHOW GRANTS"
    texts = [str(value) for row in rows for value in row.values()]
    return missing_grants(connection.flavour, needs, texts)


def missing_grants(flavour: Flavour, needs: Iterable[Need], rows: Iterable[str]) -> tuple[Missing, ...]:
    """Return those of `needs` that the `rows` of SHOW GRANTS, for one account and its active roles, do not give.

    Where no row can be read nothing is known of the account, and nothing said: every account has at least one.
    """
    granted: dict[str, set[str]] = {}
    account, read = "", False
    for row in rows:
        found = _GRANT.match(_backquoted(row))
        if found is None:
            continue
        read = True
        if not account and "@" in found["account"]:
            account = found["account"]
        granted.setdefault(found["on"].replace("`", ""), set()).update(
            _privileges(flavour, found["privileges"])
        )
    return tuple(
        Missing(need.privilege, need.on, account or "the account", flavour.family)
        for need in needs
        if read
        and not any(
            granted.get(on, set()) & {_named(flavour, need.privilege), *_ALL} for on in _places(need.on)
        )
    )


def _places(on: str) -> Iterator[str]:
    """Return all that a grant may be given on to hold there."""
    yield _EVERYTHING
    if on != _EVERYTHING:
        yield f"{on.partition('.')[0]}.*"
        yield on


def _privileges(flavour: Flavour, text: str) -> Iterator[str]:
    """Return the privileges that a row gives; those on single columns are no privileges on their table."""
    for part in re.sub(r"\w+ \([^)]*\)", "", text).split(","):
        name = _named(flavour, part.strip())
        yield name
        if name == "SUPER":
            yield from _of_super(flavour)


def _of_super(flavour: Flavour) -> Iterator[str]:
    """Return what SUPER still gives: MariaDB has taken it to pieces, the last ones in 11.0."""
    if not flavour.mariadb:
        yield from _OF_SUPER_MYSQL
        return
    if flavour.version < (11, 0, 0):
        yield from _OF_SUPER_MARIADB
    if flavour.version < (10, 11, 0):
        yield "READ_ONLY ADMIN"


def _named(flavour: Flavour, privilege: str) -> str:
    """Return a privilege as the server shows it."""
    name = privilege.upper()
    if not flavour.mariadb or flavour.version < (10, 5, 2):
        return name
    return _OTHER_NAMES.get(name, name)


def _backquoted(row: str) -> str:
    """Return a row with names as newer servers quote them.

    MySQL 5.7 and old MariaDB write 'user'@'host', a session with ANSI_QUOTES "user"@"host".
    """
    return _QUOTED.sub(_in_backquotes, row)


def _in_backquotes(found: re.Match[str]) -> str:
    single, double = found.groups()
    if single is None and double is None:
        return found[0]
    name = single if double is None else double.replace('""', '"')
    return "`{}`".format(name.replace("`", "``"))
