"""What both daemons do from their command line to their first instruction (rule 1)."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm.config import load as config
from mmm.config.allow import sentence
from mmm.config.model import Cluster
from mmm.config.names import Program
from mmm.process import arguments, tls
from mmm.process.inspection import Inspect, Inspection
from mmm.process.logs import replacement_problem
from mmm.process.service import Service, serve
from mmm.process.watchdog import Ward

USAGE = 2
"""Exit status for wrong usage and for a conf that cannot be used."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon: the name of its program and its conf file, and its work, which returns an exit status.

    Its angel looks after what `ward` makes of the conf; the work is handed that too, and what to call once it serves.
    `inspect` says what the conf means on this machine. `doctor` looks further, prints what it finds and returns an
    exit status.
    """

    program: str
    kind: Program
    conf_name: str
    pid_path: Callable[[Cluster], str]
    work: Callable[[Cluster, Ward, Callable[[], None]], Coroutine[Any, Any, int]]
    ward: Callable[[Cluster], Ward]
    inspect: Inspect
    doctor: Callable[[Cluster], int]


def run(daemon: Daemon, argv: Sequence[str] | None = None) -> int:
    """Read arguments and conf, do what they ask for, and return the exit status of the program."""
    args = arguments.parse(daemon.program, sys.argv[1:] if argv is None else argv)
    try:
        conf = config.load(args.config, daemon.kind, cluster=args.cluster, name=daemon.conf_name)
        tls.server_context(conf.socket)
    except config.ConfError as error:
        for line in error.errors:
            print(line, file=sys.stderr)
        return USAGE
    except tls.TlsError as error:
        print(error, file=sys.stderr)
        return USAGE
    if args.print_conf:
        print(config.effective(conf), end="")
        return 0
    if args.doctor:
        return daemon.doctor(conf)
    service = Service(
        program=daemon.program,
        cluster=args.cluster,
        pid_path=Path(daemon.pid_path(conf)),
        foreground=args.foreground,
        debug=conf.debug,
        conf_dir=conf.path.parent,
        logs=conf.logs,
    )
    found = daemon.inspect(conf)
    for line in found.errors:
        print(f"{conf.path}: {line}", file=sys.stderr)
    if found.errors and not args.check:
        return USAGE
    if args.check:
        return _say_check(conf, service, found)
    ward = daemon.ward(conf)
    return serve(service, lambda ready: asyncio.run(daemon.work(conf, ward, ready)), ward)


def _say_check(conf: Cluster, service: Service, found: Inspection) -> int:
    """Print what `--check` says of a conf that could be read; returns the exit status."""
    log_conf = replacement_problem(service.log_setup.replacement)
    for warning in (*conf.warnings, *found.warnings, *([log_conf] if log_conf else [])):
        print(f"warning: {warning}", file=sys.stderr)
    if found.errors:
        return USAGE
    print(sentence(conf))
    print(f"{conf.path}: OK")
    return 0
