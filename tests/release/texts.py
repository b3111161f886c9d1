"""What the files of the tree say of a release. Pure."""

import re
from collections.abc import Iterator

_HEADING = re.compile(r"^## (?P<version>\d\S*) (?P<rest>.*)$", re.MULTILINE)
_DATED = re.compile(r"\(\d{4}-\d\d-\d\d\)")
_DEBIAN = re.compile(r"^mysql-mmm \((?P<version>[^)]+)\) (?P<suite>\S+);")


def versions(version: str, pyproject: str, changelog: str, debian: str) -> Iterator[str]:
    """Yield a sentence for each file that says another version than the programs, or says it once more."""
    if not re.search(r'^dynamic = \["version"\]$', pyproject, re.MULTILINE):
        yield "pyproject.toml: must take the version of mmm/__init__.py (dynamic), and say none itself"
    for name, pattern, text in (("CHANGELOG.md", _HEADING, changelog), ("debian/changelog", _DEBIAN, debian)):
        found = pattern.search(text)
        if not found or found["version"] != version:
            said = found["version"] if found else "no version"
            yield f"{name}: says {said} at its top, mmm/__init__.py {version}"


def headings(changelog: str, debian: str) -> Iterator[str]:
    """Yield a sentence for each changelog whose top is not ready for a release."""
    top = _HEADING.search(changelog)
    if not top or not _DATED.fullmatch(top["rest"]):
        yield "CHANGELOG.md: write the day behind the version, as in '## 3.0.0 (2026-12-01)'"
    first = _DEBIAN.search(debian)
    if not first or first["suite"] == "UNRELEASED":
        yield "debian/changelog: write 'unstable' behind the version"
