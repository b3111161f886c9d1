"""How long a rebuild takes beside the bare programs, what the donor's writers feel, and how much memory it takes.

python -m bench.rejoin [--gigabytes N] [--runs N] [--json FILE]

*Bare* is `mariadb-backup --backup | mbstream -x` and `--prepare`, on the donor's machine, in turn with `mmm_rejoin` in
the same cluster. The copy comes from the active master, into which a client writes a row every 5 ms meanwhile; a slave,
which gives it otherwise, feels the same.

Time is measured first with both hosts on the machine's one disk: then the donor's writes wait for what the copy writes,
too, which no donor with a disk of its own does. What its writers feel is measured afterwards, as if each host had its
own disk and processor: what is copied is in memory (tmpfs), all that runs on the donor's machine has one core, all else
another one, and the client that writes runs as soon as it can.
"""

import argparse
import json
import os
import re
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.tables import Table, write_json
from bench.usage import memory, programs
from mmm.mysql.backup import mariadb_backup
from mmm.mysql.server.login import tools_at
from mmm.own_module import own_module
from mmm.process.job_files import FOLDER, PROGRESS
from mmm.proving.chaos.run import prepare
from mmm.proving.vip_clients import Plan, Started
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.machines.processes import Process
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.rejoin import rejoin
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up

_NAME = "bench_rejoin"
_LIMIT = 600.0
_GIGABYTE = 1_000_000_000
_ROW = 1000
_AIM, _LONGEST = 1.2, 50.0
_FREE = 64 << 20
"""Bytes of memory that are left besides three times the data: as they are, the copy, and the one before."""
_STEP = re.compile(r"INFO db2: (?P<step>[^:]+): done, (?P<ms>\d+) ms")
_WAITED = re.compile(r"sent the copy to .* commits waited (?P<ms>\d+) ms")
_INTO, _MEMORY = "/var/lib/mysql-mmm/bare", "/run/bench-data"
_AT_ONCE = ("chrt", "--fifo", "10")
"""What has the client wait for no processor: it is to measure the server's work alone."""
_TOOL, _SENDER = "mmm_rejoin", "mmm.agent.stream.serve"


@dataclass
class Felt:
    """What a client of the donor and its memory came to: writes in ms, memory in bytes."""

    writes: list[float] = field(default_factory=list)
    by_step: dict[str, float] = field(default_factory=dict)
    """The longest write that ended in a step, by what the job's progress calls it."""
    tool: int = 0
    sender: int = 0


@dataclass
class Rebuilt:
    """One rebuild."""

    seconds: float
    steps: dict[str, float]
    """In seconds, by what the log calls them."""
    waited: int
    """Milliseconds for which the donor's commits waited for the copy, by the sender's word."""
    felt: Felt


class Writer:
    """A client that writes into the donor from `with` to its end."""

    def __init__(self, sandbox: Sandbox, felt: Felt, step: Callable[[], str] = str) -> None:
        """`step` returns what is done at the moment."""
        layout = sandbox.layout
        plan = Plan("bench", layout.writer_ip, layout.hosts[layout.masters[0]].mysql_port)
        argv = [*_AT_ONCE, *sandbox.client.enter(own_module("mmm.proving.chaos.client", plan.text()))]
        self._started, self._felt, self._step = Started(argv, self._take), felt, step

    def _take(self, line: str) -> None:
        _, sent, answered, *_ = json.loads(line)
        took, step = 1000 * (answered - sent), self._step()
        self._felt.writes.append(took)
        self._felt.by_step[step] = max(took, self._felt.by_step.get(step, 0.0))

    def __enter__(self) -> Self:
        self._started.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.__exit__(kind, error, trace)


@contextmanager
def weighed(tool: Machine, donor: Machine, felt: Felt) -> Iterator[None]:
    """Note the most memory that the tool and the sender have until the block ends."""
    over = threading.Event()

    def weigh() -> None:
        tools, senders = list[Process](), list[Process]()
        while not over.wait(0.5):
            tools, senders = tools or programs(tool, _TOOL), senders or programs(donor, _SENDER)
            felt.tool = max(felt.tool, sum(map(memory, tools)))
            felt.sender = max(felt.sender, sum(map(memory, senders)))

    thread = threading.Thread(target=weigh)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def fill(sandbox: Sandbox, size: float) -> int:
    """Give the writer a table of so many bytes, which nobody else gets; returns the bytes of its files."""
    rows = int(size / _ROW)
    pad = f"CONCAT(RANDOM_BYTES({_ROW // 4}), REPEAT('x', {3 * _ROW // 4}))"
    sql.execute(
        sandbox.machine("db1"),
        [
            "SET SESSION sql_log_bin=0",
            "CREATE DATABASE IF NOT EXISTS bench",
            "USE bench",
            f"CREATE TABLE bench.fill (id INT PRIMARY KEY, pad VARBINARY({_ROW}))",
            f"INSERT INTO bench.fill SELECT seq, {pad} FROM seq_1_to_{rows}",  # noqa: S608
        ],
        limit=_LIMIT,
    )
    return (_datadir(sandbox, "db1") / "bench/fill.ibd").stat().st_size


def apart(sandbox: Sandbox, size: int) -> None:
    """Put the recipient's data, and what the bare programs copy, into memory: like on a disk of their own."""
    room = f"size={3 * size + _FREE}"
    host, donor = sandbox.machine("db2"), sandbox.machine("db1")
    donor.run(["mkdir", "-p", _INTO])
    donor.run(["mount", "-t", "tmpfs", "-o", room, "none", _INTO])
    folder = str(Path(DATADIR).parent)
    sandbox.ask("set_offline db2")
    host.run(["/etc/init.d/mysql", "stop"], limit=_LIMIT)
    for argv in (
        ["mkdir", "-p", _MEMORY],
        ["mount", "-t", "tmpfs", "-o", room, "none", _MEMORY],
        ["cp", "-a", f"{folder}/.", f"{_MEMORY}/"],
        ["mount", "--bind", _MEMORY, folder],
    ):
        host.run(argv, limit=_LIMIT)
    sandbox.start_server("db2")
    sandbox.bring_online(force=False)


def divide(sandbox: Sandbox) -> list[str]:
    """Give the donor's machine one core and all others another; returns what a program there is to be started by.

    Nothing is divided where there is one core alone.
    """
    cores = sorted(os.sched_getaffinity(0))
    donor = sandbox.machine("db1")
    for machine in (donor, *(sandbox.machine(name) for name in ("db2", "monitor")), sandbox.client):
        core = cores[0] if machine is donor else cores[-1]
        for pid in (machine.pid, *(each.pid for each in machine.processes())):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread.name), {core})
    os.sched_setaffinity(0, {cores[-1]})
    return ["taskset", "--cpu-list", str(cores[0])]


def _step_of(host: Machine) -> str:
    """Return at which step or part of one the job on the host is; empty where there is none."""
    try:
        progress = json.loads(host.path(str(FOLDER / PROGRESS)).read_text("utf-8"))
        return str(progress["part"] or progress["step"])
    except (OSError, ValueError):
        return ""


def _datadir(sandbox: Sandbox, host: str) -> Path:
    inside = str(sandbox.sql(host, "SELECT @@datadir AS folder")[0]["folder"])
    return sandbox.machine(host).path(inside)


@dataclass
class Bare:
    """One run of the bare programs."""

    seconds: float
    felt: Felt


def bare(sandbox: Sandbox, on_its_core: Sequence[str]) -> Bare:
    """Return what the bare programs on the donor's machine come to, started by what has them run on its core."""
    donor = sandbox.machine("db1")
    known = sandbox.layout.cluster.hosts["db1"]
    login, into = donor.path("/var/lib/mysql-mmm/bare.cnf"), f"{_INTO}/copy"
    login.write_text(mariadb_backup.login(tools_at(known), ""))
    datadir = sandbox.sql("db1", "SELECT @@datadir AS folder")[0]["folder"]
    options = f"--backup --stream=mbstream --parallel=2 --log-copy-interval={mariadb_backup.INTERVAL}"
    scratch = f"mkdir -p {into} {into}.scratch"
    copied = (
        f"mariadb-backup --defaults-file=/var/lib/mysql-mmm/bare.cnf {options} --datadir={datadir}"
        f" --target-dir={into}.scratch 2>/dev/null | mbstream -x -C {into}"
    )
    prepared = f"mariadb-backup --no-defaults --prepare --target-dir={into} 2>/dev/null"
    felt = Felt()
    with Writer(sandbox, felt):
        began = time.monotonic()
        script = f"{scratch} && {copied} && {prepared}"
        donor.run([*on_its_core, "bash", "-o", "pipefail", "-c", script], limit=_LIMIT)
        took = time.monotonic() - began
    donor.run(["rm", "-rf", into, f"{into}.scratch"])
    return Bare(took, felt)


def rebuild(sandbox: Sandbox) -> Rebuilt:
    """Return what a rebuild of db2 with a copy of db1 comes to; what it keeps of the old data is removed."""
    felt = Felt()
    host = sandbox.machine("db2")
    log, sent = host.log / "mmm_tools.log", sandbox.machine("db1").log / "mmm_agentd.log"
    seen = len(log.read_text()) if log.exists() else 0
    if sandbox.states().get("db2") == "ONLINE":
        sandbox.ask("set_offline db2")
    with Writer(sandbox, felt, lambda: _step_of(host)), weighed(host, sandbox.machine("db1"), felt):
        began = time.monotonic()
        rejoin(sandbox, "db2", "--from", "db1", "--method", "clone")
        took = time.monotonic() - began
    steps = {match["step"]: int(match["ms"]) / 1000 for match in _STEP.finditer(log.read_text()[seen:])}
    waited = int(_WAITED.findall(sent.read_text())[-1])
    host.run([program("mmm_rejoin"), "--expire", "--keep-days", "0"], limit=_LIMIT)
    sandbox.bring_online(force=False)
    return Rebuilt(took, steps, waited, felt)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in one place."""

    bares: list[Bare]
    rebuilds: list[Rebuilt]

    @property
    def longest(self) -> float:
        """Return the longest write at the donor while a host was rebuilt, in ms."""
        return max(max(each.felt.writes) for each in self.rebuilds)

    @property
    def beside(self) -> float:
        """Return the same beside the bare programs."""
        return max(max(each.felt.writes) for each in self.bares)

    def in_step(self, *steps: str) -> float:
        """Return the longest write that ended in one of these."""
        return max(
            (each.felt.by_step.get(step, 0.0) for each in self.rebuilds for step in steps), default=0.0
        )


def measured(sandbox: Sandbox, runs: int, on_its_core: Sequence[str] = ()) -> Measured:
    """Measure the bare programs and `mmm_rejoin` in turn."""
    found = Measured([], [])
    for _ in range(runs):
        found.bares.append(bare(sandbox, on_its_core))
        found.rebuilds.append(rebuild(sandbox))
        print(
            f"bare {found.bares[-1].seconds:.2f} s, mmm_rejoin {found.rebuilds[-1].seconds:.2f} s", flush=True
        )
    return found


def tables(size: int, disk: Measured, memory: Measured) -> list[Table]:
    """Return what was measured with both hosts on one disk, and with the copy in memory and each on a core."""
    whole = statistics.median(each.seconds for each in disk.rebuilds)
    floor = statistics.median(each.seconds for each in disk.bares)
    gigabytes, all_of_them = size / _GIGABYTE, [*disk.rebuilds, *memory.rebuilds]
    rows: list[list[object]] = [
        ["bare programs, s a GB", f"{floor / gigabytes:.2f}", ""],
        ["mmm_rejoin, s a GB", f"{whole / gigabytes:.2f}", ""],
        ["mmm_rejoin / bare", f"{whole / floor:.2f}", f"{_AIM:g}"],
        *_felt("the copy on the donor's disk", disk, ""),
        *_felt("each host on its own disk and core", memory, f"{_LONGEST:g}"),
        ["memory of mmm_rejoin, MB", f"{max(each.felt.tool for each in all_of_them) / 1e6:.0f}", ""],
        ["memory of the sender, MB", f"{max(each.felt.sender for each in all_of_them) / 1e6:.0f}", ""],
    ]
    for step in disk.rebuilds[0].steps:
        taken = statistics.median(each.steps.get(step, 0.0) for each in disk.rebuilds)
        rows.append([f"of it: {step}, s", f"{taken:.2f}", ""])
    title = f"a rebuild of {gigabytes:.1f} GB"
    ratios = {"rebuild / bare": whole / floor}
    return [Table("rejoin", (title, "", "at most"), rows, ratios)]


def _one_in(number: int, found: Sequence[Bare | Rebuilt]) -> float:
    """Return how many ms one write in so many takes at least."""
    writes = sorted(write for each in found for write in each.felt.writes)
    return writes[-1 - len(writes) // number]


def _felt(where: str, found: Measured, limit: str) -> list[list[object]]:
    return [
        [f"longest write at the donor, ms; {where}", f"{found.longest:.0f}", limit],
        ["  while data come", f"{found.in_step('fetch'):.0f}", ""],
        ["  while they are prepared and tried", f"{found.in_step('prepare'):.0f}", ""],
        ["  commits waited for the copying program", f"{max(each.waited for each in found.rebuilds)}", ""],
        ["  one write in a thousand is longer than", f"{_one_in(1000, found.rebuilds):.0f}", ""],
        ["  longest write beside the bare programs", f"{found.beside:.0f}", ""],
        ["  one in a thousand beside them", f"{_one_in(1000, found.bares):.0f}", ""],
    ]


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Measure a rebuild beside the bare programs.")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="data to copy (default 1)")
    parser.add_argument("--runs", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--json", type=Path, help="write the table to a file too")
    args = parser.parse_args()
    sandbox = up(_NAME, conf=Conf(slaves=0, monitor={"flap_count": 0, "failover_block": 0}))
    cores = os.sched_getaffinity(0)
    try:
        restore(sandbox)
        prepare(sandbox)
        size = fill(sandbox, args.gigabytes * _GIGABYTE)
        disk = measured(sandbox, args.runs)
        apart(sandbox, size)
        memory = measured(sandbox, args.runs, divide(sandbox))
    finally:
        os.sched_setaffinity(0, cores)
        down(_NAME)
    found = tables(size, disk, memory)
    for each in found:
        print(each)
    if args.json:
        write_json(args.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
