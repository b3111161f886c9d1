"""Says of each thing that must hold before a release whether it does: `python -m tests.release [--skip NAME…]`.

What is shipped is in build/release afterwards; what long checks print is in build/release-logs.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from mmm import __version__
from tests.release.built import BIN, TREE, Builds, UnfitError, run
from tests.release.texts import headings, versions

SHIPPED = TREE / "build/release"
LOGS = TREE / "build/release-logs"
MAKES = {
    "lint": "lint",
    "vectors": "vectors",
    "tests": "test",
    "pythons": "test-pythons",
    "packages": "test-deb",
}
"""The checks that are targets of the Makefile."""


class Release:
    """The checks: each returns what it found, and raises UnfitError where that is not fit for a release."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._builds = Builds(folder, SHIPPED)

    def checks(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name, in their order: what takes long comes last."""
        own = (self.tree, self.version, self.changelog, self.build, self.metadata, self.pip, self.pipx)
        found = {check.__name__: check for check in (*own, self.list, self.debs)}
        return found | {name: lambda name=name: self._make(name) for name in MAKES}

    def tree(self) -> str:
        """All is committed."""
        changed = run("git", "status", "--porcelain").splitlines()
        if changed:
            raise UnfitError(f"{len(changed)} files are not committed, the first is {changed[0][3:]}")
        return f"all is committed, in {run('git', 'rev-parse', '--short=10', 'HEAD').strip()}"

    def version(self) -> str:
        """The version stands in one place, and the changelogs agree with it."""
        texts = [(TREE / name).read_text() for name in ("pyproject.toml", "CHANGELOG.md", "debian/changelog")]
        _none(versions(__version__, *texts))
        return f"{__version__} in mmm/__init__.py, CHANGELOG.md and debian/changelog"

    def changelog(self) -> str:
        """The changelogs are of a release, not of what is being worked on."""
        _none(headings((TREE / "CHANGELOG.md").read_text(), (TREE / "debian/changelog").read_text()))
        return "both are headed as a release is"

    def build(self) -> str:
        """Wheel and sdist are built without a warning, and twice alike."""
        return f"twice the same bytes, no warning: {_names(self._builds.wheel_and_sdist)}"

    def metadata(self) -> str:
        """PyPI takes wheel and sdist."""
        run(BIN / "twine", "check", "--strict", *self._builds.wheel_and_sdist)
        return "twine check --strict"

    def pip(self) -> str:
        """The wheel installs by pip, and every program says its version."""
        python = self._builds.installed(self._folder / "pip", pip=True)
        run(python, "-m", "pip", "check")
        return f"{_say_their_version(python.parent)} programs of the wheel say {__version__}"

    def pipx(self) -> str:
        """The same by pipx."""
        place = self._folder / "pipx"
        constraint = f"--constraint={TREE / 'setup/constraints.txt'}"
        home, programs = f"PIPX_HOME={place / 'home'}", f"PIPX_BIN_DIR={place / 'bin'}"
        run("env", home, programs, BIN / "pipx", "install", f"--pip-args={constraint}", self._builds.wheel)
        return f"{_say_their_version(place / 'bin')} programs of the wheel say {__version__}"

    def list(self) -> str:
        """What is shipped, and what it is shipped with, as CycloneDX."""
        python = self._builds.installed(self._folder / "list", pip=False)
        project = self._folder / "pyproject.toml"
        text = (TREE / "pyproject.toml").read_text()
        project.write_text(text.replace('dynamic = ["version"]', f'version = "{__version__}"'))
        path = SHIPPED / f"mysql-mmm-{__version__}.cdx.json"
        kind = ["--pyproject", project, "--mc-type", "application", "--of", "JSON", "--sv", "1.6"]
        run(BIN / "cyclonedx-py", "environment", *kind, "--output-reproducible", "-o", path, python)
        return path.name

    def debs(self) -> str:
        """The Debian packages are built twice alike."""
        return f"twice the same bytes: {len(self._builds.debs)} packages"

    @staticmethod
    def _make(name: str) -> str:
        run("make", MAKES[name], log=LOGS / f"{name}.log")
        return f"make {MAKES[name]}"

    def write_sums(self) -> None:
        """Write the sums of what is shipped."""
        self._builds.write_sums()


def _none(faults: Iterable[str]) -> None:
    if found := list(faults):
        raise UnfitError("; ".join(found))


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _say_their_version(place: Path) -> int:
    """Return how many programs there are; raises UnfitError where one does not say the version of this release."""
    with (TREE / "pyproject.toml").open("rb") as file:
        programs = tomllib.load(file)["project"]["scripts"]
    for name in programs:
        asked = "--help" if name == "mmm_restore" else "--version"  # there it is which backup to restore
        said = run(place / name, asked).strip()
        if __version__ not in re.findall(r"\d[^\s)]*", said):
            raise UnfitError(f"{name} {asked} says {said!r}")
    return len(programs)


def main(skipped: set[str]) -> int:
    """Print a line for each check; returns 1 where one failed, else 0."""
    failed = 0
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="mmm-release-") as folder:
        release = Release(Path(folder))
        checks = release.checks()
        if unknown := skipped - set(checks):
            sys.exit(f"no such check: {', '.join(sorted(unknown))}; there are {', '.join(checks)}")
        for name, check in checks.items():
            begun = time.monotonic()
            try:
                result, text = ("skipped", "") if name in skipped else ("ok", check())
            except UnfitError as error:
                result, text, failed = "FAILED", str(error), failed + 1
            took = time.monotonic() - begun
            print(
                f"{name:<10} {result:<8} {f'{took:.0f} s' if took >= 1 else '':>7}  {text}".rstrip(),
                flush=True,
            )
        release.write_sums()
    print(f"{failed} of {len(checks)} checks failed" if failed else f"what is shipped is in {SHIPPED}")
    return int(failed > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=__doc__.splitlines()[0])
    parser.add_argument("--skip", nargs="*", default=[], metavar="NAME", help="checks that are left out")
    sys.exit(main(set(parser.parse_args().skip)))
