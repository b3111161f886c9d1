"""`mmm_sandbox chaos`: a sandbox that is up is used as it is; else one is made for it, and removed when all is well."""

import contextlib
import shlex
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.config.model import Via
from mmm.proving.chaos import history
from mmm.proving.chaos.checker import judge
from mmm.proving.chaos.history import History
from mmm.proving.chaos.plan import rounds
from mmm.proving.chaos.report import report
from mmm.proving.chaos.run import CONF, Run, reached
from mmm.sandbox.cluster import Sandbox, Say, directory
from mmm.sandbox.machines.conf import by_itself
from mmm.sandbox.machines.vip_script import write_program
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.health import settle

_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How long a run is wanted: at least that many seconds and faults."""

    seed: int
    seconds: float
    faults: int = 0
    server: str = "mariadb"
    monitors: int = 1
    via: Via = "arp"
    """How clients reach the writer."""
    witness: bool = False
    """In place of the slave, so that an odd number of voters is left."""
    auto_rejoin: bool = False
    """Hosts are rebuilt by the monitor, and none may need hands."""
    keep: Path | None = None
    """Where to keep the history."""

    @property
    def command(self) -> str:
        """Return the command that does the same faults again."""
        words = ["mmm_sandbox", "chaos", "--seed", str(self.seed), "--seconds", f"{self.seconds:g}"]
        words += ["--faults", str(self.faults)] * bool(self.faults)
        words += ["--monitors", str(self.monitors)] * (self.monitors > 1)
        words += ["--via", self.via] * (self.via != "arp")
        words += ["--witness"] * self.witness
        words += ["--auto-rejoin"] * self.auto_rejoin
        words += ["--server", self.server] * (self.server != "mariadb")
        return shlex.join(words)


def chaos(name: str, wanted: Wanted, say: Say) -> int:
    """Do a run and say what came of it; returns the exit status, 1 where a promise was broken. Raises SandboxError."""
    own = not Sandbox(name).mark.is_file()
    slaves = 0 if wanted.witness else CONF.slaves
    machines = replace(CONF, monitors=wanted.monitors, witnesses=int(wanted.witness), slaves=slaves)
    program = directory() / ".vip-script"
    if wanted.via == "script":
        write_program(program)
    conf = reached(machines, wanted.via, program)
    conf = by_itself(conf) if wanted.auto_rejoin else conf
    sandbox = up(name, conf=conf, server=wanted.server, say=say) if own else Sandbox.attach(name)
    layout = sandbox.layout
    settle(sandbox, _LIMIT)
    say(f"again: {wanted.command}")
    about = {"seed": wanted.seed, "server": sandbox.server.version, "command": wanted.command}
    alone = wanted.auto_rejoin
    with _interrupted() as interrupted:
        found = Run(sandbox, {**about, "auto_rejoin": alone}, say, by_itself=alone).go(
            rounds(wanted.seed, len(layout.monitors), witness=bool(layout.cluster.witnesses)),
            lambda run: (
                interrupted.is_set() or (run.seconds >= wanted.seconds and run.faults >= wanted.faults)
            ),
        )
    kept = wanted.keep or sandbox.directory / "chaos/history"
    history.write(found, kept)
    status = judged(found, say)
    if status:
        say(f"the cluster is left for a look: mmm_sandbox --name {name} status; history: {kept}")
    elif own:
        down(name)
    return status


@contextlib.contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Give what the first SIGINT or SIGTERM sets: it ends the run after its round, a second one the program."""
    over = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: object) -> None:
        over.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield over
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def judged(found: History, say: Say) -> int:
    """Judge a history and say so; returns the exit status."""
    verdict = judge(found)
    say(report(found, verdict))
    return 0 if verdict.clean else 1
