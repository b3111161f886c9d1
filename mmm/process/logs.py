"""Where and how a daemon logs (rule 1).

By default `/var/log/mysql-mmm/PROGRAM.log`, INFO and above, `YYYY/MM/DD HH:MM:SS LEVEL message`; `log`
blocks of a 1.x conf name other files and levels; a YAML document for `logging.config.dictConfig` beside the
conf (`mmm_mon_log.conf`) replaces all that. Files moved away by logrotate are noticed and opened anew. A log
that cannot be written never ends a daemon: syslog takes over, and is told why; nor does one that hangs keep it from
anything: `log_queue`.
"""

import atexit
import logging
import logging.config
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import SysLogHandler, WatchedFileHandler
from pathlib import Path
from typing import IO

from mmm.config.model import LogFile
from mmm.process.log_queue import Queued, queued
from mmm.process.read_only import reason

LOG_DIR = Path("/var/log/mysql-mmm")
LINE = "%(asctime)s %(levelname)s %(message)s"
TIME = "%Y/%m/%d %H:%M:%S"

LAST_LINES = 1.0
"""Seconds that a process which ends waits for its last lines to be written."""

_SYSLOG = Path("/dev/log")
_LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "NOTICE": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "TRAP": logging.CRITICAL,
}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

log = logging.getLogger(__name__)


class LogError(Exception):
    """Nothing can be logged anywhere; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class LogSetup:
    """What is logged where: `name` is the program's with its cluster, `stdout` that of a foreground run."""

    name: str
    replacement: Path
    """The YAML document that replaces the set-up if it exists."""
    blocks: tuple[LogFile, ...] = ()
    stdout: bool = False
    debug: bool = False
    log_dir: Path = LOG_DIR


class _LineFormatter(logging.Formatter):
    """One line a message, whatever a peer put into it; only a traceback adds lines."""

    def __init__(self) -> None:
        super().__init__(LINE, TIME)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        record.message = _CONTROL.sub(lambda match: repr(match[0])[1:-1], record.message)
        return super().formatMessage(record)


class _LogFile(WatchedFileHandler):
    """A file that may be moved away, removed with its folder, or full, without harm to the program.

    With `takes_stderr` the process' stderr goes to the same file, through every rotation, so
    that what libraries and the interpreter print there is not lost in a daemon.
    """

    def __init__(self, path: Path, level: int, *, takes_stderr: bool) -> None:
        self.takes_stderr = takes_stderr
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # To open a fifo is to wait for its reader: that is for the thread that writes.
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=path.is_fifo())
        self.setLevel(level)
        self.setFormatter(_LineFormatter())

    def _open(self) -> IO[str]:  # type: ignore[override]
        Path(self.baseFilename).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        stream = super()._open()
        if self.takes_stderr:
            os.dup2(stream.fileno(), 2)
        return stream

    def reopenIfNeeded(self) -> None:  # noqa: N802 - the library's name
        """Let go of a file that was moved away or removed, also where what it still had cannot be written."""
        try:
            super().reopenIfNeeded()
        except OSError:
            stream, self.stream = self.stream, None
            if stream is not None:
                with suppress(OSError):
                    stream.close()  # it tries to write once more

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)


def set_up(setup: LogSetup) -> tuple[str, ...]:
    """Make `setup` the logging of this process; returns warnings to be logged and shown.

    Raises LogError if neither the files, nor syslog, nor stdout take a line.
    """
    name_levels()
    logging.captureWarnings(capture=True)
    atexit.unregister(logging.shutdown)  # it would wait for a log that hangs
    atexit.register(shut_down)
    warnings = _set_up(setup)
    _queue()
    return warnings


def name_levels() -> None:
    """Have the levels of this process named as lines of MMM have them."""
    for level, name in ((logging.WARNING, "WARN"), (logging.CRITICAL, "FATAL")):
        logging.addLevelName(level, name)


def _set_up(setup: LogSetup) -> tuple[str, ...]:
    if setup.replacement.exists():
        problem = _replace(setup.replacement)
        if problem is None:
            _add_stdout(setup)
            _lend_stderr(setup)
            return ()
        return (f"{problem}; the default logging is used", *_default(setup))
    return _default(setup)


def reopen() -> None:
    """Open every log file anew with the next line."""
    for handler in queued():
        handler.reopen()


def shut_down() -> None:
    """Have all lines written and the files closed, as far as that is done within LAST_LINES seconds."""
    if all(handler.drain(LAST_LINES) for handler in queued()):
        logging.shutdown()


def _queue() -> None:
    """Have a thread write what the loggers have handlers for."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and logger.handlers:
            handlers = logger.handlers[:]
            for handler in handlers:
                logger.removeHandler(handler)
            logger.addHandler(Queued(handlers))


def catch_strays() -> None:
    """Log, with its traceback, whatever is raised where nobody catches it."""
    sys.excepthook = lambda kind, error, trace: log.critical(
        "ended by an internal error", exc_info=(kind, error, trace)
    )
    threading.excepthook = lambda stray: log.error(
        "thread %s ended by an internal error",
        stray.thread.name if stray.thread else "?",
        exc_info=stray.exc_value,
    )
    sys.unraisablehook = lambda stray: log.error(
        "%s %r", stray.err_msg or "error ignored in", stray.object, exc_info=stray.exc_value
    )


def _default(setup: LogSetup) -> tuple[str, ...]:
    warnings: list[str] = []
    handlers: list[logging.Handler] = []
    for path, level in _files(setup, warnings):
        try:
            handlers.append(_LogFile(path, level, takes_stderr=not (setup.stdout or handlers)))
        except OSError as error:
            warnings.append(f"cannot log to {path}: {reason(error, path)}")
    if warnings and not handlers:
        handlers += _syslog(setup, warnings)
    _only(handlers)
    logging.root.setLevel(
        logging.DEBUG if setup.debug else min([h.level for h in handlers], default=logging.INFO)
    )
    _add_stdout(setup)
    if not logging.root.handlers:
        raise LogError("; ".join(warnings))
    return tuple(warnings)


def _files(setup: LogSetup, warnings: list[str]) -> Iterable[tuple[Path, int]]:
    if not setup.blocks:
        yield setup.log_dir / f"{setup.name}.log", logging.INFO
    for block in setup.blocks:
        level = _LEVELS.get(block.level.upper())
        if level is None:
            warnings.append(
                f"log {block.name}: level {block.level!r} is not one of {', '.join(_LEVELS)}: INFO is used"
            )
        yield setup.log_dir / block.file, level or logging.INFO


def _syslog(setup: LogSetup, warnings: list[str]) -> list[logging.Handler]:
    if not _SYSLOG.is_socket():
        warnings.append("nor to syslog, which does not run; make the log folder writable")
        return []
    handler = SysLogHandler(str(_SYSLOG), facility=SysLogHandler.LOG_DAEMON)
    handler.ident = f"{setup.name}[{os.getpid()}]: "
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    warnings.append("logging to syslog instead")
    return [handler]


def _add_stdout(setup: LogSetup) -> None:
    if not setup.stdout:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setLevel(logging.DEBUG if setup.debug else logging.INFO)
    handler.setFormatter(_LineFormatter())
    logging.root.addHandler(handler)
    logging.root.setLevel(min(logging.root.level, handler.level))


def _lend_stderr(setup: LogSetup) -> None:
    files = [handler for handler in logging.root.handlers if isinstance(handler, logging.FileHandler)]
    if files and files[0].stream and not setup.stdout:
        os.dup2(files[0].stream.fileno(), 2)


def _only(handlers: Iterable[logging.Handler]) -> None:
    for old in logging.root.handlers[:]:
        logging.root.removeHandler(old)
        old.close()
    for new in handlers:
        logging.root.addHandler(new)


def replacement_problem(path: Path) -> str:
    """Return why the file that replaces the set-up of logging is not used, empty when it is or is not there."""
    document = _document(path) if path.exists() else {}
    if not isinstance(document, str):
        return ""
    return f"{document}; logs go to {LOG_DIR} as without it, and no mail is sent"


def _document(path: Path) -> Mapping[str, object] | str:
    """Return what the YAML document says, or what is wrong with it."""
    import yaml  # noqa: PLC0415 - only those who have such a file pay for it

    try:
        if path.stat().st_mode & 0o002:
            return f"{path} is world-writable and was not read: chmod o-w it"
        text = path.read_text("utf-8")
        if re.search(r"(?m)^\s*log4perl\.", text):
            return f"{path} is a Log4perl file, which has no effect: rewrite it as YAML, or remove it"
        document = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        return f"{path} is no YAML document: {_first_line(error)} (a Log4perl file must be rewritten as YAML)"
    if not isinstance(document, Mapping):
        return f"{path} is no YAML mapping for logging.config.dictConfig (a Log4perl file must be rewritten)"
    return document


def _replace(path: Path) -> str | None:
    """Configure logging by the YAML document; returns what is wrong with it, None if all is well."""
    document = _document(path)
    if isinstance(document, str):
        return document
    _only(())
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **document})
    except Exception as error:  # noqa: BLE001 - it may name any class of any module
        return f"{path} is refused by logging.config.dictConfig: {_first_line(error.__cause__ or error)}"
    return None


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
