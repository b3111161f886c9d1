"""Copy methods of MMM 1.x and 2.x: their commands, with the placeholders filled in. Pure.

The shell runs them as they stand in the conf. What is filled in has nothing that it would take for more than a word.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from mmm.config.model import CopyMethod, Host
from mmm.config.names import without_gone_cipher

_PLACE = re.compile(r"%([A-Z_]+)%", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_./:@=,+-]*")
_REPEATED = re.compile(r"!(.*)!")
_CLONE_DIR = "CLONE_DIR"


class MethodError(Exception):
    """A command that cannot be made; the text says why."""


class Command(NamedTuple):
    """A line for the shell, and the folder that it copies into."""

    line: str
    folder: str


def backup_commands(method: CopyMethod, dirs: Sequence[str], host: Host, dest: str) -> tuple[Command, ...]:
    """Return what copies the folders of the host's snapshot into `dest`; raises MethodError."""
    known = {"SSH_USER": host.ssh_user, "IP": host.ip, "SNAPSHOT": host.lvm_mount_dir}
    if method.single_run:
        return (Command(_once(method.backup_command, known, dirs, dest), dest),)
    return tuple(_each(method.backup_command, known, one, dest) for one in dirs)


def restore_commands(
    method: CopyMethod, dirs: Sequence[str], source: str, dest: str, version: str
) -> tuple[Command, ...]:
    """Return what copies a backup into `dest`; raises MethodError."""
    known = {"SRC_DIR": source, "BACKUP_DIR": source, "VERSION": version}
    line = method.restore_command
    if f"%{_CLONE_DIR}%" not in line.upper() or "!" in line:
        return (Command(_once(line, known, dirs, dest), dest),)
    return tuple(
        Command(filled(line, {**known, **_dest(dest), _CLONE_DIR: one}), f"{dest}/{one}") for one in dirs
    )


def list_command(method: CopyMethod, source: str) -> str:
    """Return what lists the versions in a backup; raises MethodError."""
    return filled(method.incremental_command, {"BACKUP_DIR": source, "SRC_DIR": source})


def _each(line: str, known: Mapping[str, str], one: str, dest: str) -> Command:
    """Return the command for one folder; one of two names goes into a folder of the first of these."""
    above = PurePosixPath("/", one).parent
    into = dest if str(above) == "/" else f"{dest}{above}"
    return Command(filled(line, {**known, "DEST_DIR": into, "BACKUP_DIR": into, _CLONE_DIR: one}), into)


def _once(line: str, known: Mapping[str, str], dirs: Sequence[str], dest: str) -> str:
    """Return the command with what is between the marks once for each folder."""
    values = {**_dest(dest), "BACKUP_DIR": dest, **known}
    found = _REPEATED.search(line)
    if found:
        parts = (filled(found[1], {**values, _CLONE_DIR: one}) for one in dirs)
        line = f"{line[: found.start()]}{' '.join(parts)}{line[found.end() :]}"
    return filled(line, values)


def _dest(dest: str) -> dict[str, str]:
    return {"DEST_DIR": dest, "DATA_DIR": dest}


def filled(line: str, values: Mapping[str, str]) -> str:
    """Return a command with its placeholders, in any case, filled in; raises MethodError."""

    def value(match: re.Match[str]) -> str:
        name = match[1].upper()
        if name not in values:
            return match[0]
        if not _WORD.fullmatch(values[name]):
            raise MethodError(f"%{name}% is {values[name]!r}: a shell would not take that for one word")
        return values[name]

    return _PLACE.sub(value, without_gone_cipher(line))
