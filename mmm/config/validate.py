"""Conf files to settings that are checked, or all errors at once; `mmm.config.check` makes the model of them.

A program that is to start fast and needs no more than an address, as mmm_control does, ends here.
"""

import errno
import os
import re
import stat
from collections.abc import Callable

from mmm.config.files import Source, user_name
from mmm.config.names import Program
from mmm.config.reader import read
from mmm.config.resolve import Resolve, look_up
from mmm.config.rules import apply_rules
from mmm.config.settings import World
from mmm.config.tree import Fault, Tree, only


def load_settings(
    source: Source, path: str | None, program: Program, cluster: str | None, name: str
) -> World:
    """Return the checked settings of `program`.

    They are read from `path`, or when that is None from the file called `name`, with `_CLUSTER` appended for @CLUSTER.
    Raises ConfError with everything that is wrong.
    """
    return _proven(settings_as_far_as_read(source, path, program, cluster, name))


def settings_as_far_as_read(
    source: Source, path: str | None, program: Program, cluster: str | None, name: str
) -> World:
    """Return the same settings, with all that is wrong in the `problems` of their tree.

    What could not be read is missing there, or None. Raises ConfError where `cluster` cannot be a name.
    """
    suffix = cluster or ""
    if suffix and not re.fullmatch(r"[A-Za-z0-9_.-]+", suffix):
        raise only("cluster_name", {"name": suffix})
    wanted = os.path.abspath(path) if path else f"{name}_{suffix}" if suffix else name  # noqa: PTH100
    return _checked(read(source, wanted), program, suffix, _unreadable, look_up)


def verified(
    tree: Tree,
    program: Program,
    cluster: str,
    unreadable: Callable[[str], Fault | str],
    resolve: Resolve | None = None,
) -> World:
    """Return the settings that `tree` says; raises ConfError with all that is wrong.

    `cluster` is the name behind the @, or empty. `unreadable` says why a file cannot be read, or nothing. Without
    `resolve` names are not taken for addresses.
    """
    return _proven(_checked(tree, program, cluster, unreadable, resolve))


def _checked(
    tree: Tree,
    program: Program,
    cluster: str,
    unreadable: Callable[[str], Fault | str],
    resolve: Resolve | None,
) -> World:
    if tree.dialect == 1:
        from mmm.config.upgrade import translated  # noqa: PLC0415 - few confs are that old

        tree = translated(tree, program)
    world = World(tree, program, cluster, unreadable, resolve)
    if not tree.incomplete:
        apply_rules(world)
    return world


def _proven(world: World) -> World:
    if world.tree.problems:
        raise world.tree.error()
    return world


def _unreadable(path: str) -> Fault | str:
    """Return why this process cannot read a file, and what to do; empty where it can."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return Fault("not_there")
    except (OSError, ValueError) as e:
        if isinstance(e, ValueError) or e.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return Fault("not_there")
        if e.errno == errno.EACCES:
            return Fault("kept_out", {"user": user_name(), "folder": _closed_folder(path)})
        return Fault("not_looked_at", {"why": str(e)})
    return "" if os.access(path, os.R_OK) else Fault("not_for_user", {"user": user_name()})


def _closed_folder(path: str) -> str:
    """Return the folder above `path` that this process may not pass; its own where a link leads through another."""
    folders = [path[:at] or "/" for at, letter in enumerate(path) if letter == "/"]
    return next((folder for folder in folders if not os.access(folder, os.X_OK)), folders[-1])
