"""Conf files: where they are looked for, who may read them, bytes to lines, includes (rule 1).

A file is refused when everybody may read or write it: it holds passwords. A file may begin with a byte order
mark, end its lines with CRLF and lack the last line end. Bytes that are not UTF-8 are accepted in comments.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from mmm.config.tree import Fault, Problem

SEARCH = ("/etc", "/etc/mmm", "/etc/mysql-mmm", "/usr/local/mmm/etc")
MAX_SIZE = 4 * 1024 * 1024
"""Largest conf file in bytes."""
MAX_FILES = 100
"""Most files of one conf, a file that is included twice counted twice."""
BLANKS = " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What counts as a blank: text pasted from web pages holds more than spaces and tabs."""

_CONTROL = "[\0-\b\n-\x1f\x7f-\x9f]"
_INVISIBLE = "[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]"
_UNDECODED = "[\ud800-\udfff]"


class Line(NamedTuple):
    """A line that is neither empty nor a comment, blanks at both ends dropped."""

    number: int
    text: str
    indented: bool

    def words(self) -> tuple[str, str]:
        """Return key and value; the value is empty when there is none."""
        parts = re.split(f"[{BLANKS}]+", self.text, maxsplit=1)
        return parts[0], parts[1] if len(parts) > 1 else ""


class File(NamedTuple):
    """The lines of a file, and by line number the files that they include."""

    path: str
    lines: list[Line]
    includes: dict[int, "File"]


class Unreadable(Exception):  # noqa: N818  (a state of the file, told as a problem of the line that names it)
    """A file that is not there or must not be used; `path` is empty when none was found."""

    def __init__(self, path: str, code: str, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self.path = path
        self.fault = Fault(code, {"it": path, **fields})

    def __str__(self) -> str:
        return str(self.fault)


class Source(Protocol):
    """Where conf files come from."""

    def open(self, name: str, beside: str | None) -> tuple[str, bytes]:
        """Return path and content of the file called `name`; `beside` is the file that includes it.

        Raises Unreadable.
        """


class Memory:
    """Conf files that are given as a mapping from name to content."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self.files = files

    def open(self, name: str, beside: str | None) -> tuple[str, bytes]:
        """Return name and content of a file; see Source.open."""
        del beside
        for path in _spellings(name):
            if path in self.files:
                content = self.files[path]
                return path, content.encode() if isinstance(content, str) else content
        raise Unreadable("", "no_file", {"name": name})


class Disk:
    """Conf files on disk, looked for in `directories`."""

    def __init__(self, directories: Sequence[str] = SEARCH) -> None:
        self.directories = directories

    def open(self, name: str, beside: str | None) -> tuple[str, bytes]:
        """Return absolute path and content of a file; see Source.open."""
        directories = list(dict.fromkeys(self.directories))
        if beside is not None:
            directories.insert(0, os.path.dirname(beside))  # noqa: PTH120
        if os.path.isabs(name):  # noqa: PTH117
            directories = ["/"]
        for directory in dict.fromkeys(directories):
            for spelling in _spellings(name):
                path = os.path.normpath(os.path.join(directory, spelling))  # noqa: PTH118
                content = _content(path)
                if content is not None:
                    return path, content
        if os.path.isabs(name):  # noqa: PTH117
            raise Unreadable("", "does_not_exist", {"name": name})
        folders = tuple(dict.fromkeys(directories))
        raise Unreadable("", "not_found", {"name": _spellings(name)[0], "folders": folders})


def read_files(source: Source, name: str) -> tuple[File, list[str], list[Problem]]:
    """Return the file called `name` with all that it includes, the paths read, and what is wrong."""
    reading = _Reading(source)
    try:
        path, content = source.open(name, None)
    except Unreadable as e:
        fault = e.fault._replace(fields={**e.fault.fields, "it": "it"})  # the file stands before it
        reading.problems.append(Problem(e.path or name, 0, fault))
        return File(name, [], {}), [], reading.problems
    return reading.file(path, content, ()), reading.paths, reading.problems


class _Reading:
    """Includes followed from one file on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.paths: list[str] = []
        self.problems: list[Problem] = []
        self.count = 0

    def file(self, path: str, content: bytes, above: tuple[str, ...]) -> File:
        self.count += 1
        if path not in self.paths:
            self.paths.append(path)
            lines = lines_of(path, content, self.problems)
        else:
            lines = lines_of(path, content, [])
        file = File(path, lines, {})
        for line in lines:
            key, name = line.words()
            if key == "include":
                self.include(file, line, name, (*above, path))
        return file

    def include(self, file: File, line: Line, name: str, above: tuple[str, ...]) -> None:
        def wrong(code: str, fields: Mapping[str, Any]) -> None:
            self.problems.append(Problem(file.path, line.number, Fault(code, fields)))

        if len(name) > 2 and name[0] == name[-1] and name[0] in "\"'":
            wrong("include_quoted", {"name": name[1:-1]})
            return
        if not name or any(blank in name for blank in BLANKS):
            wrong("include_one_name", {})
            return
        if self.count >= MAX_FILES:
            wrong("too_many_files", {"most": MAX_FILES})
            return
        try:
            path, content = self.source.open(name, file.path)
        except Unreadable as e:
            wrong("not_included", {"name": name, "why": e.fault})
            return
        if path in above:
            loop = " -> ".join((*above[above.index(path) :], path))
            wrong("include_circle", {"name": name, "loop": loop})
            return
        file.includes[line.number] = self.file(path, content, above)


def lines_of(path: str, content: bytes, problems: list[Problem]) -> list[Line]:
    """Return the lines that say something; what cannot be read is added to `problems` and left out."""
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        problems.append(Problem(path, 0, Fault("utf16")))
        return []
    if b"\0" in content:
        number = content[: content.index(b"\0")].count(b"\n") + 1
        problems.append(Problem(path, number, Fault("nul")))
        return []
    lines: list[Line] = []
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, raw in enumerate(text.split("\n"), 1):
        stripped = raw.removesuffix("\r").strip(BLANKS)
        if "\r" in stripped and "\n" not in text.rstrip("\n"):
            problems.append(Problem(path, number, Fault("cr_alone")))
            return lines
        if not stripped or stripped.startswith("#"):
            continue
        unreadable = _unreadable(stripped)
        if unreadable:
            problems.append(Problem(path, number, unreadable))
            continue
        lines.append(Line(number, stripped, raw[0] in BLANKS))
    return lines


def _unreadable(text: str) -> Fault | None:
    if text.isascii() and text.replace("\t", " ").isprintable():
        return None
    if bad := re.search(_UNDECODED, text):
        byte = ord(bad[0]) - 0xDC00
        return Fault("not_utf8", {"byte": byte, "before": bad.start()})
    if bad := re.search(_CONTROL, text):
        return Fault("control_character", {"byte": ord(bad[0]), "before": bad.start()})
    if bad := re.search(_INVISIBLE, text):
        return Fault("invisible_character", {"point": ord(bad[0]), "before": bad.start()})
    return None


def _spellings(name: str) -> tuple[str, ...]:
    return (name,) if name.endswith(".conf") else (f"{name}.conf", name)


def _content(path: str) -> bytes | None:
    """Return what is in the file, None when there is none. Never waits, whatever `path` is."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _refuse(path, os.fstat(handle))
            with open(handle, "rb", closefd=False) as file:
                content = file.read(MAX_SIZE + 1)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        about = {"user": user_name(), "or_in_group": _or_in_group(path)}
        raise Unreadable(path, "may_not_read", about) from None
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise Unreadable(path, "cannot_be_read", {"why": reason}) from None
    if len(content) > MAX_SIZE:
        raise Unreadable(path, "too_large", {"mib": MAX_SIZE // 1024 // 1024})
    return content


def user_name() -> str:
    """Return the name of the user whose rights this process has, or `uid NUMBER`."""
    import pwd  # noqa: PLC0415 - only an error needs it

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _or_in_group(path: str) -> Fault | str:
    """Return how else the file may be read: by a member of its group, where that is another than root's."""
    import grp  # noqa: PLC0415

    try:
        state = os.stat(path)  # noqa: PTH116
        group = grp.getgrgid(state.st_gid).gr_name
    except (OSError, KeyError):
        return ""
    if not state.st_mode & stat.S_IRGRP or not state.st_gid:
        return ""
    return Fault("or_in_group", {"group": group})


def _refuse(path: str, state: os.stat_result) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise Unreadable(path, "is_directory", {})
    if not stat.S_ISREG(state.st_mode):
        raise Unreadable(path, "not_plain", {})
    mode = stat.S_IMODE(state.st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        may = "write" if mode & stat.S_IWOTH else "read"
        raise Unreadable(path, "open_to_everybody", {"may": may, "mode": mode, "path": path})
