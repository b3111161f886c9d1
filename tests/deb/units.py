"""The unit tests on a booted machine, without servers and network namespaces: for suites and Pythons other than here.

What the programs import is either what Debian has, or what setup/constraints.txt pins.
"""

import subprocess
import tomllib
from pathlib import Path

from tests.deb.machines import PATH, Machine
from tests.deb.packages import TREE, copy_tree

LIMIT = 1800.0
"""Seconds for the tests of one machine, with others at work."""
_PATIENT = ("-o", "timeout=900")
"""A test here shares the machine with whatever else is tried; some Pythons take twice as long as others."""
CHOSEN = (
    *("tests/unit", "tests/compat", "tests/vectors"),
    *("-m", "not mysql and not netns and not sandbox"),
    *_PATIENT,
)
"""What pytest is told, beside how it prints."""
PLACE, VENV = "/root/tree", "/root/venv"
_TOOLS = ("pytest", "hypothesis", "jsonschema", "aiosmtpd", "pyte", "axe-core-python", "flit_core")
"""What begins so in the extra `test` is for tests alone."""


def prepare(machine: Machine, *, debian: bool) -> None:
    """Put the tree and a virtualenv for it onto a machine that is switched off; raises CalledProcessError.

    With `debian` the libraries of the programs are those of the suite, without it those that are pinned.
    """
    copy_tree(machine.root / PLACE[1:])
    certificates = Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
    (machine.root / "root/certificates.crt").write_bytes(certificates)
    _change_root(
        machine,
        "apt-get",
        "-y",
        "--no-install-recommends",
        "install",
        "python3-venv",
        "git",
        "openssh-client",
    )
    _change_root(machine, "python3", "-m", "venv", *(["--system-site-packages"] if debian else []), VENV)
    pip = (f"{VENV}/bin/pip", "install", "--quiet", "--disable-pip-version-check")
    pinned = ("--constraint", f"{PLACE}/setup/constraints.txt")
    if debian:
        _change_root(machine, *pip, *pinned, *_tools())
        _change_root(machine, *pip, "--no-deps", "--editable", PLACE)
    else:
        _change_root(machine, *pip, *pinned, "--editable", f"{PLACE}[test]")


def run(machine: Machine) -> str:
    """Run the tests there, once it is booted, and return their last line; raises FailedError with what they print."""
    command = f"cd {PLACE} && exec {VENV}/bin/python -m pytest -n 2 -p no:cacheprovider"
    said = machine.run("sh", "-c", f'{command} "$@"', "sh", *CHOSEN, limit=LIMIT)
    return said.strip().splitlines()[-1]


def versions(machine: Machine) -> str:
    """Return which libraries the programs import there."""
    names = ("pymysql", "pyroute2", "scapy", "yaml", "daemon", "cryptography", "h11", "aiohttp")
    wanted = [f"python3-{name}" for name in names]
    return ", ".join(
        machine.run("dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *wanted).splitlines()
    )


def _tools() -> list[str]:
    with (TREE / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["optional-dependencies"]["test"]
    return [each for each in wanted if each.startswith(_TOOLS)]


def _change_root(machine: Machine, *argv: str) -> None:
    """Run something in the machine's files, with the network of this host."""
    environment = [
        "env",
        "-i",
        PATH,
        "HOME=/root",
        "DEBIAN_FRONTEND=noninteractive",
        "PIP_CERT=/root/certificates.crt",
    ]
    subprocess.run(["chroot", machine.root, *environment, *argv], check=True, stdout=subprocess.DEVNULL)
