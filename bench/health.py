"""What it costs an agent to answer a load balancer, beside a bare loop that accepts, reads, writes and closes.

python -m bench.health [--requests 10000] [--json FILE]

One client asks the writer's agent for /writer over the network, each request on a new connection, then all on one; the
bare loop likewise, in turn. What counts is the processor time of all of the agent's processes, not the client's, less
what they take while nobody asks.
"""

import argparse
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.tables import Table, write_json
from bench.usage import Usage, programs, total, usage
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.proxy import with_health
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up

_NAME = "bench_health"
_BARE = Path(__file__).with_name("bare_answers.py")
_PORT, _BARE_PORT = 9991, 9990
_LIMIT = 30.0
_ROUNDS = 5
"""Both servers are asked in turn, as other work on the machine costs both; the median counts."""
_QUIET = 5.0
"""Seconds in which nobody asks."""
_WRITER = "db1"
"""Who writes once the cluster is as it is set up."""
_AIM = 5.0
"""Percent of a core for 1000 requests a second."""


def main() -> int:
    """Measure both servers and print the table."""
    parser = argparse.ArgumentParser(description="Measure what a load balancer's request costs.")
    parser.add_argument("--requests", type=int, default=10_000, help="of each kind (default 10000)")
    parser.add_argument("--json", type=Path, help="write the table to a file too")
    args = parser.parse_args()
    sandbox = up(_NAME, conf=with_health(Conf(slaves=0)))
    try:
        restore(sandbox)
        _have_true_clock(sandbox)
        made = table(measure(sandbox, args.requests))
    finally:
        down(_NAME)
    print(made)
    if args.json:
        write_json(args.json, [made])
    return 0


def _have_true_clock(sandbox: Sandbox) -> None:
    """Have the agent read its clocks itself: what shifts them in a sandbox takes a tenth of an answer."""
    sandbox.init(_WRITER, "mysql-mmm-agent", "stop")
    sandbox.machine(_WRITER).run([program("mmm_agentd")])
    sandbox.wait_until(lambda: _answers(sandbox, _PORT), _LIMIT, f"{_WRITER} says that it writes")


def measure(sandbox: Sandbox, requests: int) -> dict[str, tuple[float, float]]:
    """Return the milliseconds that a request costs the agent and the bare loop, by how it is asked."""
    writer = sandbox.machine(_WRITER)
    writer.spawn([sys.executable, str(_BARE), str(_BARE_PORT)], log=writer.home / "bare_answers.out")
    sandbox.wait_until(lambda: _answers(sandbox, _BARE_PORT), _LIMIT, "the bare loop answers")
    looks: list[tuple[int, Callable[[], Usage]]] = [
        (_PORT, lambda: usage(writer, "mmm_agentd")),
        (_BARE_PORT, lambda: total(programs(writer, _BARE.name))),
    ]
    kinds = {"a new connection each": False, "one connection": True}
    idle = [_idle(look) for _, look in looks]
    found: dict[str, list[list[float]]] = {name: [[], []] for name in kinds}
    for _ in range(_ROUNDS):
        for name, stays in kinds.items():
            for costs, (port, look), rate in zip(found[name], looks, idle, strict=True):
                costs.append(_cost(sandbox, port, look, rate, requests // _ROUNDS, stays=stays))
    return {
        name: (statistics.median(agent), statistics.median(bare)) for name, (agent, bare) in found.items()
    }


def _answers(sandbox: Sandbox, port: int) -> bool:
    try:
        _ask(sandbox, port, 1, stays=False)
    except OSError:
        return False
    return True


def _idle(look: Callable[[], Usage]) -> float:
    """Return the share of a core that is taken while nobody asks."""
    quiet = _spent(look, lambda: time.sleep(_QUIET))
    return quiet.cpu / quiet.seconds


def _cost(
    sandbox: Sandbox, port: int, look: Callable[[], Usage], rate: float, requests: int, *, stays: bool
) -> float:
    asked = _spent(look, lambda: _ask(sandbox, port, requests, stays=stays))
    return 1000 * (asked.cpu - rate * asked.seconds) / requests


class _Spent(NamedTuple):
    cpu: float
    seconds: float


def _spent(look: Callable[[], Usage], do: Callable[[], None]) -> _Spent:
    before, begun = look().cpu, time.monotonic()
    do()
    return _Spent(look().cpu - before, time.monotonic() - begun)


def _ask(sandbox: Sandbox, port: int, requests: int, *, stays: bool) -> None:
    """Ask so often; raises OSError, also where the answer is not yes."""
    where = (sandbox.layout.hosts[_WRITER].ip, port)
    sandbox.client.in_its_network(lambda: _ask_here(where, requests, stays=stays))


def _ask_here(where: tuple[str, int], requests: int, *, stays: bool) -> None:
    request = (
        f"GET /writer HTTP/1.1\r\nHost: {_WRITER}\r\nConnection: {'keep-alive' if stays else 'close'}\r\n\r\n"
    )
    left = requests
    while left:
        with socket.create_connection(where, _LIMIT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(left if stays else 1):
                connection.send(request.encode())
                if not (answer := connection.recv(8192)).startswith(b"HTTP/1.1 200"):
                    raise ConnectionError(f"{_WRITER} answered {answer[:80]!r}")
                left -= 1


def table(found: dict[str, tuple[float, float]]) -> Table:
    """Return the table of what was measured."""
    rows = [
        [name, f"{agent:.3f}", f"{bare:.3f}", f"{agent / bare:.2f}", f"{100 * agent:.1f}", f"{_AIM:g}"]
        for name, (agent, bare) in found.items()
    ]
    columns = [
        "a request for /writer",
        "agent, ms",
        "bare loop, ms",
        "ratio",
        "CPU % of 1000 a second",
        "at most",
    ]
    ratios = {f"health, {name} / bare loop": agent / bare for name, (agent, bare) in found.items()}
    return Table("health", columns, rows, ratios)


if __name__ == "__main__":
    sys.exit(main())
