"""The ways to get a copy that are fit for this host and the donor, as both are now. Edge."""

import os
from collections.abc import Sequence
from dataclasses import replace

from mmm.config.model import Cluster
from mmm.mysql.backup import mariadb_backup
from mmm.mysql.backup.mariadb_backup import ProgramError
from mmm.mysql.flavour import detect
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import MysqlError, connect
from mmm.tools.provider import sides
from mmm.tools.provider.sides import Side
from mmm.tools.provider.table import Choice, choose
from mmm.tools.rejoin.old_server import OldServer

_LIMIT = 10.0


def chosen(conf: Cluster, host: str, donor: str) -> Choice:
    """Return the ways to get a copy that are fit, and why others are not; raises MysqlError."""
    return choose(here(conf, host), giving(conf, donor), conf.providers)


def chosen_without(conf: Cluster, host: str, donor: str, old: OldServer) -> Choice:
    """Return the ways that are fit though the host's server does not run; raises MysqlError.

    A server on the copy is to be like the `old` one was.
    """
    return without_server(_as_it_was(host, old), giving(conf, donor), conf.providers)


def without_server(before: Side | None, donor: Side, order: Sequence[str]) -> Choice:
    """Return the ways that are fit once no server runs here, and were so `before`; None: none ran."""
    now, then = choose(None, donor, order), choose(before, donor, order)
    reasons = {**dict(then.reasons), **dict(now.reasons)}
    fit = tuple(provider for provider in now.fit if provider.name not in reasons)
    return replace(now, fit=fit, reasons=tuple(reasons.items()))


def giving(conf: Cluster, donor: str) -> Side:
    """Return what there is to be known of the donor's server; raises MysqlError."""
    with connect(tools_at(conf.hosts[donor]), _LIMIT) as there:
        found: Side = there.ask(sides.look(there, donor))
    return found


def here(conf: Cluster, host: str) -> Side | None:
    """Return what there is to be known of this host's server, None where it does not answer."""
    try:
        with connect(tools_at(conf.hosts[host]), _LIMIT) as server:
            found: Side = server.ask(sides.look(server, host, _program()))
    except MysqlError:
        return None
    return found


def _program() -> str:
    """Return the version of mariadb-backup on this host, empty where there is none."""
    try:
        return mariadb_backup.find(os.environ.get("PATH", "")).version
    except ProgramError:
        return ""


def _as_it_was(host: str, old: OldServer) -> Side | None:
    if not old.version:
        return None
    return Side(
        host, detect(old.version, old.family), old.version, "", old.page_size, old.lower_case_table_names, 0,
        clone_plugin=old.clone_plugin, backup_program=_program(), keys=old.keys,
    )  # fmt: skip
