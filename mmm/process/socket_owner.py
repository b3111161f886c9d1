"""Which process has a socket, as /proc tells (proc_pid_fd(5)), held so that no later process is taken for it."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mmm.process.open_files import has_open, pids
from mmm.process.pidfile import read_pid


@dataclass(frozen=True, slots=True)
class Held:
    """A process, by a descriptor that becomes readable when it has ended (pidfd_open(2)); to be closed."""

    pid: int
    fd: int


class UnknownOwnerError(Exception):
    """It cannot be told whose a socket is, or that process cannot be held; the text says why."""


def hold_owner(inodes: Collection[int], pid_path: Path) -> Held:
    """Return the process that has one of the sockets; raises UnknownOwnerError.

    The process that the pid file names comes first, if it has one: a file that is stale, or no pid file at all, names
    nobody. Else all processes are looked at, and exactly one must have one. Takes some ms then.
    """
    links = _links(inodes)
    named = read_pid(pid_path)
    if named is not None and _has(named, links):
        return _held(named, links)
    owners = [pid for pid in pids() if _has(pid, links)]
    if len(owners) == 1:
        return _held(owners[0], links)
    if owners:
        several = ", ".join(map(str, owners))
        raise UnknownOwnerError(
            f"processes {several} have its socket, and {pid_path} names none of them: correct mysql_pidfile"
        )
    raise UnknownOwnerError("no process that may be looked at has its socket")


def has_socket(pid: int, inode: int) -> bool:
    """Tell whether the process has that socket; not where it is gone, or may not be looked at."""
    return _has(pid, _links((inode,)))


def _links(inodes: Collection[int]) -> frozenset[str]:
    return frozenset(f"socket:[{inode}]" for inode in inodes)


def _held(pid: int, links: Collection[str]) -> Held:
    """Return the process, looked at again once it is held: the pid may have become another's in between."""
    opened = getattr(os, "pidfd_open", None)
    if opened is None:
        raise UnknownOwnerError("this Python knows no pidfd_open")
    try:
        fd = opened(pid)
    except OSError as error:
        raise UnknownOwnerError(f"process {pid} cannot be watched: {error.strerror}") from error
    if not _has(pid, links):
        os.close(fd)
        raise UnknownOwnerError(f"process {pid} has just ended")
    return Held(pid, fd)


def _has(pid: int, links: Collection[str]) -> bool:
    """Tell whether the process has one of the sockets; not where it is gone, or may not be looked at."""
    return has_open(pid, lambda fd: os.readlink(fd.path) in links)  # noqa: PTH115 - there may be thousands
