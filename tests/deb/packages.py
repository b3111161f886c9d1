"""Builds the packages of this tree on a machine, as a clean chroot would, and has lintian look at them."""

import shutil
import subprocess
from pathlib import Path

from tests.deb.machines import Machine

TREE = Path(__file__).parents[2]
LIMIT = 600.0
NEXT = "3.0.0+next"
"""The version of the second build, for an upgrade."""


def build(builder: Machine, folder: Path) -> tuple[Path, Path]:
    """Return the folders of the packages and of the same with a later version; raises FailedError."""
    source = builder.root / "root/mysql-mmm"
    copy_tree(source)
    first = _built(builder, folder / "first")
    print(
        builder.run("sh", "-c", "cd /root && lintian --fail-on error,warning *.changes", limit=LIMIT), end=""
    )
    changelog = source / "debian/changelog"
    changelog.write_text(changelog.read_text().replace("(3.0.0)", f"({NEXT})", 1))
    return first, _built(builder, folder / "next")


def copy_tree(place: Path) -> None:
    """Copy what git knows of into a new folder, committed or not; raises OSError."""
    place.mkdir()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=TREE, stdout=subprocess.PIPE, check=True).stdout
    pack = subprocess.Popen(
        ["tar", "-c", "--null", "-T", "-"], cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    unpack = subprocess.Popen(["tar", "-x", "-C", place], stdin=pack.stdout)
    if pack.stdin is not None:
        pack.stdin.write(files)
        pack.stdin.close()
    if unpack.wait() or pack.wait():
        raise OSError("the tree cannot be copied")


def _built(builder: Machine, folder: Path) -> Path:
    builder.run("sh", "-c", "rm -f /root/*.deb /root/*.changes")
    builder.run("sh", "-c", "cd /root/mysql-mmm && dpkg-buildpackage -us -uc -b", limit=LIMIT)
    folder.mkdir(parents=True)
    for package in (builder.root / "root").glob("*.deb"):
        shutil.copy(package, folder)
    return folder


def install(machine: Machine, folder: Path, *names: str) -> str:
    """Install packages of a build by apt, as the README says; returns what apt prints.

    What somebody has changed in /etc stays: apt would ask.
    """
    place = machine.root / "root" / folder.name
    place.mkdir(exist_ok=True)
    files = []
    for name in names:
        (package,) = folder.glob(f"{name}_*.deb")
        shutil.copy(package, place)
        files.append(f"/root/{folder.name}/{package.name}")
    keep = ("-o", "Dpkg::Options::=--force-confold")
    return machine.run("apt-get", "-y", "--no-install-recommends", *keep, "install", *files, limit=LIMIT)
