"""Servers that this Debian does not have, from Debian's other suites, unpacked into folders: nothing is installed.

    python -m mmm.sandbox.machines.fetch mariadb:11.8 mysql:9.7

A server comes with its own libc and the loader of that, so it runs on any Debian, and /proc/PID/exe is the loader.
The folders are in $MMM_SERVERS, else in /var/cache/mmm/servers; one that is there runs.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.sandbox.machines.machine import SandboxError

_LIMIT = 900.0
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MIRROR = "http://deb.debian.org/debian"
_NOT_NEEDED = re.compile(r"(lib)?perl|gcc-\d+-base|debconf|galera|init-system|passwd|login|libsystemd-shared")
_UNUSED = ("doc", "man", "locale", "lintian", "bug", "i18n", "info", "zoneinfo", "perl", "perl5")
SERVERS = ("mariadbd", "mysqld")
PROGRAMS = (
    *("mariadb", "mariadb-dump", "mariadb-backup", "mbstream", "mariadb-binlog"),
    *("mysql", "mysqldump", "mysqlbinlog"),
)
"""What else of a server's folder is run."""
_SINCE = ("mariadb-binlog", "mysqlbinlog")
"""Folders that were fetched before have no wrappers for these."""
_BACKUP = "mariadb-backup"
_WRAPPER = """\
#!/bin/sh
# Runs {program} of this folder with the folder's own loader and libraries.
R=$(dirname "$(dirname "$(readlink -f "$0")")")
exec "$R"/{loader} --library-path {libraries} "$R"/{program} "$@"
"""
_APT = """\
Dir::State "{apt}"; Dir::State::status "{apt}/status"; Dir::Cache "{apt}"; Dir::Etc::sourcelist "{apt}/sources.list";
Dir::Etc::sourceparts "/dev/null"; Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none"; Acquire::Retries "3"; Acquire::Check-Valid-Until "false"; APT::Sandbox::User "root";
Debug::NoLocking "1"; APT::Update::Post-Invoke-Success ""; DPkg::Post-Invoke "";
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server comes from: a suite of Debian, whose security updates may be in a suite of their own."""

    suite: str
    security: str
    packages: tuple[str, ...]
    program: str
    version: str
    """What its version begins with; another one is refused, for the name promises it."""
    backup: tuple[str, ...] = ()
    """The packages of its backup program; NAME/SUITE where the suite's security updates do not have it."""


_MARIADB = ("mariadb-server-core", "mariadb-client-core")
ORIGINS = {
    "mariadb:11.8": Origin(
        "trixie",
        "trixie-security",
        (*_MARIADB, "mariadb-server"),
        "mariadbd",
        "11.8.",
        ("mariadb-backup",),
    ),
    "mariadb:10.5": Origin(
        "bullseye",
        "bullseye-security",
        ("mariadb-server-core-10.5", "mariadb-client-core-10.5", "mariadb-server-10.5"),
        "mariadbd",
        "10.5.",
        ("mariadb-backup/bullseye", "libsnappy1v5"),
    ),
    "mysql:9.7": Origin("sid", "", ("mysql-server-core", "mysql-client-core"), "mysqld", "9.7."),
}
"""The servers that can be fetched, by the name that `mmm_sandbox up --server` takes."""


def cache() -> Path:
    """Return the folder of all fetched servers: $MMM_SERVERS, else /var/cache/mmm/servers."""
    return Path(os.environ.get("MMM_SERVERS") or "/var/cache/mmm/servers").absolute()


def fetched(name: str) -> Path:
    """Return the folder of a server of ORIGINS, fetched now if it is not there; raises SandboxError.

    Takes up to a minute and 70 MB of the network the first time, a few milliseconds afterwards. What broke off in
    the middle leaves nothing behind that would be taken for a server.
    """
    folder = cache() / name.replace(":", "-")
    origin = ORIGINS[name]
    try:
        if folder.is_dir() and not _lacks_backup(folder, origin):
            if (folder / "bin").is_dir() and not any((folder / "bin" / each).exists() for each in _SINCE):
                _wrap(folder)
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _fetch(origin, folder)
            elif _lacks_backup(folder, origin):
                _add_backup(origin, folder)
    except (OSError, subprocess.SubprocessError, _FetchError) as error:
        raise SandboxError(f"{name} cannot be had from Debian's {origin.suite}: {error}") from error
    return folder


def is_missing(name: str) -> bool:
    """Tell whether this is a server of ORIGINS that would have to be fetched first."""
    return name in ORIGINS and not (cache() / name.replace(":", "-")).is_dir()


class _FetchError(Exception):
    """Why a step did not work, in one line."""


def _fetch(origin: Origin, folder: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise _FetchError(f"{tool} is missing, only a Debian can fetch servers")
    for left in folder.parent.glob(f".{folder.name}.*"):  # of one that was killed: the lock is ours now
        shutil.rmtree(left, ignore_errors=True)
    with _temporary(folder) as made:
        with tempfile.TemporaryDirectory(prefix=".apt.", dir=made) as apt:
            for package in _download(origin, Path(apt)):
                _run(["dpkg-deb", "-x", str(package), str(made)])
        shutil.rmtree(made / "bin", ignore_errors=True)  # of this machine's kind, as ps and tar are
        for name in _UNUSED:
            shutil.rmtree(made / "usr/share" / name, ignore_errors=True)
        _wrap(made)
        version = _run([str(made / "bin" / origin.program), "--no-defaults", "--version"])
        found = re.search(r"Ver (\S+)", version)
        if found is None or not found[1].startswith(origin.version):
            raise _FetchError(f"it has {found[1] if found else version[:100]} now, not {origin.version}x")
        made.rename(folder)


def _lacks_backup(folder: Path, origin: Origin) -> bool:
    """Tell whether the folder was fetched before its server's backup program was."""
    bin_ = folder / "bin"
    return bool(origin.backup) and (bin_ / origin.program).exists() and not (bin_ / _BACKUP).exists()


def _add_backup(origin: Origin, folder: Path) -> None:
    """Add the program to a folder whose server may be running."""
    with tempfile.TemporaryDirectory(prefix=".apt.", dir=folder.parent) as apt:
        for package in _download(origin, Path(apt), server=False):
            _run(["dpkg-deb", "-x", str(package), str(folder)])
    _wrap(folder)


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; what is still there at the end is removed."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _download(origin: Origin, apt: Path, *, server: bool = True) -> list[Path]:
    """Return the packages of a server, all it needs, and its backup program, by an apt that knows this suite alone."""
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    mirror = _mirror()
    lines = [f"deb [signed-by={_KEYRING}] {mirror} {origin.suite} main"]
    if origin.security:
        lines.append(f"deb [signed-by={_KEYRING}] {mirror}-security {origin.security} main")
    (apt / "sources.list").write_text("\n".join(lines) + "\n")
    (apt / "apt.conf").write_text(_APT.format(apt=apt))
    env = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    # Without --error-on=any a mirror that does not answer would only be a warning.
    _run(["apt-get", "-qq", "--error-on=any", "update"], env)
    if server:
        install = ("-y", "--no-install-recommends", "--download-only", "install")
        _run(["apt-get", "-qq", *install, *origin.packages], env)
    if (
        origin.backup
    ):  # not installed: it may be of another update than the server, of which it wants the client
        _run(["apt-get", "-qq", "download", *origin.backup], env, apt / "archives")
    packages = sorted((apt / "archives").glob("*.deb"))
    return [package for package in packages if not _NOT_NEEDED.match(package.name)]


def _mirror() -> str:
    """Return the Debian mirror that this machine uses."""
    for path in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        with contextlib.suppress(OSError):
            found = re.search(
                r"^(?:URIs:|deb(?: \[[^]]*\])?) *(https?://\S+/debian)/?\s", path.read_text(), re.MULTILINE
            )
            if found:
                return found[1]
    return _MIRROR


def _wrap(tree: Path) -> None:
    """Write FOLDER/bin/PROGRAM for every program, to be run by the folder's own loader."""
    loaders = [str(path.relative_to(tree)) for path in tree.rglob("ld-linux*.so.*") if path.exists()]
    if not loaders:
        raise _FetchError("no loader among its packages")
    folders = sorted(
        {str(path.parent.relative_to(tree)) for path in tree.rglob("lib*.so.*") if path.is_file()}
    )
    libraries = ":".join(
        f'"$R"/{shlex.quote(name)}' for name in folders if "plugin" not in name and "gdb" not in name
    )
    (tree / "bin").mkdir(exist_ok=True)
    for name in (*SERVERS, *PROGRAMS):
        program = next((place for place in ("usr/sbin", "usr/bin") if (tree / place / name).is_file()), None)
        if program is None:
            continue
        text = _WRAPPER.format(program=f"{program}/{name}", loader=min(loaders, key=len), libraries=libraries)
        (tree / "bin" / name).write_text(text)
        (tree / "bin" / name).chmod(0o755)


def _run(argv: Sequence[str], env: dict[str, str] | None = None, folder: Path | None = None) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=env, cwd=folder, timeout=_LIMIT,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        told = [
            line for line in done.stderr.splitlines() if line.startswith("E:")
        ] or done.stderr.splitlines()
        raise _FetchError(f"{Path(argv[0]).name}: {told[0] if told else f'exit status {done.returncode}'}")
    return done.stdout


def main() -> int:
    """Fetch the servers that are named, all without a name, and print their folders; returns the exit status."""
    failed = 0
    for name in sys.argv[1:] or ORIGINS:
        if name not in ORIGINS:
            print(f"fetch: no server {name}: there are {', '.join(ORIGINS)}", file=sys.stderr)
            return 2
        try:
            print(f"{name}  {fetched(name)}", flush=True)
        except SandboxError as error:
            print(f"fetch: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
