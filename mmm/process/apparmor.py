"""Whether AppArmor keeps a server to the paths of a profile (apparmor.d(5)). Edge.

Oracle's packages of MySQL bring a profile that lets the server write below its data directory and nowhere beside it.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROFILES = Path("/sys/kernel/security/apparmor/policy/profiles")
"""What the kernel has loaded: a folder for each profile."""
_LABELS = ("attr/apparmor/current", "attr/current")
_LABEL = re.compile(r"(.+) \((\w+)\)")
_LETS_ALL = frozenset({"complain", "unconfined"})
_SIGNS = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", ",": "|", "}": ")"}


def confining(label: str) -> str:
    """Return the profile that a process's label names, empty where it has none or may do all the same. Pure.

    `/usr/sbin/mysqld (enforce)`, `unconfined`: see aa_getcon(2).
    """
    found = _LABEL.fullmatch(label.strip("\0\n "))
    return found[1] if found and found[2] not in _LETS_ALL else ""


def attaches(pattern: str, program: str) -> bool:
    """Tell whether a profile for programs called so is one for this program. Pure."""
    parts = re.split(r"(\*\*|[*?{},])", pattern)
    expression = "".join(_SIGNS.get(part, re.escape(part)) for part in parts)
    try:
        return re.fullmatch(expression, program) is not None
    except re.error:  # braces that do not match each other
        return False


def of_process(pid: int) -> str:
    """Return the profile that confines a process and not this one too, as a container's does; empty: none."""
    own, its = _label("self"), _label(str(pid))
    return "" if its == own else confining(its)


def of_program(program: str, profiles: Path = PROFILES) -> str:
    """Return the profile that would confine a program which is started now; empty: none."""
    path = str(Path(program).resolve())
    return next((name for name, pattern in _enforced(profiles) if attaches(pattern, path)), "")


def may_forbid(program: str, folder: Path) -> str:
    """Return what to add to what a program says which fails in that folder; empty where no profile confines it."""
    profile = of_program(program)
    if not profile:
        return ""
    return (
        f" (AppArmor keeps it to the paths of its profile {profile}: should that be why, put `{folder}/ r,` and"
        f" `{folder}/** rwk,` there, below /etc/apparmor.d, and load it by apparmor_parser -r)"
    )


def _label(of: str) -> str:
    for name in _LABELS:
        with suppress(OSError, UnicodeDecodeError):
            return Path("/proc", of, name).read_text("utf-8")
    return ""


def _enforced(profiles: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each profile that is enforced, and which programs it is for."""
    for folder in sorted(profiles.glob("*")):
        with suppress(OSError, UnicodeDecodeError):
            name, mode, pattern = (
                (folder / file).read_text("utf-8").strip() for file in ("name", "mode", "attach")
            )
            if mode not in _LETS_ALL:
                yield name, pattern if pattern.startswith("/") else name
