"""What makes a program a daemon, and what it is there for."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmm.config.model import Cluster
from mmm.config.names import Program

if TYPE_CHECKING:  # who asks for the conf alone does without
    from mmm.process.beside import Beside
    from mmm.process.conf_file import ConfFile
    from mmm.process.inspection import Inspect


@dataclass(frozen=True, slots=True)
class Duties:
    """What a daemon is there for: its work, which returns an exit status.

    Its angel looks after what `beside` makes of the conf. The work is handed both, and what to call once it serves;
    it may take another conf.
    `inspect` says what the conf means on this machine; `ask` what other machines say to it, which `--check`
    alone looks at: a start must not wait for them. `doctor` looks further, prints what it finds and returns an
    exit status.
    """

    work: "Callable[[ConfFile, Beside, Callable[[], None]], Coroutine[Any, Any, int]]"
    beside: "Callable[[ConfFile], Beside]"
    inspect: "Inspect"
    doctor: Callable[[Cluster], int]
    ask: "Inspect | None" = None


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
    completed: Callable[[Cluster], Cluster] = lambda conf: conf
    """Returns a conf with what it says nothing of, and this machine knows."""
