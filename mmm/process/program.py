"""What both daemons do from their command line to their first instruction (rule 1)."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm.config import load as config
from mmm.config.allow import health_sentence, sentence
from mmm.config.model import Cluster
from mmm.config.names import Program
from mmm.config.shown import purpose
from mmm.process import arguments, tls
from mmm.process.angel import ENDING
from mmm.process.beside import Beside
from mmm.process.conf_file import ConfFile, UnusableError
from mmm.process.inspection import Inspect, Inspection
from mmm.process.logs import reopen, replacement_problem
from mmm.process.manager import Manager, started_by
from mmm.process.service import Service, serve

USAGE = 2
"""Exit status for wrong usage and for a conf that cannot be used."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What a daemon is there for: its work, which returns an exit status.

    Its angel looks after what `beside` makes of the conf. The work is handed both, and what to call once it serves;
    it may take another conf.
    `inspect` says what the conf means on this machine. `doctor` looks further, prints what it finds and returns an
    exit status.
    """

    work: Callable[[ConfFile, Beside, Callable[[], None]], Coroutine[Any, Any, int]]
    beside: Callable[[ConfFile], Beside]
    inspect: Inspect
    doctor: Callable[[Cluster], int]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon: the name of its program and its conf file, and where its duties come from.

    `duties` is called only for what needs them: importing them takes four times as long as reading the conf, and init
    scripts ask for the conf alone each time, as it names the pid file.
    """

    program: str
    kind: Program
    conf_name: str
    pid_path: Callable[[Cluster], str]
    duties: Callable[[], Duties]


def run(daemon: Daemon, argv: Sequence[str] | None = None) -> int:
    """Read arguments and conf, do what they ask for, and return the exit status of the program."""
    args = arguments.parse(daemon.program, sys.argv[1:] if argv is None else argv)
    path = args.config.absolute() if args.config else None
    try:
        conf = _read(daemon, args.config, args.cluster)
    except UnusableError as error:
        print(error, file=sys.stderr)
        return USAGE
    manager = started_by()
    if args.print_conf:
        print(config.effective(conf), end="")
        return 0
    duties = daemon.duties()
    if args.doctor:
        return duties.doctor(conf)
    service = Service(
        program=daemon.program,
        cluster=args.cluster,
        pid_path=Path(daemon.pid_path(conf)),
        foreground=args.foreground,
        debug=conf.debug,
        conf_dir=conf.path.parent,
        logs=conf.logs if daemon.kind != "CONTROL" else (),  # they are the monitor's
        manager=manager,
    )
    found = duties.inspect(conf)
    for line in found.errors:
        print(f"{conf.path}: {line}", file=sys.stderr)
    if found.errors and not args.check:
        return USAGE
    if args.check:
        return _say_check(conf, service, found)
    file = ConfFile(conf, lambda: _read(daemon, path, args.cluster, duties.inspect))
    beside = duties.beside(file)
    return serve(service, lambda ready: asyncio.run(_work(duties.work(file, beside, ready), manager)), beside)


def _read(
    daemon: Daemon, path: Path | None, cluster: str | None, inspect: Inspect = lambda _: Inspection()
) -> Cluster:
    """Return the conf, read and checked, TLS files and what `inspect` says too; raises UnusableError."""
    try:
        conf = config.load(path, daemon.kind, cluster=cluster, name=daemon.conf_name)
        tls.server_context(conf.socket)
    except config.ConfError as error:
        raise UnusableError(error.errors) from error
    except tls.TlsError as error:
        raise UnusableError((str(error),)) from error
    if wrong := inspect(conf).errors:
        raise UnusableError(tuple(f"{conf.path}: {line}" for line in wrong))
    return conf


def on_reload(do: Callable[[], object]) -> None:
    """Have `do` called in the running loop at SIGHUP, once the log files are opened anew."""

    def hang_up() -> None:
        reopen()
        do()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)


def on_end(do: Callable[[], object]) -> None:
    """Have `do` called in the running loop when the daemon is asked to end."""
    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, do)


async def _work(work: Coroutine[Any, Any, int], manager: Manager | None) -> int:
    """Return what `work` does; the service manager is told meanwhile that the loop turns."""
    with manager.fed() if manager else nullcontext():
        return await work


def _say_check(conf: Cluster, service: Service, found: Inspection) -> int:
    """Print what `--check` says of a conf that could be read; returns the exit status."""
    log_conf = replacement_problem(service.log_setup.replacement)
    for warning in (*conf.warnings, *found.warnings, *([log_conf] if log_conf else [])):
        print(f"warning: {warning}", file=sys.stderr)
    if found.errors:
        return USAGE
    print(sentence(conf))
    for more in (health_sentence(conf), purpose(conf)):
        if more:
            print(more)
    print(f"{conf.path}: OK")
    return 0
