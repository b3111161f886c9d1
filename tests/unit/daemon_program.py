"""A daemon for tests: `daemon_program.py FOLDER BEHAVIOUR [--foreground] [--debug] [@CLUSTER] [KEY=VALUE…]`.

It says `PID` on the FIFO `FOLDER/events` whenever its worker begins, and then behaves as told.
"""

import ctypes
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mmm.clock import clock
from mmm.config.model import LogFile
from mmm.process.beside import Beside
from mmm.process.log_queue import queued
from mmm.process.manager import started_by
from mmm.process.restart import Policy
from mmm.process.service import Limits, Service, serve
from mmm.process.watchdog import GRACE, NONE, Ward

folder, behaviour, *options = Path(sys.argv[1]), *sys.argv[2:]
given = dict(option.split("=") for option in options if "=" in option)
log = logging.getLogger("test")
LAST = 60.0
"""Seconds that a line may take to its file where the option `written` asks for that."""


def worker(ready: Callable[[], None]) -> int:
    if behaviour.startswith("unready"):
        log.critical("cannot listen, on purpose")
        return int(behaviour.partition(":")[2])
    ready()
    with (folder / "events").open("w") as events:
        print(os.getpid(), file=events)
    match behaviour.split(":"):
        case ["wait"]:
            signal.pause()
        case ["ignore-term"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        case ["due", then]:
            return be_late(then)
        case ["exit", status]:
            return int(status)
        case ["raise"]:
            raise ValueError("wrong on purpose")
        case ["crash"]:
            ctypes.string_at(0)
        case ["stderr"]:
            os.write(2, b"said by a library\n")
            signal.pause()
        case ["log"]:
            log_all()
        case ["log-at-usr1"]:
            log_at_usr1()
    return 0


def be_late(then: str) -> int:
    ward.set(clock())
    if then == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif then == "settled":
        ward.set(NONE)
        signal.sigtimedwait({signal.SIGUSR1}, 3 * GRACE)
        (folder / "waited").touch()
        return 0
    return 1


def act(_due: object) -> bool:
    """Say 0 on the FIFO, or -1 where it fails: the first time, if it is to."""
    fails = "act-fails" in options and not (folder / "acted").exists()
    (folder / "acted").touch()
    with (folder / "events").open("w") as events:
        print(-1 if fails else 0, file=events)
    return not fails


ward = Ward(act)


def log_all() -> None:
    log.debug("a debug line")
    log.info("an info line")
    log.warning("a warn line\nforged 2026/11/21 \x1b[31m")
    log.error("an error line")
    log.critical("a fatal line")
    warnings.warn("an old function", stacklevel=1)


def log_at_usr1() -> NoReturn:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    number = 0
    while True:
        number += 1
        signal.sigwait({signal.SIGUSR1})
        log.info("line %d", number)
        if "written" in options:
            assert all(handler.drain(LAST) for handler in queued())
        with (folder / "events").open("w") as events:
            print(number, file=events)


def blocks() -> tuple[LogFile, ...]:
    if "block" not in given:
        return ()
    file, level = given["block"].split(",")
    return (LogFile("main", file, level),)


sys.exit(
    serve(
        Service(
            "mmm_testd",
            next((option[1:] for option in options if option.startswith("@")), None),
            Path(given.get("pid_path", folder / "mmm_testd.pid")),
            "--foreground" in options,
            "--debug" in options,
            folder,
            blocks(),
            folder / "log",
            limits=Limits(
                lock=float(given.get("lock", 5)),
                stop=float(given.get("stop", 20)),
                keep=float(given.get("keep", 5)),
                restart=Policy(failures=int(given.get("failures", 10)), delay=float(given.get("delay", 10))),
            ),
            manager=started_by(),
        ),
        worker,
        Beside(ward),
    )
)
