"""What writes the copy to send, by the name of its provider: a table. Each look at the server is made here."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmm.agent.stream.order import Order
from mmm.config.model import Host
from mmm.mysql.backup import mariadb_backup, outside
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import Address, MysqlError, connect
from mmm.network.socket_table import listening_sockets
from mmm.process.socket_owner import UnknownOwnerError, hold_owner

LOOK_LIMIT = 10.0
"""Seconds that the server may take to log the tools in, and for an answer."""


class UnfitError(Exception):
    """No copy can be made here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Producer:
    """A program that writes a copy to its standard output."""

    argv: tuple[str, ...]
    server_version: str
    size: int
    stops_commits: Callable[[str], bool | None]
    """Tells of a line of its standard error whether commits wait from there on; None: nothing of that."""
    is_done: Callable[[str], bool]
    """Tells of its last lines whether they say that all went well."""
    fds: tuple[int, ...] = ()
    """What it needs open, by number."""


def tools_address(host: Host) -> Address:
    """Return where the tools log in and as whom; raises UnfitError where the conf names no user for them."""
    if not host.tools_user:
        raise UnfitError(
            f"the conf of {host.name}'s agent has no tools_user: add tools_user and tools_password to"
            f" <host {host.name}> or <host default> in mmm_agent.conf there"
        )
    return tools_at(host)


def produced_by(order: Order, scratch: str) -> Producer:
    """Return what makes the copy; raises UnfitError."""
    make = PRODUCERS.get(order.provider)
    if make is None:
        raise UnfitError(f"{order.here.name}'s agent knows no {order.provider}")
    return make(order, scratch)


def _mariadb_backup(order: Order, scratch: str) -> Producer:
    here = order.here
    address = tools_address(here)
    try:
        program = mariadb_backup.find(order.path)
        with connect(address, LOOK_LIMIT) as connection:
            if not connection.flavour.mariadb:
                raise UnfitError(f"{here.name}: its server is no MariaDB")
            subject = connection.ask(mariadb_backup.look(connection))
        if why := mariadb_backup.unfit(program, subject.version):
            raise UnfitError(f"{here.name}: {why}")
        _see_same_files(here, subject.datadir)
        files = mariadb_backup.files(subject)
        if apart := (*subject.outside, *outside.links(files)):
            raise UnfitError(f"{here.name} has data outside of its data directory: {', '.join(apart)}")
        size = mariadb_backup.size(files)
    except (MysqlError, mariadb_backup.ProgramError, OSError) as error:
        raise UnfitError(f"{here.name}: {error}") from error
    login = _secret(mariadb_backup.login(address, here.tools_socket))
    argv = mariadb_backup.backup(program, subject, f"/dev/fd/{login}", scratch)
    return Producer(
        tuple(argv), subject.version, size, mariadb_backup.stops_commits, mariadb_backup.is_done, (login,)
    )


def _see_same_files(here: Host, datadir: str) -> None:
    """Raise UnfitError unless the data directory that the server names is where its process works.

    The same path may be another folder: of another server, or in a container.
    """
    try:
        named = os.stat(datadir)  # noqa: PTH116
        held = hold_owner(listening_sockets(here.ip, here.mysql_port), Path(here.mysql_pidfile))
    except (OSError, UnknownOwnerError) as error:
        raise UnfitError(f"{here.name}: the data directory of its server, {datadir}: {error}") from error
    os.close(held.fd)
    own = os.stat(f"/proc/{held.pid}/cwd")  # noqa: PTH116
    if (own.st_dev, own.st_ino) != (named.st_dev, named.st_ino):
        raise UnfitError(
            f"{here.name}: its server names {datadir} as its data directory, but works in another folder: is it in a"
            " container? The agent has to see the same files"
        )


def _secret(text: str) -> int:
    """Return a file that is in memory alone, as a descriptor that children inherit."""
    fd = os.memfd_create("login", 0)
    os.fchmod(fd, 0o600)
    os.write(fd, text.encode())
    return fd


PRODUCERS: Mapping[str, Callable[[Order, str], Producer]] = {"mariadb-backup": _mariadb_backup}
