"""The main job of MMM shown in a minute: a writer dies, is cut off, and moves, and a client goes on writing.

Run by `make demo`. Everything is real: servers, daemons, addresses, a client that writes a row every 2 ms.
"""

import os
import sys
import time
from dataclasses import dataclass

from mmm.sandbox.apart import come_apart
from mmm.sandbox.cluster import Sandbox, directory
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.rejoin import rejoin
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.health import catch_up, settle
from mmm.sandbox.witness.probe_run import Outage, Probe, Report

_LIMIT = 40.0
_SAVED = "/var/lib/mysql-mmm/saved"


@dataclass(frozen=True, slots=True)
class _Row:
    event: str
    outage: Outage


class _Screen:
    """Prints: in colour on a terminal, plain in a pipe."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Print what happens next."""
        print(
            f"\n{self._in(f'[{time.monotonic() - self._began:5.1f} s]', '2')} {self._in(text, '1;36')}",
            flush=True,
        )

    def said(self, text: str) -> None:
        """Print what a program said, as a shell would show it."""
        print("".join(f"    {line}\n" for line in text.rstrip("\n").split("\n")), end="", flush=True)

    def show(self, sandbox: Sandbox) -> None:
        """Print `mmm_control show`, hosts in the colour of their state."""
        self.said(self._in("$ mmm_control show", "2"))
        for line in sandbox.control("show").stdout.rstrip("\n").split("\n"):
            self.said(self._in(line, "32" if "/ONLINE." in line else "31" if "OFFLINE" in line else "33"))

    def good(self, text: str) -> None:
        """Print a result."""
        self.said(self._in(text, "1;32"))

    def _in(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def main() -> int:
    """Run the demo; returns 0 when the client went on after everything, 1 otherwise."""
    screen = _Screen()
    name = f"demo{os.getpid()}"
    try:
        screen.step("Two masters, a slave, a monitor and a client, each in its own network namespace")
        sandbox = up(name, conf=fast(Conf(monitor={"failover_block": 0})), say=screen.said)
        try:
            report, rows = _story(sandbox, screen)
        finally:
            down(name)
    except SandboxError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    _table(report, rows)
    left = Sandbox(name).directory.exists()
    gone = f"is gone; {directory() / '.templates'}, an empty database, stays for the next one"
    print(f"\nThe sandbox {'could not be removed' if left else gone}.")
    return 1 if report.doubled or left else 0


def _story(sandbox: Sandbox, screen: _Screen) -> tuple[Report, list[_Row]]:
    rows: list[_Row] = []
    settle(sandbox, _LIMIT)
    screen.show(sandbox)
    screen.step(f"The client writes a row every 2 ms to the writer's address {sandbox.layout.writer_ip}")
    with Probe(sandbox) as probe:
        probe.wait_writes(_LIMIT, 500)
        screen.good(f"{probe.acknowledged} rows acknowledged")
        rows.append(_fault(sandbox, screen, probe, "kill-mysqld", "kill -9 of the writer's server"))
        _back(sandbox, screen, probe, "Its server is started again; it comes back by itself, as a standby")
        rows.append(_fault(sandbox, screen, probe, "cut", "the writer's host is cut off from the network"))
        _back(sandbox, screen, probe, "The cable is back: the host gives up what others have taken over")
        rows.append(_move(sandbox, screen, probe))
        probe.wait_writes(_LIMIT, 500)
    return probe.report, rows


def _fault(sandbox: Sandbox, screen: _Screen, probe: Probe, fault: str, event: str) -> _Row:
    host = _writer(sandbox)
    number = len(_writes(probe)) + 1
    screen.step(f"{event[0].upper()}{event[1:]} ({host})")
    screen.said(inject(sandbox, fault, host))
    if fault == "cut":
        sql.execute(sandbox.machine(host), [f"INSERT INTO {TICK_TABLE} () VALUES ()"] * 3)  # noqa: S608
        screen.said(f"A job on {host} itself writes 3 rows more, which nobody gets")
    outage = probe.wait_outage(_LIMIT, number)
    sandbox.wait_states(_LIMIT, **{host: "HARD_OFFLINE"})
    screen.good(f"writes go on after {outage.ms:.0f} ms: {outage.before} -> {outage.after}")
    screen.show(sandbox)
    return _Row(f"{event} ({host})", outage)


def _back(sandbox: Sandbox, screen: _Screen, probe: Probe, text: str) -> None:
    screen.step(text)
    heal(sandbox, screen.said)
    apart = come_apart(sandbox)
    for host, extra in apart.items():
        _rejoin(sandbox, screen, host, extra)
    sandbox.bring_online(limit=_LIMIT, force=False)
    settle(sandbox, _LIMIT)
    catch_up(sandbox, _LIMIT)
    probe.wait_writes(_LIMIT, 100)
    sandbox.wait_until(
        lambda: not sandbox.warns("being_rebuilt"), _LIMIT, "the monitor hears that the rebuild has ended"
    )
    screen.show(sandbox)


def _rejoin(sandbox: Sandbox, screen: _Screen, host: str, extra: str) -> None:
    """Bring back a host that has what nobody else has: that is saved first."""
    screen.said(f"{host} has {extra}, which the new writer did not get, so it is not used")
    screen.said(f"{host}$ mmm_rejoin")
    screen.said(rejoin(sandbox, host))
    saved = max(sandbox.machine(host).path(_SAVED).iterdir())
    screen.said(f"{host}$ cat {_SAVED}/{saved.name}/summary.txt")
    screen.said((saved / "summary.txt").read_text())


def _move(sandbox: Sandbox, screen: _Screen, probe: Probe) -> _Row:
    source = _writer(sandbox)
    target = next(name for name in sandbox.layout.masters if name != source)
    number = len(_writes(probe)) + 1
    screen.step(f"A planned move: the admin wants to work on {source}")
    screen.said(f"$ mmm_control move_role writer {target}")
    screen.said(sandbox.control("move_role", "writer", target).stdout)
    outage = probe.wait_outage(_LIMIT, number)
    screen.good(f"writes go on after {outage.ms:.0f} ms: {outage.before} -> {outage.after}")
    settle(sandbox, _LIMIT)
    screen.show(sandbox)
    return _Row(f"planned move from {source} to {target}", outage)


def _writer(sandbox: Sandbox) -> str:
    writer = sandbox.writer()
    if writer is None:
        raise SandboxError("nobody has the writer role")
    return writer


def _writes(probe: Probe) -> list[Outage]:
    return [outage for outage in probe.outages if outage.kind == "write"]


def _table(report: Report, rows: list[_Row]) -> None:
    width = max(len(row.event) for row in rows)
    print(f"\n{'what happened':<{width}}  {'no write for':>12}  writer")
    for row in rows:
        print(f"{row.event:<{width}}  {row.outage.ms:>9.0f} ms  {row.outage.before} -> {row.outage.after}")
    print(
        f"\nIn {report.seconds:.0f} s the client had {report.acknowledged} rows acknowledged; of these"
        f" {len(report.missing)} are missing and {len(report.doubled)} doubled."
    )
    print("A cluster to watch in a browser, left running: mmm_sandbox up --web; it says where its page is.")
    print("The same behind HAProxy, by hand: mmm_sandbox up --proxy haproxy, then mmm_sandbox probe --proxy.")
    print("(check_period, trap_period and timeout were 1 s; with the defaults of 5, 10 and 2 s a dead")
    print("server is noticed after 10 to 15 s.)")


if __name__ == "__main__":
    sys.exit(main())
