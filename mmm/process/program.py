"""What all daemons do with their command line: they read the conf, print it, or start (rule 1)."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.process import arguments
from mmm.process.arguments import UNUSABLE, USAGE
from mmm.process.conf_file import UnusableError
from mmm.process.duties import Daemon


def run(daemon: Daemon, argv: Sequence[str] | None = None) -> int:
    """Read arguments and conf, do what they ask for, and return the exit status of the program."""
    args = arguments.parse(daemon.program, sys.argv[1:] if argv is None else argv)
    path = args.config.absolute() if args.config else None
    starts = not (args.print_conf or args.check or args.doctor)
    try:
        conf = _read(daemon, args.config, args.cluster)
    except UnusableError as error:
        if not (starts and error.may_pass):
            print(error, file=sys.stderr)
            return UNUSABLE if args.doctor else USAGE
        conf = None
    if conf and args.print_conf:
        print(config.effective(conf), end="")
        return 0
    # Init scripts ask for the conf alone each time, as it names the pid file; that takes half of what this needs.
    from mmm.process.started import look, start  # noqa: PLC0415

    if conf and not starts:
        return look(daemon, args, conf)
    return start(daemon, args, conf, lambda: _read(daemon, path, args.cluster))


def _read(daemon: Daemon, path: Path | None, cluster: str | None) -> Cluster:
    """Return the conf, read and checked, and what its TLS files say too; raises UnusableError."""
    try:
        conf = config.load(path, daemon.kind, cluster=cluster, name=daemon.conf_name)
    except config.ConfError as error:
        raise UnusableError(error.errors, may_pass=error.may_pass) from error
    if conf.socket.type != "plain":
        from mmm.process import tls  # noqa: PLC0415 - for few

        try:
            tls.server_context(conf.socket)
        except tls.TlsError as error:
            raise UnusableError((str(error),)) from error
    return daemon.completed(conf)
