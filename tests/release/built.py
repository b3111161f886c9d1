"""Builds what is shipped, each thing twice: from two clones, in folders of other names, under another umask."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

TREE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
UMASKS = {"one": 0o022, "an-other": 0o027}
"""The clones, and the umask of each."""
EXTRAS = "[watch,web]"


class UnfitError(Exception):
    """A check failed; the text says what is wrong, in one line where that can be."""


def run(*argv: object, log: Path | None = None) -> str:
    """Return what a program prints; raises UnfitError with its last line.

    What it prints is in `log` too, also where it fails.
    """
    command = [str(word) for word in argv]
    done = subprocess.run(
        command,
        cwd=TREE,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if log:
        log.write_text(done.stdout)
    if done.returncode:
        said = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "")
        where = f"; all of it is in {log}" if log else ""
        raise UnfitError(f"{' '.join(command)}: status {done.returncode}: {said}{where}")
    return done.stdout


class Builds:
    """What is built of the tree's last commit. Works in `folder`; what is shipped comes to `shipped`."""

    def __init__(self, folder: Path, shipped: Path) -> None:
        self._folder, self._shipped = folder, shipped
        shutil.rmtree(shipped, ignore_errors=True)
        shipped.mkdir(parents=True)

    @cached_property
    def clones(self) -> list[Path]:
        """Two clones of the last commit; raises UnfitError."""
        clones = [self._folder / name for name in UMASKS]
        for clone in clones:
            before = os.umask(UMASKS[clone.name])
            try:
                run("git", "clone", "--quiet", "--no-hardlinks", TREE, clone)
            finally:
                os.umask(before)
        return clones

    @cached_property
    def wheel_and_sdist(self) -> list[Path]:
        """The wheel and the sdist; raises UnfitError, also where a build warns or the second one differs."""
        epoch = f"SOURCE_DATE_EPOCH={run('git', 'log', '-1', '--format=%ct').strip()}"

        def build(clone: Path, out: Path) -> None:
            said = run("env", epoch, BIN / "python", "-m", "build", "--outdir", out, clone)
            warned = [
                line for line in said.splitlines() if "warn" in line.lower() or "deprec" in line.lower()
            ]
            if warned:
                raise UnfitError(f"python -m build: {warned[0]}")

        return self._twice("python", build)

    @cached_property
    def wheel(self) -> Path:
        """The wheel; raises UnfitError."""
        return next(path for path in self.wheel_and_sdist if path.suffix == ".whl")

    @cached_property
    def debs(self) -> list[Path]:
        """The Debian packages of this machine's suite; raises UnfitError, also where the second build differs."""
        return self._twice("debs", lambda clone, out: run(clone / "setup/deb", out))

    def _twice(self, kind: str, build: Callable[[Path, Path], object]) -> list[Path]:
        found: list[Mapping[str, str]] = []
        for clone in self.clones:
            before = os.umask(UMASKS[clone.name])
            try:
                build(clone, self._folder / kind / clone.name)
            finally:
                os.umask(before)
            found.append(sums(self._folder / kind / clone.name))
        first, second = found
        differ = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
        if differ:
            raise UnfitError(f"two builds of the same commit differ in {', '.join(differ)}")
        made = self._folder / kind / self.clones[0].name
        return [Path(shutil.copy(made / name, self._shipped)) for name in sorted(first)]

    def installed(self, place: Path, *, pip: bool) -> Path:
        """Return the Python of a new virtualenv with the wheel, all extras, and what it needs; raises UnfitError.

        Without `pip` nothing else is in it.
        """
        run(sys.executable, "-m", "venv", place, *([] if pip else ["--without-pip"]))
        python = place / "bin/python"
        constraint = TREE / "setup/constraints.txt"
        argv = [BIN / "pip", "--python", python, "install", "--quiet", "--constraint", constraint]
        run(*argv, f"{self.wheel}{EXTRAS}")
        return python

    def write_sums(self) -> None:
        """Write SHA256SUMS of what is shipped, as sha256sum(1) takes it."""
        path = self._shipped / "SHA256SUMS"
        path.unlink(missing_ok=True)
        path.write_text("".join(f"{value}  {name}\n" for name, value in sums(self._shipped).items()))


def sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in `folder`, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
