"""The probe as a caller steers it: started on the client's machine, watched, stopped, its rows checked.

with Probe(sandbox) as probe:
    inject(sandbox, "kill-mysqld", "db1")
    outage = probe.wait_outage(20)
report = probe.report
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from mmm.control.proxies.plan import READ, WRITE
from mmm.own_module import own_module
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.data import PROBE_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.witness.probe_client import Plan

Event = Mapping[str, Any]
_START_LIMIT = 20.0
_STOP_LIMIT = 30.0
_NAP = 0.01
_HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without an answer, from the last success to the next: `since` is monotonic."""

    kind: str
    """"write" or "read"."""
    vip: str
    since: float
    ms: float
    before: str
    after: str
    errors: Mapping[str, int]
    """How often the client got which error."""

    def __str__(self) -> str:
        move = f"{self.before} -> {self.after}" if self.before != self.after else f"{self.after} again"
        return f"{self.kind} {self.vip}: {self.ms:.0f} ms, {move}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What one host has of the run: acknowledged rows that are not there, and rows that are there twice."""

    missing: tuple[int, ...]
    doubled: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run; `hosts` holds every host whose server answers, `writer` is the current one."""

    run: str
    seconds: float
    acknowledged: int
    unknown: int
    """Rows whose outcome the client was never told: they may be there or not."""
    refused: int
    outages: tuple[Outage, ...]
    stalls: int
    writer: str | None
    hosts: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[int, ...]:
        """Return the acknowledged rows that the current writer lacks."""
        return self.hosts[self.writer].missing if self.writer and self.writer in self.hosts else ()

    @property
    def doubled(self) -> tuple[int, ...]:
        """Return the rows that are doubled on any host."""
        return tuple(sorted({number for rows in self.hosts.values() for number in rows.doubled}))

    @property
    def writes(self) -> tuple[Outage, ...]:
        """Return the outages of the writer's VIP."""
        return tuple(outage for outage in self.outages if outage.kind == "write")

    def json(self) -> str:
        """Return the report as JSON."""
        return json.dumps({**asdict(self), "missing": self.missing, "doubled": self.doubled}, indent=2)


class Probe:
    """A client that writes and reads from `with` to its end; then `report` is there. Raises SandboxError.

    With `proxy` through the one on its machine, else through the VIPs.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        told: Callable[[Event], None] = lambda _: None,
        readers: bool = True,
        proxy: bool = False,
        **plan: float,
    ) -> None:
        layout = sandbox.layout
        port = layout.hosts[layout.masters[0]].mysql_port
        where = (layout.writer_ip, layout.reader_ips, port, 0)
        if proxy:
            where = (_HERE, (_HERE,), WRITE, READ)
        self.run = f"{os.getpid():x}{time.time_ns() // 1000000:x}"[-20:]
        writer, reads, write_port, read_port = where
        self.plan = Plan(self.run, writer, reads if readers else (), write_port, read_port, **plan)
        self.events: list[Event] = []
        self.sandbox, self._told = sandbox, told
        self._child: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self._report: Report | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._report = self.stop()
        else:
            self._end()

    @property
    def report(self) -> Report:
        """Return the report of the run that is over."""
        if self._report is None:
            raise SandboxError("the probe has not ended yet")
        return self._report

    @property
    def acknowledged(self) -> int:
        """Return how many rows were acknowledged so far, a tenth of a second ago."""
        return next(
            (int(event["acknowledged"]) for event in reversed(self.events) if event["event"] == "tick"), 0
        )

    @property
    def outages(self) -> tuple[Outage, ...]:
        """Return the outages that are over so far."""
        return tuple(map(_outage, [event for event in self.events if event["event"] == "back"]))

    def start(self) -> None:
        """Start writing; returns when the first row is acknowledged. Raises SandboxError."""
        argv = self.sandbox.client.enter(own_module("mmm.sandbox.witness.probe_client", self.plan.text()))
        self._child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, args=(self._child,), daemon=True)
        self._listener.start()
        self._began = time.monotonic()
        while not any(event["event"] == "begin" for event in self.events):
            ended = self._child.poll() is not None
            if ended or time.monotonic() - self._began > _START_LIMIT:
                self._end()
                told = self._child.stderr.read().strip() if ended and self._child.stderr else ""
                raise SandboxError(
                    f"no row can be written to {self.plan.writer}: {told or 'nobody takes it'}"
                )
            time.sleep(_NAP)

    def wait_writes(self, limit: float, rows: int = 20) -> float:
        """Wait until that many more rows are acknowledged; returns the seconds; raises NotInTimeError."""
        wanted = self.acknowledged + rows
        return self.sandbox.wait_until(lambda: self.acknowledged >= wanted, limit, "the client writes")

    def wait_outage(self, limit: float, number: int = 1) -> Outage:
        """Wait until the `number`th outage of writes is over and return it; raises NotInTimeError."""
        what = f"outage {number} of the writer's VIP is over (so far: {'; '.join(map(str, self.outages)) or 'none'})"
        self.sandbox.wait_until(lambda: len(self._writes()) >= number, limit, what)
        return self._writes()[number - 1]

    def wait_move(self, limit: float, number: int = 1) -> Outage:
        """Wait until the `number`th outage is over after which another host takes writes, and return it.

        A host that has answered late, and goes on, does not count. Raises NotInTimeError.
        """
        so_far = "; ".join(map(str, self.outages)) or "none"
        what = f"writes have gone to another host {number} times (outages so far: {so_far})"
        self.sandbox.wait_until(lambda: len(self._moves()) >= number, limit, what)
        return self._moves()[number - 1]

    def stop(self, catch_up: float = 10.0) -> Report:
        """Stop and return the report; replicas get `catch_up` seconds to have all rows. Raises SandboxError."""
        seconds = time.monotonic() - self._began
        self._end()
        end = next((event for event in reversed(self.events) if event["event"] == "end"), None)
        if end is None:
            raise SandboxError(
                "the probe ended without its last word: was the client's machine switched off?"
            )
        open_ended = {*end["unknown"], *end["refused"]}
        acknowledged = frozenset(range(1, int(end["last"]) + 1)) - open_ended
        writer = self.sandbox.writer()
        return Report(
            self.run, round(seconds, 3), len(acknowledged), len(end["unknown"]), len(end["refused"]),
            self.outages, sum(event["event"] == "stall" for event in self.events), writer,
            self._rows(acknowledged, writer, catch_up),
        )  # fmt: skip

    def _writes(self) -> Sequence[Outage]:
        return [outage for outage in self.outages if outage.kind == "write"]

    def _moves(self) -> Sequence[Outage]:
        return [outage for outage in self._writes() if outage.before != outage.after]

    def _listen(self, child: "subprocess.Popen[str]") -> None:
        for line in child.stdout or ():
            event = json.loads(line)
            self.events.append(event)
            self._told(event)

    def _end(self) -> None:
        if self._child is None:
            return
        # The child of nsenter is the probe itself; nsenter ends with it.
        for process in self.sandbox.client.processes():
            if self.plan.text() in process.argv:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
        try:
            self._child.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._child.kill()
        if self._listener is not None:
            self._listener.join(_STOP_LIMIT)

    def _rows(self, acknowledged: frozenset[int], writer: str | None, catch_up: float) -> dict[str, Rows]:
        """Return what each host has, once it has as much as the writer, or when the time is over."""
        deadline = time.monotonic() + catch_up
        hosts = [writer] if writer else []
        hosts += [name for name in self.sandbox.hosts if name != writer]
        found: dict[str, Rows] = {}
        for name in hosts:
            while True:
                rows = self._seen(name, acknowledged)
                if rows is not None:
                    found[name] = rows
                expected = found[writer].missing if writer in found else ()
                if rows is None or name == writer or rows.missing == expected or time.monotonic() > deadline:
                    break
                time.sleep(_NAP)
        return found

    def _seen(self, name: str, acknowledged: frozenset[int]) -> Rows | None:
        statement = f"SELECT n, COUNT(*) AS times FROM {PROBE_TABLE} WHERE run = '{self.run}' GROUP BY n"  # noqa: S608
        try:
            seen = Counter({row["n"]: row["times"] for row in self.sandbox.sql(name, statement)})
        except (sql.SqlError, SandboxError, OSError):
            return None
        missing = tuple(sorted(acknowledged - set(seen)))
        return Rows(missing, tuple(sorted(number for number, times in seen.items() if times > 1)))


def _outage(event: Event) -> Outage:
    return Outage(
        event["kind"],
        event["vip"],
        event["since"],
        event["ms"],
        event["before"],
        event["after"],
        event["errors"],
    )
