"""Runs the commands of a copy method, and finds the data folder in what they have copied. Edge."""

import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmm.process.old_data import is_of_a_job
from mmm.process.parent_death import signal_at_parents_end
from mmm.tools.fetch.files import FIRST_FILE
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.kept.facts import Facts
from mmm.tools.kept.methods import Command

LIMIT = 7 * 86_400.0
"""Seconds that a command may take."""
_REDO = "ib_logfile*"
_REPLICATION = (
    "master.info",
    "relay-log.info",
    "master-*.info",
    "relay-log-*.info",
    "multi-master.info",
    "auto.cnf",
    "*.pid",
)


def all_of(into: Path) -> Path:
    """Return where a backup is put as a whole whose data folder becomes `into`: beside it, so that a job finds it."""
    return into.with_name(f"{into.name}.all")


def run(commands: Sequence[Command]) -> None:
    """Run the commands, each with the folder that it copies into; raises FailedError for the first that fails."""
    for command in commands:
        Path(command.folder).mkdir(parents=True, exist_ok=True)
        output(command.line)


def output(line: str) -> str:
    """Run a line of the conf by the shell, and return what it prints; raises FailedError."""
    try:
        done = subprocess.run(
            ["sh", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LIMIT,
            preexec_fn=lambda: signal_at_parents_end(signal.SIGKILL),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(Cause.HERE, f"`{line}`: {error}") from error
    if done.returncode:
        said = [each for each in done.stderr.splitlines() if each.strip()]
        last = said[-1] if said else "it said nothing"
        raise FailedError(Cause.PRODUCER, f"`{line}` ended with {done.returncode}: {last}")
    return done.stdout


def data_folder(folder: Path) -> Path:
    """Return the data folder in a copy of some folders; raises FailedError where none or more than one is."""
    homes = sorted(path.parent for path in folder.rglob(FIRST_FILE) if (path.parent / "mysql").is_dir())
    found = [path for path in homes if not any(map(is_of_a_job, path.relative_to(folder).parts))]
    if len(found) != 1:
        names = ", ".join(str(each) for each in found) or "none"
        raise FailedError(
            Cause.STATE, f"{folder}: one data folder with {FIRST_FILE} was expected, there is: {names}"
        )
    return found[0]


def only_data(folder: Path, data: Path, facts: Facts) -> None:
    """Leave in a copied data folder what is data, as MMM 2.x does: no logs, nothing of replication, no process.

    The redo log is brought into it from wherever it was among the folders. What rebuilds of that host had put aside
    within its data is no data.
    """
    for path in list(data.iterdir()):
        if is_of_a_job(path.name):
            shutil.rmtree(path)
    for path in list(folder.rglob(_REDO)):
        if path.parent != data:
            path.rename(data / path.name)
    for path in _left_over(data, facts):
        path.unlink()


def _left_over(data: Path, facts: Facts) -> Iterator[Path]:
    bases = {_base(name) for name in (facts.log_file, facts.slave.get("Relay_Log_File", "")) if name}
    patterns: Iterable[str] = (*_REPLICATION, *(f"{base}.*" for base in bases))
    yield from {path for pattern in patterns for path in data.glob(pattern) if path.is_file()}


def _base(name: str) -> str:
    return Path(name).name.rpartition(".")[0] or name


def log_in(folder: Path, name: str) -> Path | None:
    """Return a file of the binary log among the folders, None where it was not copied."""
    return next((path for path in sorted(folder.rglob(name)) if path.is_file()), None) if name else None
