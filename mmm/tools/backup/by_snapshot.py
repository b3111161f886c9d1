"""A backup by a copy method, from a snapshot: the way of MMM 1.x and 2.x. Edge.

A true copy is tried by a server, as any backup is, once all but data is taken out of its data folder. What another
method has made, an archive say, is not; its restore_command puts it back.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmm.config.model import CopyMethod
from mmm.mysql.backup.mariadb_backup import Position
from mmm.tools.backup import snapshot
from mmm.tools.backup.server import Subject
from mmm.tools.backup.snapshot import Moment
from mmm.tools.backup.wanted import RefusedError, Wanted
from mmm.tools.fetch import files
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.stage import prove
from mmm.tools.fetch.values import Cause, Failed, FailedError
from mmm.tools.kept import by_method, methods
from mmm.tools.kept.facts import Facts
from mmm.tools.kept.methods import MethodError


def see_fit(wanted: Wanted, method: CopyMethod, datadir: str) -> None:
    """Raise RefusedError where the conf lacks what the method needs, or would have the server's own data removed."""
    host = wanted.conf.hosts[wanted.donor]
    lacks = snapshot.lacks(host, local=wanted.donor == wanted.conf.this)
    if lacks:
        raise RefusedError(
            f"host {host.name} has no {', no '.join(lacks)}: copy method {method.name} needs a snapshot"
        )
    if Path(datadir).is_relative_to(host.lvm_mount_dir):
        raise RefusedError(
            f"lvm_mount_dir {host.lvm_mount_dir} holds the data of {host.name} itself: name another folder"
        )
    if not wanted.conf.clone_dirs:
        raise RefusedError(f"there are no clone_dirs in the conf: copy method {method.name} needs them")


def copied(wanted: Wanted, method: CopyMethod, into: Path, found: Facts) -> Facts:
    """Copy what the snapshot has of `clone_dirs` into the folder, and return what the backup is.

    Raises FailedError, MysqlError, OSError.
    """
    host = wanted.conf.hosts[wanted.donor]
    try:
        commands = methods.backup_commands(method, wanted.conf.clone_dirs, host, str(into))
    except MethodError as error:
        raise FailedError(Cause.HERE, f"backup_command of copy method {method.name}: {error}") from error
    with snapshot.snapshot(wanted.conf, host) as moment:
        wanted.say(f"{host.name} has a snapshot at {moment.gtid or moment.file}; {method.name} copies it …")
        by_method.run(commands)
    return _with(found, method, moment)


def _with(found: Facts, method: CopyMethod, moment: Moment) -> Facts:
    return replace(
        found,
        copy_method=method.name,
        gtid=moment.gtid,
        log_file=moment.file,
        log_position=moment.position,
        slave=moment.slave,
    )


def tried(wanted: Wanted, subject: Subject, part: Path, found: Facts, argv: Sequence[str]) -> Facts:
    """Try a true copy by a server, and return what the backup is then; raises FailedError."""
    data = by_method.data_folder(part)
    by_method.only_data(part, data, found)
    files.give(data, Owner(os.getuid(), os.getgid()))
    wanted.say(f"{files.size(data) / 1_000_000:,.0f} MB; a server is tried on them …")
    proved = prove(data, argv, Position(None, found.gtid), ())
    if isinstance(proved, Failed):
        raise FailedError(proved.cause, proved.text)
    return replace(
        found,
        provider=f"snapshot, {found.copy_method}",
        family=subject.side.flavour.family,
        server_version=proved.server_version,
        gtid=proved.gtid,
        bytes=files.size(data),
        settings=subject.settings,
        data=str(data.relative_to(part)),
    )
