"""Conf text to an unchecked tree, whichever dialect it is written in.

The dialect is seen in the files: section tags make it 2.x; else block headers such as `host db1`, or a global
key that only 1.x has, make it 1.x. All files of a conf are of one dialect.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from mmm.config.dialect2 import read_sections
from mmm.config.files import File, Line, Source, read_files
from mmm.config.keys import KEYS, OLD_BLOCKS, old_names
from mmm.config.tree import Fault, Problem, Tree

_OLD_GLOBALS = frozenset(old_names("top")) - KEYS["top"].keys()


class _Mark(NamedTuple):
    """A line that shows the dialect of its file."""

    dialect: Literal[1, 2]
    file: str
    line: int


def read(source: Source, name: str, dialect: Literal[1, 2] | None = None) -> Tree:
    """Return what the file called `name` and its includes say; the dialect is found out unless it is given.

    Never raises: what is wrong with files and lines is in the tree's `problems`.
    """
    file, paths, problems = read_files(source, name)
    marks = {} if dialect else {each.path: mark for each in _all(file) if (mark := _mark(each))}
    mark = _decisive(marks)
    dialect = dialect or (mark.dialect if mark else _hinted(file))
    tree = Tree(file.path, dialect, paths, problems)
    for path, other in marks.items():
        if mark and other.dialect != mark.dialect:
            tree.problems.append(_mixed(path, other, mark))
            tree.incomplete = True
            _empty(file, path)
    if tree.dialect == 1:
        from mmm.config.dialect1 import read_flat  # noqa: PLC0415 - few confs are that old

        read_flat(file, tree)
    else:
        read_sections(file, tree)
    return tree


def _all(file: File) -> Iterator[File]:
    yield file
    for included in file.includes.values():
        yield from _all(included)


def _mark(file: File) -> _Mark | None:
    header = None
    for line in file.lines:
        if line.text.startswith("<"):
            return _Mark(2, file.path, line.number)
        if header is None and _is_header(line):
            header = _Mark(1, file.path, line.number)
    return header


def _is_header(line: Line) -> bool:
    key, value = line.words()
    return key in OLD_BLOCKS and not line.indented and len(value.split()) == 1


def _decisive(marks: dict[str, _Mark]) -> _Mark | None:
    """Return the mark that counts when files differ: one of the 2.x dialect."""
    return next((mark for mark in marks.values() if mark.dialect == 2), None) or next(
        iter(marks.values()), None
    )


def _hinted(file: File) -> Literal[1, 2]:
    """Return the dialect of a conf without a section or block."""
    lines = (line for each in _all(file) for line in each.lines)
    return 1 if any(line.words()[0] in _OLD_GLOBALS for line in lines) else 2


def _mixed(path: str, mark: _Mark, other: _Mark) -> Problem:
    here, there = ("1.x", "2.x") if mark.dialect == 1 else ("2.x", "1.x")
    return Problem(
        path,
        mark.line,
        Fault("mixed_dialects", {"here": here, "there": there, "other": f"{other.file}:{other.line}"}),
    )


def _empty(file: File, path: str) -> None:
    """Leave out the own lines of the file at `path`, so that they are not misunderstood."""
    for each in _all(file):
        if each.path == path:
            each.lines[:] = [line for line in each.lines if line.number in each.includes]
