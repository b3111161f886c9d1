"""What others notice of a VIP that moves: how long neighbours send to the old MAC, when clients see the end.

python -m bench.notice [--runs N] [--name NAME]

The writer's VIP moves, by order and away from a frozen server. Times are in ms: of a neighbour's last packet to the old
MAC since it was told of the new one (0: none after that), and of a client's reset since the kernel removed the VIP
(negative: the connection was ended before). `idle` clients wait for nothing, `busy` ones for the answer to a question.
"""

import argparse
import socket
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pymysql.connections import Connection

from mmm.proving.chaos.recorders import Writers
from mmm.proving.chaos.run import prepare
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import addresses
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER
from mmm.sandbox.restore import restore
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.up import down, up
from tests.taps import Towards, mac_of

_LIMIT = 60.0
_CLIENTS = 5
_PERIOD = 0.005
"""Seconds between two rows of the client on each machine."""
_PACKETS = 50
_QUESTION = b"\x03SELECT SLEEP(1000)"
_HEADER = f"{'ms':<52}{'count':>6}{'min':>9}{'median':>9}{'max':>9}"
CONF = fast(Conf(top={"vip_lease": 10}, monitor={"flap_count": 0, "failover_block": 0}))


@dataclass
class _End:
    """A client that waits until its connection says anything or ends; `at` is when."""

    kind: str
    stream: socket.socket
    session: "Connection[Any]"
    """Kept, for it would close the connection when it goes."""
    at: float = 0.0
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        try:
            self.stream.recv(65536)
        except TimeoutError:
            return
        except ConnectionError:
            pass
        self.at = time.monotonic()


@contextmanager
def _clients(sandbox: Sandbox) -> Iterator[list[_End]]:
    """Give clients that are logged in through the VIP: idle ones and busy ones."""
    with ExitStack() as stack:
        ends = []
        for number in range(2 * _CLIENTS):
            stream = stack.enter_context(sandbox.client.connect((sandbox.layout.writer_ip, 3306), _LIMIT))
            # Over TLS, which MariaDB 11.8 offers by itself, the session would take the socket away.
            session: Connection[Any] = Connection(
                user=CLIENT_USER, password=CLIENT_PASSWORD, ssl_disabled=True, defer_connect=True
            )
            session.connect(stream)
            stream.settimeout(_LIMIT)
            if number % 2:
                stream.sendall(len(_QUESTION).to_bytes(3, "little") + b"\0" + _QUESTION)
            ends.append(_End("busy" if number % 2 else "idle", stream, session))
        yield ends
        for end in ends:
            end.thread.join(_LIMIT)


def _removal(sandbox: Sandbox, host: str, moments: list[float]) -> None:
    """Wait until the kernel of a host has removed the VIP, and note when."""
    with addresses.listen(sandbox.machine(host)) as told:
        told.settimeout(_LIMIT)
        while not moments:
            moves = addresses.moved(host, told.recv(65536))
            if any(moved.ip == sandbox.layout.writer_ip and not moved.bound for moved in moves):
                moments.append(time.monotonic())


def measure(
    sandbox: Sandbox, name: str, strike: Callable[[Sandbox, str, str], None], found: dict[str, list[float]]
) -> None:
    """Let the writer move once, and add what was noticed of it."""
    restore(sandbox)
    prepare(sandbox)
    old = sandbox.writer()
    assert old is not None
    new = next(each for each in sandbox.layout.masters if each != old)
    macs = [mac_of(sandbox.machine(host)) for host in (old, new)]
    moments: list[float] = []
    neighbours = [each for each in sandbox.layout.plugs if each not in sandbox.layout.masters]
    with ExitStack() as stack:
        towards = {
            each: stack.enter_context(Towards(sandbox, each, sandbox.layout.writer_ip)) for each in neighbours
        }
        stack.enter_context(Writers(sandbox, sandbox.directory, _PERIOD))
        for each, sent in towards.items():
            sandbox.wait_until(lambda sent=sent: len(sent.sent) > _PACKETS, _LIMIT, f"{each} writes")  # type: ignore[misc]
        removal = threading.Thread(target=_removal, args=(sandbox, old, moments))
        removal.start()
        with _clients(sandbox) as ends:
            strike(sandbox, old, new)
            removal.join(_LIMIT)
        for each, sent in towards.items():
            sandbox.wait_until(
                lambda sent=sent: sent.sent[-_PACKETS:].count(macs[1]) == _PACKETS,  # type: ignore[misc]
                _LIMIT,
                f"{each} writes to {new}",
            )
    for each in neighbours:
        found[f"{name}: {each} goes on to the old MAC for"].append(
            1e3 * towards[each].lingering(macs[0], macs[1])
        )
    for end in ends:
        found[f"{name}: reset of {end.kind} clients"].append(1e3 * (end.at - moments[0]))


def _order(sandbox: Sandbox, _: str, new: str) -> None:
    said = sandbox.ask(f"move_role writer {new}", limit=_LIMIT)
    assert said.startswith("OK"), said


def _freeze(sandbox: Sandbox, old: str, _: str) -> None:
    inject(sandbox, "freeze-mysqld", old)


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what others notice of a VIP that moves.")
    parser.add_argument("--runs", type=int, default=10, help="moves of each kind (default 10)")
    parser.add_argument("--name", default="notice", help="name of the sandbox")
    args = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    sandbox = up(args.name, conf=CONF)
    try:
        for name, strike in (("planned move", _order), ("frozen server", _freeze)):
            for _ in range(args.runs):
                measure(sandbox, name, strike, found)
    finally:
        down(args.name)
    print(_HEADER)
    for name, ms in found.items():
        print(f"{name:<52}{len(ms):>6}{min(ms):>9.1f}{statistics.median(ms):>9.1f}{max(ms):>9.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
