"""A daemon's life: to the background, one copy only, pid file, logs, and the worker under its angel.

`serve()` is called by the program that the admin started. In the background that program waits until the
worker runs, and exits with a status that says so. In the foreground (`--foreground` for supervisors, which
restart by themselves, or `debug 1`) there is no angel: the worker runs in the calling process. A service manager that
waits to hear when the daemon is ready (systemd's Type=notify) gets the angel in the foreground, and its worker.
"""

import logging
import mmap
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon import DaemonContext

from mmm import __version__
from mmm.config.model import LogFile
from mmm.process.angel import HANDLERS, SIGNALS, run, supervise
from mmm.process.beside import Beside
from mmm.process.logs import LOG_DIR, LogError, LogSetup, catch_strays, set_up, shut_down
from mmm.process.manager import Manager
from mmm.process.pidfile import Keeper, StartError, claim, hold_lock, release
from mmm.process.restart import Policy

log = logging.getLogger(__name__)

Tell = Callable[[str], None]
Worker = Callable[[Callable[[], None]], int]
"""The daemon's work: calls what it is handed once it does what it was started for; returns its exit status."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited, in seconds, and how often the angel starts its worker again."""

    lock: float = 5.0
    """For the worker of an angel that was killed to end."""
    start: float = 30.0
    """For the daemon to tell that it runs."""
    stop: float = 20.0
    """For the worker to end when asked; then it is killed."""
    keep: float = 5.0
    """Until a pid file that has vanished is noticed."""
    restart: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Service:
    """A daemon: `program` is its name, `conf_dir` the folder of the conf file."""

    program: str
    cluster: str | None
    pid_path: Path
    foreground: bool
    debug: bool
    conf_dir: Path
    logs: tuple[LogFile, ...] = ()
    log_dir: Path = LOG_DIR
    limits: Limits = Limits()
    manager: Manager | None = None

    @property
    def name(self) -> str:
        """Return `mmm_mond_C1` for cluster C1, `mmm_mond` without."""
        return f"{self.program}_{self.cluster}" if self.cluster else self.program

    @property
    def in_foreground(self) -> bool:
        """Tell whether the daemon stays where it was started."""
        return self.foreground or self.debug

    @property
    def log_setup(self) -> LogSetup:
        """Return where the daemon logs; `mmm_mon_log_C1.conf` beside the conf replaces it."""
        suffix = f"_{self.cluster}" if self.cluster else ""
        replacement = self.conf_dir / f"{self.program.removesuffix('d')}_log{suffix}.conf"
        return LogSetup(self.name, replacement, self.logs, self.in_foreground, self.debug, self.log_dir)


def serve(service: Service, worker: Worker, beside: Beside | None = None) -> int:
    """Run `worker`, which returns its exit status and 0 at TERM; returns the program's exit status.

    `beside` is what the angel looks after; in the foreground there is no watchdog.
    In the background it returns as soon as the worker says that it is ready (0) or the daemon cannot start (1, after
    saying why on stderr; a worker that ends before takes the daemon with it); in the foreground when the worker has
    ended.
    """
    _fill_standard_streams()
    beside = beside or Beside()
    if not service.in_foreground:
        return _in_background(service, worker, beside)
    if service.manager and not service.debug:
        return _under_manager(service, worker, beside, service.manager)
    try:
        with _context(service, _say), beside.without_angel():
            return run(lambda: worker(_nothing))
    except StartError as error:
        _say(f"{service.program}: {error}")
        return 1


def _in_background(service: Service, worker: Worker, beside: Beside) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        reader, writer = os.pipe()
        child = os.fork()
    except OSError as error:
        _say(f"{service.program}: no process can be started: {error.strerror or error}")
        return 1
    if child == 0:
        status = 1
        try:
            os.close(reader)
            status = _daemon(service, worker, beside, writer)
        finally:
            shut_down()
            os._exit(status)
    os.close(writer)
    os.waitpid(child, 0)
    try:
        return _await_daemon(service, reader)
    finally:
        os.close(reader)


def _under_manager(service: Service, worker: Worker, beside: Beside, manager: Manager) -> int:
    """Return the exit status of the angel; runs in the process that the manager has started."""
    begun = _Begun()

    def ready() -> None:
        begun.running()
        manager.tell("READY=1")

    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with _context(service, _say):
            return _guarded(service, lambda: worker(ready), beside, begun)
    except StartError as error:
        _say(f"{service.program}: {error}")
    return 1


def _guarded(service: Service, worker: Callable[[], int], beside: Beside, begun: "_Begun") -> int:
    """Return the exit status of the angel, which this process is from now on."""
    duties = *beside.duties, Keeper(service.pid_path, service.limits.keep)
    return supervise(worker, service.limits.restart, service.limits.stop, begun.is_ready, duties)


def _daemon(service: Service, worker: Worker, beside: Beside, writer: int) -> int:
    """Return the exit status of the angel; runs in the child that becomes it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    tell = _Report(writer)

    def alone() -> int:
        with tell.what_is_fatal(service.program):
            return worker(tell.running)

    try:
        with _context(service, tell.warning, writer):
            status = _guarded(service, alone, beside, tell)
            if not tell.is_ready():
                tell.failure(f"ended before it was ready; see {service.log_dir / service.name}.log")
            return status
    except StartError as error:
        tell.failure(str(error))
    except Exception:
        log.critical("ended by an internal error", exc_info=True)
        tell.failure(traceback.format_exc())
    return 1


def _context(service: Service, tell: Tell, *keep: int) -> Any:
    """Return the DaemonContext of the daemon, `keep` stays open; entering it raises StartError.

    In the foreground the daemon stays with its terminal or supervisor, and in its folder.
    """
    stays: dict[str, Any] = {}
    if service.in_foreground:
        streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
        stays = {"detach_process": False, "prevent_core": False, "working_directory": ".", **streams}
    return DaemonContext(  # type: ignore[no-untyped-call]
        **{"detach_process": True, "umask": 0o022, "signal_map": HANDLERS, "files_preserve": list(keep)}
        | stays,
        pidfile=_one_copy(service, tell),
    )


@contextmanager
def _one_copy(service: Service, tell: Tell) -> Iterator[None]:
    """Hold lock, logs and pid file for as long as the daemon lives; raises StartError."""
    with hold_lock(service.pid_path, service.limits.lock):
        try:
            warnings = set_up(service.log_setup)
        except LogError as error:
            raise StartError(str(error)) from error
        catch_strays()
        stale = claim(service.pid_path, service.program)
        for warning in (*warnings, *([stale] if stale else [])):
            log.warning("%s", warning)
            tell(f"{service.program}: {warning}")
        log.info("%s %s started, pid %d", service.name, __version__, os.getpid())
        try:
            yield
        finally:
            log.info("%s stopped", service.name)
            release(service.pid_path)


class _Begun:
    """Whether a worker was ever ready, in memory that the angel and its worker have in common."""

    def __init__(self) -> None:
        self._ready = mmap.mmap(-1, 1)

    def running(self) -> None:
        """Take note that a worker is ready."""
        self._ready[0] = 1

    def is_ready(self) -> bool:
        """Tell whether a worker has said that it is ready."""
        return self._ready[0] == 1


class _Report(_Begun):
    """The daemon's end of the pipe to the program that started it; lines are `KIND text`."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor: int | None = descriptor

    def warning(self, text: str) -> None:
        """Have the starting program print `text`."""
        self._write(f"warning {text}")

    def failure(self, text: str) -> None:
        """Have the starting program print `text` and fail."""
        self._write(f"failure {text}")
        self.close()

    def running(self) -> None:
        """Have the starting program end well."""
        if not self.is_ready():
            self._write("running")
            super().running()
        self.close()

    def is_ready(self) -> bool:
        """Tell whether a worker has said that it is ready."""
        ready = super().is_ready()
        if ready:
            self.close()
        return ready

    @contextmanager
    def what_is_fatal(self, program: str) -> Iterator[None]:
        """Have the starting program print what is logged as FATAL before the worker is ready."""
        handler = _Fatal(program, self)
        logging.root.addHandler(handler)
        try:
            yield
        finally:
            logging.root.removeHandler(handler)

    def close(self) -> None:
        """Say no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _write(self, text: str) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # the one who started the daemon did not wait for it
                os.write(self._descriptor, text.replace("\n", "\r").encode(errors="backslashreplace") + b"\n")


class _Fatal(logging.Handler):
    """Passes on what keeps a worker from its work."""

    def __init__(self, program: str, report: _Report) -> None:
        super().__init__(logging.CRITICAL)
        self._program = program
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report.warning(f"{self._program}: {record.getMessage()}")


def _nothing() -> None:
    """Do nothing: in the foreground nobody waits."""


def _await_daemon(service: Service, reader: int) -> int:
    for kind, text in _reports(reader, service.limits.start):
        if kind == "running":
            return 0
        _say(text if kind == "warning" else f"{service.program}: {text}")
        if kind == "failure":
            return 1
    _say(
        f"{service.program}: did not tell within {service.limits.start:g} s that it runs; "
        f"see {service.log_dir / service.name}.log"
    )
    return 1


def _reports(reader: int, limit: float) -> Iterator[tuple[str, str]]:
    end = time.monotonic() + limit
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while selector.select(max(0.0, end - time.monotonic())):
            data = os.read(reader, 65536)
            if not data:
                return
            *lines, received = (received + data).split(b"\n")
            for line in lines:
                kind, _, text = line.decode(errors="replace").replace("\r", "\n").partition(" ")
                yield kind, text


def _fill_standard_streams() -> None:
    """Open what the caller closed, so that no other file gets the numbers 0, 1 and 2."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for good


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
