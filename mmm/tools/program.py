"""What the tools have in common as programs: command line, conf, log, and what they print. Edge."""

import argparse
import logging
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.process.completion import Names

LOG = Path("/var/log/mysql-mmm/mmm_tools.log")


log = logging.getLogger(__name__)


def command_line(program: str, epilog: str) -> argparse.ArgumentParser:
    """Return a parser of a tool's command line, with the one option that all of them have."""
    made = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} [@CLUSTER] [OPTION...]",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="read this file instead of mmm_tools.conf")
    return made


def names(path: Path | None, cluster: str | None) -> Names:
    """Return what a shell completes from the conf; nothing where that cannot be read, as by a user who is not root."""
    try:
        conf = config.load(path, "REJOIN", cluster=cluster, name="mmm_tools", old_name="mmm_lvm")
    except config.ConfError:
        return {}
    return {"HOST": tuple(conf.hosts), "METHOD": tuple(conf.copy_methods)}


def load_conf(path: Path | None, cluster: str | None) -> Cluster:
    """Return the conf of the tools, warnings said; raises ConfError."""
    conf = config.load(path, "TOOLS", cluster=cluster, name="mmm_tools", old_name="mmm_lvm")
    for warning in conf.warnings:
        tell(f"WARN: {warning}")
    return conf


def log_to(path: Path) -> None:
    """Keep a log in that file; where it cannot be written the tool goes on without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        tell(f"no log is kept in {path}: {error.strerror}")
        logging.getLogger().addHandler(logging.NullHandler())  # else Python says it all once more
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y/%m/%d %H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def end_as_by_interrupt() -> None:
    """Have SIGTERM and SIGHUP end the tool as Ctrl-C does: with what it has begun taken back."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)


def say_rows(rows: Mapping[str, str]) -> None:
    """Print what is about to be done, in the layout of MMM 2.x; what is empty is left out."""
    for label, value in rows.items():
        if value:
            say(f" {label:<22}: {value}")


def give_up(lines: Iterable[str]) -> None:
    """Print and log why the tool ends without having done its work."""
    for line in lines:
        log.error(line)
        tell(line)


def tell(text: str) -> None:
    """Print a line of what is wrong."""
    print(text, file=sys.stderr, flush=True)
