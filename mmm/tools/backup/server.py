"""What is to be known of the server that is backed up, and how one is started on its data here. Edge."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mmm.config.model import Cluster, Host
from mmm.mysql.flavour import Flavour, detect
from mmm.mysql.server.login import tools_at
from mmm.mysql.server.variables import look_at_variables
from mmm.mysql.session.connection import Connection, MysqlError, connect
from mmm.tools.fetch.stage import server_of
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.provider import sides
from mmm.tools.provider.sides import Side
from mmm.tools.rejoin import ways

LIMIT = 10.0
"""Seconds that a server may take to let the tools in, and for each answer."""
_NEEDED = ("innodb_page_size", "innodb_data_file_path", "lower_case_table_names", "innodb_undo_tablespaces")
"""Without these as they were, no server starts on the data, or finds the tables."""
SMALL_LOG = ("--loose-innodb-log-file-size=32M", "--loose-innodb-redo-log-capacity=32M")
"""A server makes its redo log as large as it is told to, and the backup would have it."""
_PROGRAMS = {"MariaDB": "mariadbd", "MySQL": "mysqld"}
_PATH = "/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin:/usr/local/bin:/usr/local/mysql/bin"
_SLAVE = ("Master_Host", "Master_Port", "Master_User", "Source_Host", "Source_Port", "Source_User")
_VERSION = re.compile(r"Ver (\S+)")


@dataclass(frozen=True, slots=True)
class Subject:
    """The server that is backed up."""

    side: Side
    settings: Mapping[str, str]
    """Options without which no server starts on its data."""
    options: str
    """An option file with all that it was started with."""
    slave: Mapping[str, str] = field(default_factory=dict)
    """Where it replicates from, in the words of SHOW SLAVE STATUS."""


def look(host: Host) -> Subject:
    """Return what the server says; raises MysqlError."""
    with connect(tools_at(host), LIMIT) as there:
        side = there.ask(sides.look(there, host.name))
        settings = there.ask(look_at_variables(there, _NEEDED))
        return Subject(side, settings, _options(there), _slave(there))


def side_here(conf: Cluster) -> Side | None:
    """Return what is to be known of this machine's server; None: this machine is no host, or none answers."""
    return ways.here(conf, conf.this) if conf.this in conf.hosts else None


def argv_on(
    conf: Cluster, here: Side | None, flavour: Flavour, settings: Mapping[str, str]
) -> tuple[str, ...]:
    """Return how a server is started here on data of another one: as the one that runs here if that is alike.

    Else by the program of this machine, with the settings that the data need. Raises FailedError where that is missing.
    """
    if here is not None and not here.outside and _alike(here.flavour, flavour):
        return (*server_of(conf.hosts[conf.this]), *SMALL_LOG)
    name = _PROGRAMS[flavour.family]
    wanted = f"{flavour.family} {flavour.version[0]}.{flavour.version[1]}"
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_PATH}")
    if found is None:
        raise FailedError(
            Cause.HERE, f"there is no {name} on this machine to try the backup with: install {wanted}"
        )
    there = _version(found)
    if there is None or not _alike(there, flavour):
        has = "another one" if there is None else f"{there.family} {'.'.join(map(str, there.version))}"
        raise FailedError(Cause.HERE, f"{found} is {has}, the data are of {wanted}: install that")
    own = (f"--{key.replace('_', '-')}={value}" for key, value in settings.items() if "/" not in value)
    return (found, "--no-defaults", *own, *SMALL_LOG)


def _alike(one: Flavour, other: Flavour) -> bool:
    return one.family == other.family and one.version[:2] == other.version[:2]


def _version(program: str) -> Flavour | None:
    try:
        argv = [program, "--no-defaults", "--version"]
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(said)
    return detect(found[1], said) if found else None


def _options(server: Connection) -> str:
    """Return an option file with what the server was started with; raises MysqlError."""
    if server.flavour.mariadb:
        statement = (
            "SELECT LOWER(VARIABLE_NAME) AS name, GLOBAL_VALUE AS value FROM information_schema.SYSTEM_VARIABLES"
            " WHERE GLOBAL_VALUE_ORIGIN IN ('CONFIG', 'COMMAND-LINE') ORDER BY VARIABLE_NAME"
        )
    else:
        statement = (
            "SELECT VARIABLE_NAME AS name, VARIABLE_VALUE AS value FROM performance_schema.global_variables"
            " JOIN performance_schema.variables_info USING (VARIABLE_NAME)"
            " WHERE VARIABLE_SOURCE NOT IN ('COMPILED', 'DYNAMIC') ORDER BY VARIABLE_NAME"
        )
    try:
        rows = server.query(statement)
    except MysqlError:  # without a right, or performance_schema
        rows = []
    return _option_file((str(row["name"]), str(row["value"] or "")) for row in rows)


def _option_file(options: Iterable[tuple[str, str]]) -> str:
    lines = ["# What the server was started with, as its variables say it.", "[mysqld]"]
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in options), ""])


def _slave(server: Connection) -> dict[str, str]:
    rows = server.query(server.flavour.replica_status)
    if not rows:
        return {}
    found = {key: str(rows[0][key]) for key in _SLAVE if rows[0].get(key) is not None}
    return {key.replace("Source_", "Master_"): value for key, value in found.items()}
