"""What the tools have in common as programs: their log, and what they print. Edge."""

import logging
import signal
import sys
from pathlib import Path

LOG = Path("/var/log/mysql-mmm/mmm_tools.log")


def log_to(path: Path) -> None:
    """Keep a log in that file; where it cannot be written the tool goes on without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.FileHandler(path)
    except OSError as error:
        tell(f"no log is kept in {path}: {error.strerror}")
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


def tell(text: str) -> None:
    """Print a line of what is wrong."""
    print(text, file=sys.stderr, flush=True)
