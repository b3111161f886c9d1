"""A daemon from the conf it has read to its first instruction, and what `--check` says instead (rule 1)."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmm.config.allow import health_sentence, sentence
from mmm.config.model import Cluster
from mmm.config.shown import purpose
from mmm.process.angel import ENDING, hung_up
from mmm.process.arguments import REFUSED, USAGE, Arguments
from mmm.process.awaited import awaited, inspected
from mmm.process.conf_file import ConfFile, UnusableError
from mmm.process.duties import Daemon
from mmm.process.inspection import Inspection
from mmm.process.logs import LogError, reopen, replacement_problem, set_up
from mmm.process.manager import Manager, started_by
from mmm.process.service import Service, serve

log = logging.getLogger(__name__)


def look(daemon: Daemon, args: Arguments, conf: Cluster) -> int:
    """Do what `--doctor` or `--check` asks for, and return the exit status of the program."""
    duties = daemon.duties()
    if args.doctor:
        return duties.doctor(conf)
    found = duties.inspect(conf)
    asked = duties.ask(conf) if duties.ask and not found.errors else Inspection()
    for line in (*found.errors, *asked.errors):
        print(f"{conf.path}: {line}", file=sys.stderr)
    return _say_check(conf, _service(daemon, args, conf, None), found, asked)


def start(daemon: Daemon, args: Arguments, conf: Cluster | None, read: Callable[[], Cluster]) -> int:
    """Run the daemon, and return the exit status of the program.

    `read` returns the conf as it is written at the moment, and raises UnusableError; `conf` is what it has returned,
    None where that may come yet. What this machine has not yet is waited for: `awaited`.
    """
    manager, duties = started_by(), daemon.duties()
    try:
        conf = awaited(conf, read, duties.inspect)
    except UnusableError as error:
        return _not_started(daemon, args, conf, error, manager)
    except KeyboardInterrupt:
        return 1
    service = _service(daemon, args, conf, manager)
    file = ConfFile(conf, lambda: inspected(read(), duties.inspect))
    beside = duties.beside(file)
    return serve(service, lambda ready: asyncio.run(_work(duties.work(file, beside, ready), manager)), beside)


def _not_started(
    daemon: Daemon, args: Arguments, conf: Cluster | None, error: UnusableError, manager: Manager | None
) -> int:
    """Say why, and return the exit status: USAGE, which nobody tries again, for what stands in the files, else 1."""
    print(error, file=sys.stderr)
    if not error.may_pass:
        return USAGE
    then = "the service manager tries it again" if manager else "start it again once that is there"
    said = f"{daemon.program}: not started, for this machine has not yet what the conf needs: {then}"
    print(said, file=sys.stderr, flush=True)
    if conf:  # at a boot nobody reads what a program prints
        with suppress(LogError):
            set_up(replace(_service(daemon, args, conf, manager).log_setup, stdout=False))
            log.error("not started: %s; %s", "; ".join(error.lines), then)
    return 1


def _service(daemon: Daemon, args: Arguments, conf: Cluster, manager: Manager | None) -> Service:
    return Service(
        program=daemon.program,
        cluster=args.cluster,
        pid_path=Path(daemon.pid_path(conf)),
        foreground=args.foreground,
        debug=conf.debug,
        conf_dir=conf.path.parent,
        logs=conf.logs if daemon.kind != "CONTROL" else (),  # they are the monitor's
        manager=manager,
    )


def on_reload(*everything: Callable[[], object]) -> None:
    """Have `everything` called in the running loop at SIGHUP, once the log files are opened anew.

    Where it came earlier in this worker's life that is done soon.
    """

    def hang_up() -> None:
        reopen()
        for do in everything:
            do()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    if hung_up():
        for do in everything:
            loop.call_soon(do)


def on_end(do: Callable[[], object]) -> None:
    """Have `do` called in the running loop when the daemon is asked to end, the first time.

    Ctrl-C reaches a worker twice, from the terminal and from its angel: the second one would break off its end.
    """
    asked = False

    def end() -> None:
        nonlocal asked
        if not asked:
            asked = True
            do()

    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, end)


async def _work(work: Coroutine[Any, Any, int], manager: Manager | None) -> int:
    """Return what `work` does; the service manager is told meanwhile that the loop turns."""
    with manager.fed() if manager else nullcontext():
        return await work


def _say_check(conf: Cluster, service: Service, found: Inspection, asked: Inspection) -> int:
    """Print what `--check` says of a conf that could be read; returns the exit status."""
    log_conf = replacement_problem(service.log_setup.replacement)
    for warning in (*conf.warnings, *found.warnings, *asked.warnings, *([log_conf] if log_conf else [])):
        print(f"warning: {warning}", file=sys.stderr)
    if found.errors or asked.errors:
        return USAGE if found.errors else REFUSED
    print(sentence(conf))
    for more in (health_sentence(conf), purpose(conf)):
        if more:
            print(more)
    print(f"{conf.path}: OK")
    return 0
