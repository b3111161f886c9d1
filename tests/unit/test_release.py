"""What `make release-check` reads from the files of the tree."""

from pathlib import Path

import pytest

from mmm import __version__
from tests.release.texts import headings, versions

TREE = Path(__file__).parents[2]
PYPROJECT = 'dynamic = ["version"]\n'
CHANGELOG = "# Changelog\n\n## 3.1.0 (2027-01-31)\n\n## 3.0.0 (2026-12-01)\n"
DEBIAN = "mysql-mmm (3.1.0) unstable; urgency=medium\n"


def test_the_version_stands_in_one_place_and_the_changelogs_agree_with_it() -> None:
    texts = [(TREE / name).read_text() for name in ("pyproject.toml", "CHANGELOG.md", "debian/changelog")]
    assert not list(versions(__version__, *texts))


@pytest.mark.parametrize(
    ("pyproject", "changelog", "debian", "named"),
    [
        (PYPROJECT.replace("dynamic", "# "), CHANGELOG, DEBIAN, "pyproject.toml"),
        (PYPROJECT, CHANGELOG.replace("3.1.0", "3.1.1"), DEBIAN, "CHANGELOG.md: says 3.1.1"),
        (PYPROJECT, CHANGELOG, DEBIAN.replace("3.1.0", "3.0.0"), "debian/changelog: says 3.0.0"),
        (PYPROJECT, "", DEBIAN, "CHANGELOG.md: says no version"),
    ],
)
def test_a_file_with_another_version_is_named(
    pyproject: str, changelog: str, debian: str, named: str
) -> None:
    (fault,) = versions("3.1.0", pyproject, changelog, debian)
    assert fault.startswith(named)


def test_a_changelog_that_is_being_worked_on_is_no_release() -> None:
    assert not list(headings(CHANGELOG, DEBIAN))
    (fault,) = headings(CHANGELOG.replace("2027-01-31", "not released yet"), DEBIAN)
    assert fault.startswith("CHANGELOG.md")
    (fault,) = headings(CHANGELOG, DEBIAN.replace("unstable", "UNRELEASED"))
    assert fault.startswith("debian/changelog")
