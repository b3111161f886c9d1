"""Conf files: where they are looked for, who may read them, bytes to lines, includes (rule 1).

A file is refused when everybody may read or write it: it holds passwords. A file may begin with a byte order
mark, end its lines with CRLF and lack the last line end. Bytes that are not UTF-8 are accepted in comments.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mmm.config.tree import Problem

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

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path
        self.text = text


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
        raise Unreadable("", f"there is no file {name}; add it")


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
            raise Unreadable("", f"{name} does not exist; create it or name another file")
        wanted, where = _spellings(name)[0], ", ".join(dict.fromkeys(directories))
        raise Unreadable("", f"{wanted} is not in {where}; create it in one of them")


def read_files(source: Source, name: str) -> tuple[File, list[str], list[Problem]]:
    """Return the file called `name` with all that it includes, the paths read, and what is wrong."""
    reading = _Reading(source)
    try:
        path, content = source.open(name, None)
    except Unreadable as e:
        text = e.text.replace(e.path, "it", 1) if e.path else e.text  # the file stands before it
        reading.problems.append(Problem(e.path or name, 0, text))
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
        def wrong(text: str) -> None:
            self.problems.append(Problem(file.path, line.number, text))

        if not name or any(blank in name for blank in BLANKS):
            wrong("include takes one file name; write one include line a file")
            return
        if self.count >= MAX_FILES:
            wrong(f"more than {MAX_FILES} files are included; remove this include")
            return
        try:
            path, content = self.source.open(name, file.path)
        except Unreadable as e:
            wrong(f"include {name}: {e.text}")
            return
        if path in above:
            loop = " -> ".join((*above[above.index(path) :], path))
            wrong(f"include {name} goes round in a circle ({loop}); remove this include")
            return
        file.includes[line.number] = self.file(path, content, above)


def lines_of(path: str, content: bytes, problems: list[Problem]) -> list[Line]:
    """Return the lines that say something; what cannot be read is added to `problems` and left out."""
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        problems.append(Problem(path, 0, "is UTF-16; save it as UTF-8"))
        return []
    if b"\0" in content:
        number = content[: content.index(b"\0")].count(b"\n") + 1
        problems.append(Problem(path, number, "a NUL byte: this is not a text file; name a conf file"))
        return []
    lines = []
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, raw in enumerate(text.split("\n"), 1):
        stripped = raw.removesuffix("\r").strip(BLANKS)
        if not stripped or stripped.startswith("#"):
            continue
        unreadable = _unreadable(stripped)
        if unreadable:
            problems.append(Problem(path, number, unreadable))
            continue
        lines.append(Line(number, stripped, raw[0] in BLANKS))
    return lines


def _unreadable(text: str) -> str:
    if text.isascii() and text.replace("\t", " ").isprintable():
        return ""
    if bad := re.search(_UNDECODED, text):
        byte = ord(bad[0]) - 0xDC00
        return f"byte 0x{byte:02X} after {bad.start()} characters is not UTF-8; save the file as UTF-8"
    if bad := re.search(_CONTROL, text):
        return f"control character 0x{ord(bad[0]):02X} after {bad.start()} characters; delete it"
    if bad := re.search(_INVISIBLE, text):
        return f"invisible character U+{ord(bad[0]):04X} after {bad.start()} characters; delete it"
    return ""


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
        raise Unreadable(
            path, f"{_user()} may not read {path}: run this with sudo{_or_in_group(path)}"
        ) from None
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise Unreadable(path, f"{path} cannot be read: {reason}; make it readable for this user") from None
    if len(content) > MAX_SIZE:
        raise Unreadable(path, f"{path} is larger than {MAX_SIZE // 1024 // 1024} MiB; name a conf file")
    return content


def _user() -> str:
    import pwd  # noqa: PLC0415 - only an error needs it

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _or_in_group(path: str) -> str:
    """Return how else the file may be read: by a member of its group, where that is another than root's."""
    import grp  # noqa: PLC0415

    try:
        state = os.stat(path)  # noqa: PTH116
        group = grp.getgrgid(state.st_gid).gr_name
    except (OSError, KeyError):
        return ""
    if not state.st_mode & stat.S_IRGRP or not state.st_gid:
        return ""
    return f", or become a member of its group {group}"


def _refuse(path: str, state: os.stat_result) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise Unreadable(path, f"{path} is a directory; name a file")
    if not stat.S_ISREG(state.st_mode):
        raise Unreadable(path, f"{path} is not a plain file; name a plain file")
    mode = stat.S_IMODE(state.st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        may = "write" if mode & stat.S_IWOTH else "read"
        raise Unreadable(
            path, f"everybody may {may} {path} (mode {mode:04o}), which holds passwords; chmod 640 {path}"
        )
