"""A snapshot of a host's data at one moment of its binary log: LVM's, or what the conf's own commands make. Edge.

The server's commits wait while it is made, and for that alone: the lock has a limit, and ends with its session, which
ends with this process. A snapshot of LVM that a killed process has left is removed by the next one.
"""

import logging
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from mmm.config.model import Cluster, Host
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import Connection, MysqlError, connect
from mmm.tools.fetch.over_ssh import remote
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.kept.methods import MethodError, filled
from mmm.tools.program import tell

log = logging.getLogger(__name__)

NAME = "mmm_snapshot"
LOCKED = 30.0
"""Seconds that commits may wait: for statements at work to end, and for the snapshot."""
LIMIT = 120.0
"""Seconds for what is done while nobody waits."""
_ANSWER = 10.0
_KEPT = 7 * 86_400
_TRIES, _NAP = 3, 1.0
"""How often it is tried to remove a snapshot: something may look into it for a moment."""
_STAGES = (10, 4, 1)
"""MariaDB has BACKUP STAGE from there on."""
_LVM = ("lvm_snapshot_size", "lvm_logical_volume", "lvm_volume_group", "lvm_mount_dir")


@dataclass(frozen=True, slots=True)
class Moment:
    """What the server said while nothing was committed."""

    file: str = ""
    position: int = 0
    gtid: str = ""
    slave: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for the shell of the host."""

    make: str
    remove: str
    empty: str
    """Ends well where nothing is in the way at the mount point."""
    left: str = "false"
    """Ends well where an older snapshot is still there, which is ours."""


def lacks(host: Host, *, local: bool) -> tuple[str, ...]:
    """Return the keys that the conf lacks to make a snapshot there."""
    needed = ("lvm_mount_dir",) if host.snapshot_command else _LVM
    found = [name for name in needed if not getattr(host, name)]
    if host.snapshot_command and not host.snapshot_remove_command:
        found.append("snapshot_remove_command")
    if not local and not host.ssh_user:
        found.append("ssh_user")
    return tuple(found)


def commands(host: Host) -> Commands:
    """Return what makes and removes a snapshot on that host; raises MethodError."""
    mount = shlex.quote(host.lvm_mount_dir)
    empty = f'mkdir -p {mount} && test -z "$(ls -A {mount})"'
    if host.snapshot_command:
        own = {"SNAPSHOT": host.lvm_mount_dir}
        make, remove = (filled(line, own) for line in (host.snapshot_command, host.snapshot_remove_command))
        return Commands(make, remove, empty)
    volume, made = (f"/dev/{host.lvm_volume_group}/{name}" for name in (host.lvm_logical_volume, NAME))
    size = shlex.quote(host.lvm_snapshot_size)
    make = (
        f"{host.lvm_bin_lvcreate} --snapshot --size {size} --name {NAME} {shlex.quote(volume)}"
        f" && mount {host.lvm_mount_opts} {shlex.quote(made)} {mount}"
    )
    remove = f"umount {mount}; {host.lvm_bin_lvremove} -f {shlex.quote(made)}"
    return Commands(make, remove, empty, f"test -e {shlex.quote(made)}")


@contextmanager
def snapshot(conf: Cluster, host: Host) -> Iterator[Moment]:
    """Give the moment of a snapshot that is mounted until the block ends; raises FailedError, MysqlError."""
    try:
        lines = commands(host)
    except MethodError as error:
        raise FailedError(Cause.HERE, f"snapshot_command of host {host.name}: {error}") from error
    local = host.name == conf.this
    with connect(tools_at(host), _ANSWER) as server:
        server.execute(f"SET SESSION wait_timeout={_KEPT}")
        if str(server.query(f"SELECT GET_LOCK('{NAME}', 0) AS got")[0]["got"]) != "1":
            raise FailedError(Cause.REFUSED, f"another backup has a snapshot of {host.name}: one at a time")
        if _succeeds(host, lines.left, local=local):
            _run(host, lines.remove, LIMIT, local=local)
        if not _succeeds(host, lines.empty, local=local):
            text = (
                f"{host.lvm_mount_dir} is not empty; a snapshot that was left there `{lines.remove}` removes"
            )
            raise FailedError(Cause.HERE, f"{host.name}: {text}")
        try:
            with _commits_wait(server):
                # Else what is committed may be prepared on the disk alone, and only the binary log would tell.
                server.execute("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS", timeout=LOCKED)
                moment = _moment(server)
                _run(host, lines.make, LOCKED, local=local)
            yield moment
        finally:
            _remove(host, lines, local=local)


def _remove(host: Host, lines: Commands, *, local: bool) -> None:
    """Remove the snapshot; one that cannot be removed is warned of: what was copied from it is good."""
    for left in range(_TRIES - 1, -1, -1):
        try:
            _run(host, lines.remove, LIMIT, local=local)
        except FailedError as error:
            if left:
                time.sleep(_NAP)
                continue
            log.warning("%s: the snapshot is still there: %s", host.name, error)
            tell(f"WARN: the snapshot is still there: {error}")
        return


@contextmanager
def _commits_wait(server: Connection) -> Iterator[None]:
    """Keep the server from committing; raises MysqlError where statements at work do not end in time."""
    staged = server.flavour.mariadb and server.flavour.version >= _STAGES
    server.execute(f"SET SESSION lock_wait_timeout={LOCKED:.0f}")
    begin = [f"BACKUP STAGE {stage}" for stage in ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")]
    try:
        for statement in begin if staged else ["FLUSH TABLES WITH READ LOCK"]:
            server.execute(statement, timeout=LOCKED + _ANSWER)
        yield
    finally:
        with suppress(MysqlError):  # a session that is gone holds no lock
            server.execute("BACKUP STAGE END" if staged else "UNLOCK TABLES")


def _moment(server: Connection) -> Moment:
    row = (server.query(server.flavour.binlog_status) or [{}])[0]
    slaves = server.query(server.flavour.replica_status)
    slave = {key: str(value) for key, value in (slaves[0] if slaves else {}).items() if value is not None}
    name = "gtid_binlog_pos" if server.flavour.mariadb else "gtid_executed"
    gtid = str(server.query(f"SELECT @@global.{name} AS gtid")[0]["gtid"] or "").replace("\n", "")
    return Moment(str(row.get("File") or ""), int(row.get("Position") or 0), gtid, slave)


def _argv(host: Host, line: str, *, local: bool) -> Sequence[str]:
    return ["sh", "-c", line] if local else remote(host, line)


def _run(host: Host, line: str, limit: float, *, local: bool) -> None:
    try:
        done = subprocess.run(
            _argv(host, line, local=local), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=limit,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(Cause.HERE, f"{host.name}: `{line}`: {error}") from error
    if done.returncode:
        said = [each for each in (done.stderr or done.stdout).splitlines() if each.strip()]
        last = said[-1] if said else "it said nothing"
        raise FailedError(Cause.PRODUCER, f"{host.name}: `{line}` ended with {done.returncode}: {last}")


def _succeeds(host: Host, line: str, *, local: bool) -> bool:
    with suppress(FailedError):
        _run(host, line, LIMIT, local=local)
        return True
    return False
