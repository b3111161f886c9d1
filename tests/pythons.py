"""The unit tests with each Python that MMM runs on: `python -m tests.pythons [VERSION…]`. Root only.

A Python of this machine is taken, else Debian's on a booted machine, else one that uv fetches.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deb import units
from tests.deb.machines import FailedError, Network, system

TREE = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
"""The suite of Debian that has a version; forky is not released yet, and may have a later one by now."""


def here(version: str) -> str | None:
    """Return a Python of this version on this machine that runs, None where there is none."""
    found = [f"python{version}", *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    return next((name for name in found if says(name) == version), None)


def fetched(version: str) -> str | None:
    """Return a Python of this version that uv has or fetches, None where it cannot."""
    uv = str(Path(sys.executable).with_name("uv"))
    if subprocess.run(
        [uv, "python", "install", "--quiet", version], check=False, stderr=subprocess.DEVNULL
    ).returncode:
        return None
    found = subprocess.run(
        [uv, "python", "find", "--managed-python", version], check=False, capture_output=True, text=True
    )
    return found.stdout.strip() or None


def says(python: str) -> str:
    """Return the version of a Python, "" where it does not run or makes no virtualenv."""
    code = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def by(python: str) -> str:
    """Run the tests by a Python of this machine, and return their last line; raises FailedError."""
    with tempfile.TemporaryDirectory(prefix="mmm-python-") as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        constraint: list[str | Path] = ["--constraint", TREE / "setup/constraints.txt"]
        subprocess.run([*pip, *constraint, "--editable", f"{TREE}[test]"], check=True)
        argv = [f"{folder}/bin/python", "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *units.CHOSEN]
        done = subprocess.run(argv, cwd=TREE, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise FailedError(f"{python}: {done.stdout}")
    return done.stdout.strip().splitlines()[-1]


def on(suite: str) -> str:
    """Run the tests by the Python of a suite of Debian, and return their last line; raises FailedError."""
    with Network(system(suite, lean=True)) as network:
        machine = network.machine("python", "192.168.100.98")
        units.prepare(machine, debian=False)
        machine.boot(idle=True)
        return f"{units.run(machine)} ({machine.run('python3', '--version').strip()}, Debian {suite})"


def main(versions: list[str]) -> int:
    """Print a line for each version; returns 1 where tests failed or could not be run, else 0."""
    failed = 0
    for version in versions or VERSIONS:
        try:
            if python := here(version):
                result = by(python)
            elif suite := SUITES.get(version):
                result = on(suite)
            elif python := fetched(version):
                result = by(python)
            else:
                result, failed = (
                    "NOT TESTED: not on this machine, not in Debian, not to be had by uv",
                    failed + 1,
                )
        except (FailedError, TimeoutError, subprocess.SubprocessError) as error:
            result, failed = f"FAILED\n{error}", failed + 1
        print(f"Python {version}: {result}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
