"""What the daemons cost while nothing happens, in a healthy cluster of three hosts with the default conf.

python -m bench.idle [--seconds 60] [--json FILE]

Then what the monitor costs while all whom it tells of changes hang: a webhook that takes the post and never answers,
and a program that does not end, which is killed and tried again.
"""

import argparse
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.tables import Table, write_json
from bench.usage import Usage, of_ended, programs, running, total, usage
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up

_NAME = "bench_idle"
_BARE = Path(__file__).with_name("bare_loop.py")
_SETTLE = 3.0
"""Seconds after the start of the bare loop, so that its imports do not count."""
_AIMS = {"monitor": (1.0, 60), "agent, writer and reader VIP": (0.3, 60), "agent, reader VIP": (0.3, 60)}
_CLASSIC = {"monitor": (0.42, 128), "agent, writer and reader VIP": (4.0, 18), "agent, reader VIP": (1.3, 18)}

_MONITOR, _BARE_LOOP, _TRIES = "monitor", "bare loop", "programs that it runs"
_PORT = 8099
_HANG = """
<notify hangs>
    webhook http://127.0.0.1:{port}/
    timeout {seconds:.0f}
</notify>
<notify does_not_end>
    command /bin/sleep 100000
</notify>
"""
_DELIVER = "mmm.monitor.act.deliver"
_LIMIT = 30.0

Look = Callable[[], Usage]


class Found(NamedTuple):
    """What processes cost while nothing happened."""

    cpu: float
    """Percent of a core."""
    wakes: float
    """A second."""
    memory: float
    """MB."""


def main() -> int:
    """Measure the monitor, two agents and a bare loop side by side and print the table."""
    parser = argparse.ArgumentParser(description="Measure what the daemons cost while nothing happens.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch (default 60)")
    parser.add_argument("--json", type=Path, help="write the table to a file too")
    args = parser.parse_args()
    sandbox = up(_NAME, conf=Conf())
    try:
        restore(sandbox)
        looks = _looks(sandbox)
        quiet = _watch(looks, args.seconds)
        with _hanging(sandbox, args.seconds):
            hung = _watch({**looks, _TRIES: lambda: _tries(sandbox)}, args.seconds)
    finally:
        down(_NAME)
    tables = [table(quiet), told(quiet, hung)]
    for each in tables:
        print(each)
    if args.json:
        write_json(args.json, tables)
    return 0


def _looks(sandbox: Sandbox) -> dict[str, Look]:
    """Start the bare loop; return how to look at it, and at the daemons, by the names of the rows."""
    monitor = sandbox.monitor
    monitor.spawn([sys.executable, str(_BARE)], log=monitor.home / "bare_loop.out")
    return {
        _BARE_LOOP: lambda: total(programs(monitor, _BARE.name)),
        _MONITOR: lambda: usage(monitor, "mmm_mond"),
        "agent, writer and reader VIP": lambda: usage(sandbox.machine("db1"), "mmm_agentd"),
        "agent, reader VIP": lambda: usage(sandbox.machine("db3"), "mmm_agentd"),
    }


@contextmanager
def _hanging(sandbox: Sandbox, seconds: float) -> Iterator[None]:
    """Have the monitor tell of a change whom nothing gets an answer from; while this lasts they hang."""
    monitor = sandbox.monitor
    with monitor.socket(socket.AF_INET, socket.SOCK_STREAM) as receiver:
        receiver.bind(("127.0.0.1", _PORT))
        receiver.listen()
        conf = monitor.etc / "mmm_mon.conf"
        conf.write_text(conf.read_text() + _HANG.format(port=_PORT, seconds=2 * seconds + _LIMIT))
        for command in ("reload", "set_manual", "set_active"):
            done = sandbox.control(command)
            if done.returncode:
                raise SandboxError(f"{command}: {done.stdout}{done.stderr}")
        receiver.settimeout(_LIMIT)
        connection, _ = receiver.accept()
        with connection:
            yield
            if not programs(monitor, _DELIVER):
                raise SandboxError("the webhook did not hang all the time")


def _tries(sandbox: Sandbox) -> Usage:
    """Return what the programs cost that the monitor runs to tell somebody."""
    alive = total([*programs(sandbox.monitor, _DELIVER), *programs(sandbox.monitor, "sleep")])
    return alive._replace(cpu=alive.cpu + of_ended(running(sandbox.monitor, "mmm_mond")))


def _watch(looks: Mapping[str, Look], seconds: float) -> dict[str, Found]:
    time.sleep(_SETTLE)
    before, began = {name: look() for name, look in looks.items()}, time.monotonic()
    time.sleep(seconds)
    after, took = {name: look() for name, look in looks.items()}, time.monotonic() - began
    return {
        name: Found(100 * (now.cpu - then.cpu) / took, (now.wakes - then.wakes) / took, now.memory / 1e6)
        for name, now, then in ((name, after[name], before[name]) for name in looks)
    }


def table(found: Mapping[str, Found]) -> Table:
    """Return the table of what the daemons cost, beside a bare loop and what they should cost at most."""
    bare = found[_BARE_LOOP]
    daemons = {name: each for name, each in found.items() if name in _AIMS}
    rows: list[list[object]] = [
        [_BARE_LOOP, f"{bare.cpu:.2f}", "", "", "1.0", f"{bare.wakes:.0f}", f"{bare.memory:.0f}", "", ""]
    ]
    rows += [
        [
            name,
            f"{each.cpu:.2f}",
            _AIMS[name][0],
            _CLASSIC[name][0],
            f"{each.cpu / bare.cpu:.1f}",
            f"{each.wakes:.0f}",
            f"{each.memory:.0f}",
            _AIMS[name][1],
            _CLASSIC[name][1],
        ]
        for name, each in daemons.items()
    ]
    ratios = {f"idle CPU, {name} / bare loop": each.cpu / bare.cpu for name, each in daemons.items()}
    ratios |= {f"idle memory, {name} / aim": each.memory / _AIMS[name][1] for name, each in daemons.items()}
    columns = [
        "idle",
        "CPU % of a core",
        "at most",
        "classic",
        "/ bare loop",
        "wakes/s",
        "memory MB",
        "at most",
        "classic",
    ]
    return Table("idle", columns, rows, ratios)


def told(quiet: Mapping[str, Found], hung: Mapping[str, Found]) -> Table:
    """Return the table of what the monitor costs while receivers hang, beside what it costs without any."""
    shown = {"monitor that tells nobody": quiet, "monitor, receivers hang": hung}
    rows: list[list[object]] = []
    for name, found in shown.items():
        each, bare = found[_MONITOR], found[_BARE_LOOP]
        rows.append(
            [name, f"{each.cpu:.2f}", f"{each.cpu / bare.cpu:.2f}", f"{each.wakes:.0f}", f"{each.memory:.0f}"]
        )
    rows.append([_TRIES, f"{hung[_TRIES].cpu:.2f}", "", "", f"{hung[_TRIES].memory:.0f}"])
    of_bare = [found[_MONITOR].cpu / found[_BARE_LOOP].cpu for found in (hung, quiet)]
    ratios = {
        "idle CPU, monitor, receivers hang / none": of_bare[0] / of_bare[1],
        "idle memory, monitor, receivers hang / none": hung[_MONITOR].memory / quiet[_MONITOR].memory,
    }
    columns = ["receivers that hang", "CPU % of a core", "/ bare loop", "wakes/s", "memory MB"]
    return Table("told", columns, rows, ratios)


if __name__ == "__main__":
    sys.exit(main())
