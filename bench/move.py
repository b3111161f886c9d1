"""How long a client cannot write while the writer is moved by command, beside the least that takes.

python -m bench.move [--runs N] [--steps] [--load CLIENTS] [--json FILE]

A client writes a row every 2 ms through the writer's VIP; an outage goes from its last acknowledged row to its next
one. Moves by `move_role` and moves by one script straight against both servers (bench.straight) take turns in the same
cluster, on the same client; while the script moves, agents and monitor stand still (SIGSTOP). With --load, so many
clients write side by side instead, and what is counted is the transactions of each that a move made fail or wait.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import straight, writers
from bench.tables import Table, write_json
from mmm.proving.vip_clients import Plan, Started
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import DAEMONS
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.health import catch_up, settle
from mmm.sandbox.witness.probe_run import Probe

_NAME = "bench_move"
_WRITERS = str(Path(__file__).with_name("writers.py"))
_LIMIT = 60.0
_ROWS = 150
_STEPS = ("freeze", "end clients", "unbind", "catch up", "promote", "bind", "first ARP")
_SECOND = {"check_period": 1, "trap_period": 1, "timeout": 1}
_CONF = Conf(monitor={"flap_count": 0, "failover_block": 0}, check=_SECOND)
OURS, FLOOR = "move_role", "floor"


@dataclass
class Moves:
    """What moves of one kind came to: outages in ms, and the ms of each step."""

    ms: list[float] = field(default_factory=list)
    steps: list[dict[str, float]] = field(default_factory=list)


def other(sandbox: Sandbox) -> str:
    """Return the master that has not the writer's VIP."""
    return next(name for name in sandbox.layout.masters if name != sandbox.writer())


def move_role(sandbox: Sandbox) -> None:
    """Move the writer by command; raises SystemExit when it is refused."""
    said = sandbox.ask(f"move_role writer {other(sandbox)}", limit=_LIMIT)
    if not said.startswith("OK"):
        raise SystemExit(f"move_role: {said}")


def last_steps(sandbox: Sandbox) -> dict[str, float]:
    """Return the ms of each step of the last move, as `mmm_control history` tells them."""
    (entry,) = json.loads(sandbox.ask("json history 1"))["history"]
    return {name: 1e3 * took for order in entry["orders"] for name, took in order["parts"].items()}


@contextmanager
def still(sandbox: Sandbox) -> Iterator[None]:
    """Have agents and monitor do nothing meanwhile."""
    machines = (sandbox.monitor, *map(sandbox.machine, sandbox.hosts))
    daemons = [
        process for machine in machines for process in machine.processes() if any(map(process.runs, DAEMONS))
    ]
    with ExitStack() as stack:
        for process in daemons:
            os.kill(process.pid, signal.SIGSTOP)
            stack.callback(os.kill, process.pid, signal.SIGCONT)
        yield


def measure(sandbox: Sandbox, runs: int) -> dict[str, Moves]:
    """Return `runs` moves of each kind, there and back in turn, on one client."""
    found = {OURS: Moves(), FLOOR: Moves()}
    with Probe(sandbox, readers=False, backoff=0.001) as probe:
        for _ in range((runs + 1) // 2):
            for _ in range(2):
                catch_up(sandbox)
                probe.wait_writes(_LIMIT, _ROWS)
                number = len(probe.outages) + 1
                move_role(sandbox)
                found[OURS].ms.append(probe.wait_outage(_LIMIT, number).ms)
                probe.wait_writes(_LIMIT, _ROWS)
                found[OURS].steps.append(last_steps(sandbox))
            settle(sandbox)  # an agent that stands still repoints no slave
            with still(sandbox), straight.masters(sandbox) as hosts:
                for _ in range(2):
                    catch_up(sandbox)
                    probe.wait_writes(_LIMIT, _ROWS)
                    number, new = len(probe.outages) + 1, other(sandbox)
                    (old,) = hosts.keys() - {new}
                    took = straight.move(hosts[old], hosts[new])
                    found[FLOOR].ms.append(probe.wait_outage(_LIMIT, number).ms)
                    found[FLOOR].steps.append({name: 1e3 * seconds for name, seconds in took.items()})
                    probe.wait_writes(_LIMIT, _ROWS)
    if probe.report.missing or probe.report.doubled:
        raise SystemExit(
            f"rows are missing or doubled: {probe.report.missing[:5]}, {probe.report.doubled[:5]}"
        )
    return found


class Load:
    """Clients that write side by side, from `with` to its end; then `book` is there."""

    def __init__(self, sandbox: Sandbox, clients: int) -> None:
        layout = sandbox.layout
        port = layout.hosts[layout.masters[0]].mysql_port
        run = f"load{time.time_ns() // 1_000_000:x}"
        plan = Plan(run, layout.writer_ip, port, clients, period=0.01)
        self._program = Started(sandbox.client.enter([sys.executable, _WRITERS, plan.text()]), self._take)
        self._sandbox = sandbox
        self._done = 0
        self.book: list[list[writers.Deed]] = []

    def __enter__(self) -> Self:
        self._program.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.__exit__(kind, error, trace)

    def wait(self, more: int) -> None:
        """Wait until so many more rows are acknowledged; raises NotInTimeError."""
        wanted = self._done + more
        self._sandbox.wait_until(lambda: self._done >= wanted, _LIMIT, f"clients write {more} more rows")

    def _take(self, line: str) -> None:
        said = json.loads(line)
        self._done = said.get("done", self._done)
        self.book = said.get("book", self.book)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one move did to one client: transactions that failed or waited, failed attempts, ms until the next OK."""

    transactions: int
    failed: int
    ms: float


def measure_load(sandbox: Sandbox, clients: int, runs: int) -> list[Loaded]:
    """Return what each of `runs` moves did to each of the clients."""
    began: list[float] = []
    with Load(sandbox, clients) as load:
        for _ in range(runs):
            load.wait(100 * clients)
            catch_up(sandbox)
            began.append(time.monotonic())
            move_role(sandbox)
        load.wait(100 * clients)
    found = []
    for since, until in zip(began, [*began[1:], time.monotonic()], strict=True):
        for book in load.book:
            hit = [deed for deed in book if since <= deed[1] < until]
            failed = sum(error != "not sent" for deed in hit for error in deed[2])
            found.append(Loaded(len(hit), failed, max((1e3 * (d[1] - d[0]) for d in hit), default=0.0)))
    return found


def table(found: dict[str, Moves]) -> Table:
    """Return the outages of both kinds and their ratio."""
    rows: list[list[object]] = []
    for name, moves in found.items():
        ms = sorted(moves.ms)
        rows.append([name, len(ms), round(ms[0], 1), round(statistics.median(ms), 1), round(ms[-1], 1)])
    ratio = statistics.median(found[OURS].ms) / statistics.median(found[FLOOR].ms)
    rows.append([f"{OURS} / {FLOOR}", "", "", round(ratio, 2), ""])
    columns = ["planned move: writes stop for (ms)", "runs", "min", "median", "max"]
    return Table("planned move", columns, rows, {"move_role / floor": ratio})


def steps_table(found: dict[str, Moves]) -> Table:
    """Return where the time goes: medians of each step, and what is left of the outage."""
    rows: list[list[object]] = []
    medians = {
        name: [statistics.median(each.get(step, 0.0) for each in moves.steps) for step in _STEPS]
        for name, moves in found.items()
    }
    for place, step in enumerate(_STEPS):
        rows.append([step, *(round(medians[name][place], 2) for name in found)])
    rest = [round(statistics.median(moves.ms) - sum(medians[name]), 2) for name, moves in found.items()]
    rows.append(["messages, decisions, the client itself", *rest])
    return Table("steps of a planned move", ["step (median ms)", *found], rows)


def load_table(clients: int, found: list[Loaded]) -> Table:
    """Return what a move does to clients that write side by side."""
    ms = sorted(each.ms for each in found if each.transactions)
    row: list[object] = [
        f"{clients} clients", len(found) // clients,
        round(statistics.mean(each.transactions for each in found), 2),
        max(each.transactions for each in found),
        round(statistics.mean(each.failed for each in found), 2),
        max(each.failed for each in found),
        round(statistics.median(ms), 1) if ms else 0, round(ms[-1], 1) if ms else 0,
    ]  # fmt: skip
    columns = ["planned move under load, of each client", "moves", "transactions hit", "at most",
               "failed attempts", "at most", "median ms", "max ms"]  # fmt: skip
    return Table("planned move under load", columns, [row])


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description="Measure how long a client cannot write during a planned move."
    )
    parser.add_argument("--runs", type=int, default=20, help="moves of each kind (default 20)")
    parser.add_argument("--steps", action="store_true", help="show where the time goes")
    parser.add_argument("--load", type=int, default=0, help="so many clients write side by side")
    parser.add_argument("--json", type=Path, help="write the tables to a file too")
    parser.add_argument("--server", default="mariadb", help="as for mmm_sandbox up")
    parser.add_argument("--name", default=_NAME, help="of the sandbox")
    args = parser.parse_args()
    sandbox = up(args.name, conf=_CONF, server=args.server)
    try:
        restore(sandbox)
        if args.load:
            tables = [load_table(args.load, measure_load(sandbox, args.load, args.runs))]
        else:
            found = measure(sandbox, args.runs)
            tables = [table(found), *([steps_table(found)] if args.steps else [])]
    finally:
        down(args.name)
    for each in tables:
        print(each)
    if args.json:
        write_json(args.json, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
