"""Clients that mean it ill, on the agent's and on the monitor's port of a cluster at work."""

import contextlib
import json
import random
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mmm.network.listener import FAULT_SILENCE
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.witness.health import settle
from tests.clusters import LIMIT, Log, bound, log, pids, restart

pytestmark = pytest.mark.sandbox

MEGABYTE = 1 << 20
SLACK = 4 * MEGABYTE
"""What the interpreter's own bookkeeping may grow by between two rounds of the same."""


@dataclass(frozen=True)
class Target:
    """A port, the daemon behind it and its log since it was started."""

    sandbox: Sandbox
    machine: str
    daemon: str
    port: int
    request: bytes
    said: Log
    since: float = field(default_factory=time.monotonic)

    def connect(self) -> socket.socket:
        ip = self.sandbox.layout.plugs[self.machine].ip
        return self.sandbox.client.connect((ip, self.port), LIMIT)

    @property
    def memory(self) -> int:
        """Return what its processes have of their own, in bytes: what is mapped from files depends on other daemons."""
        total = 0
        for pid in pids(self.sandbox, self.machine, self.daemon):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Anonymous:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024  # type: ignore[index]
        return total

    @property
    def most(self) -> int:
        """Return how often it may have said the same of a client."""
        return 1 + int((time.monotonic() - self.since) // FAULT_SILENCE)

    @property
    def complaints(self) -> list[str]:
        """Return what was logged about the client, without figures."""
        ip = self.sandbox.layout.plugs[self.sandbox.client.name].ip
        lines = [line for line in self.said.text.splitlines() if f"client {ip}:" in line]
        return [line.split(f"client {ip}: ")[1] for line in lines]


def agent(sandbox: Sandbox) -> Target:
    return Target(sandbox, "db2", "mmm_agentd", 9989, b"PING|1|db2\n", log(sandbox, "db2", "mmm_agentd"))


def monitor(sandbox: Sandbox) -> Target:
    return Target(sandbox, "monitor", "mmm_mond", 9988, b"show\n", log(sandbox, "monitor", "mmm_mond"))


@pytest.fixture(params=[agent, monitor], ids=["agent", "monitor"])
def target(sandbox: Sandbox, request: pytest.FixtureRequest) -> Target:
    """Give one of the two ports; its daemon has complained about nobody yet."""
    found: Target = request.param(sandbox)
    restart(sandbox, found.machine, found.daemon)
    settle(sandbox)
    return found


@contextlib.contextmanager
def at_work(sandbox: Sandbox) -> Iterator[None]:
    """Check that meanwhile, and after it, questions are answered, orders carried out, and all hosts stay ONLINE."""
    mond = log(sandbox, "monitor", "mmm_mond")
    yield
    for args in (("set_offline", "db2"), ("set_online", "db2"), ("ping",)):
        done = sandbox.control(*args)
        assert done.returncode == 0, done
    settle(sandbox)
    assert set(sandbox.states().values()) == {"ONLINE"}
    bad = re.compile(r"cannot be reached|(ping|mysql) has failed|internal error|HARD_OFFLINE")
    assert [line for line in mond.text.splitlines() if bad.search(line)] == []
    assert all(bound_addresses(sandbox.machine(name)) for name in sandbox.hosts)


def garbage(target: Target) -> None:
    chance = random.Random(7)  # noqa: S311
    for _ in range(100):
        data = chance.randbytes(chance.randrange(1, 4000)) + b"\n\0|||\n\r\n|\n"
        with contextlib.suppress(ConnectionError), target.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def half_lines(target: Target) -> None:
    for _ in range(200):
        with target.connect() as connection:
            connection.sendall(target.request[:-1])


def long_lines(target: Target) -> None:
    piece = b"x" * 65536
    for _ in range(5):
        with contextlib.suppress(ConnectionError), target.connect() as connection:
            for _ in range(10 * MEGABYTE // len(piece)):
                connection.sendall(piece)
            connection.sendall(b"\n")


ATTACKS: dict[Callable[[Target], None], str] = {
    garbage: "not understood",
    half_lines: "without a line end",
    long_lines: "line longer than",
}


def said_once(target: Target, what: str) -> None:
    """Check that the log names what the client did, and nothing twice in the time for which it is silent."""
    said = target.complaints
    most = target.most
    kinds = Counter(re.sub(r"\d+", "", line) for line in said)
    assert 1 <= sum(what in line for line in said) <= most, said
    assert max(kinds.values()) <= most, said


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_bad_lines_cost_nothing_and_are_said_once(
    sandbox: Sandbox, target: Target, attack: Callable[[Target], None]
) -> None:
    with at_work(sandbox):
        attack(target)
        before = target.memory
        attack(target)
        attack(target)
        after = target.memory
    assert after - before < SLACK
    said_once(target, ATTACKS[attack])


def test_a_thousand_idle_connections_lock_nobody_out(sandbox: Sandbox, target: Target) -> None:
    with contextlib.ExitStack() as stack:

        def crowd() -> None:
            for _ in range(1000):
                stack.enter_context(target.connect())

        with at_work(sandbox):
            crowd()
        before = target.memory
        stack.close()
        with at_work(sandbox):
            crowd()
        assert target.memory - before < SLACK
    said_once(target, "the most silent ones are ended")


def test_clients_that_read_nothing_are_ended(sandbox: Sandbox) -> None:
    targets = (agent(sandbox), monitor(sandbox))
    for target in targets:
        restart(sandbox, target.machine, target.daemon)
    settle(sandbox)
    for target in targets:
        answered(target, 20_000)
    before = {target.daemon: target.memory for target in targets}
    floods: list[Flood] = []
    with contextlib.ExitStack() as stack, at_work(sandbox):
        for target in targets:
            for _ in range(3):
                floods.append(Flood(stack.enter_context(target.connect()), target.request))
                floods[-1].go_on(0.5)

        def had_enough() -> bool:
            for flood in floods:  # a daemon that only came late reads on
                flood.go_on(0.001)
            return all(target.complaints for target in targets)

        sandbox.wait_until(had_enough, LIMIT, "both have had enough")
    for target in targets:
        said_once(target, "has not read its answer")
        assert target.memory - before[target.daemon] < SLACK, target.daemon


def answered(target: Target, requests: int) -> None:
    """Send so many requests at once and read all answers."""
    with target.connect() as connection:
        sender = threading.Thread(target=lambda: connection.sendall(target.request * requests))
        sender.start()
        connection.settimeout(LIMIT)
        with connection.makefile("rb") as stream:
            expected = requests if target.port == 9989 else requests * len(target.sandbox.hosts)
            assert sum(1 for _ in zip(range(expected), stream, strict=False)) == expected
        sender.join()


class Flood:
    """Requests without end, of which no answer is read."""

    def __init__(self, connection: socket.socket, request: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._connection, self._length, self._data = connection, len(request), request * 1000
        self._at = 0

    def go_on(self, patience: float) -> None:
        """Send until the other side takes no more for so many seconds, or has hung up."""
        self._connection.settimeout(patience)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                self._at = (self._at + self._connection.send(self._data[self._at :])) % self._length


def test_a_stranger_gets_nothing_and_is_named(sandbox: Sandbox, target: Target) -> None:
    """Somebody on the segment with an address that the conf does not know: no order, no answer (rule 10.21)."""
    stranger = "10.99.0.9"
    orders = (b"SET_STATUS|1|db2|ONLINE||db1\n", b"set_offline db2\n", target.request)
    sandbox.client.run(["ip", "address", "replace", f"{stranger}/32", "dev", "eth0"])
    before = sandbox.show()
    for order in orders:
        with contextlib.closing(sandbox.client.socket(socket.AF_INET, socket.SOCK_STREAM)) as connection:
            connection.bind((stranger, 0))
            connection.settimeout(LIMIT)
            received = b""
            with contextlib.suppress(ConnectionError):
                connection.connect((sandbox.layout.plugs[target.machine].ip, target.port))
                connection.sendall(order)
                received = connection.recv(100)
            assert received == b""
    assert sandbox.show() == before
    said = [line for line in target.said.text.splitlines() if f"client {stranger}" in line]
    assert 1 <= len(said) <= target.most, said
    assert all("allow_from" in line for line in said)
    sandbox.client.run(["ip", "address", "del", f"{stranger}/32", "dev", "eth0"])


SEND = """
import os, socket, sys
"".encode("idna")  # loaded while it may be read
os.setuid(65534)
for line in sys.argv[3:]:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as connection:
        connection.sendall(line.encode() + b"\\n")
        print(connection.makefile().readline().rstrip("\\n"))
"""
"""Send each line, as a user without any right."""


def test_a_user_of_a_host_gives_no_orders(sandbox: Sandbox) -> None:
    """Nobody on db3 has an address that is let in, and no port below 1024."""
    before, bound_before = sandbox.show(), {name: bound(sandbox, name) for name in sandbox.hosts}
    db2, vip = sandbox.layout.plugs["db2"].ip, sandbox.layout.writer_ip
    lines = (
        f"SET_STATUS|1|db2|ONLINE|writer({vip})|db2",
        f"SET_STATUS|1|db2|ONLINE|writer({vip})|db2|LEASE:forever:boot.1|LEAD:0.10.77.0.2:9988.x",
        "CLEAR_BAD_ROLES|1|db2",
        "PROMISE|1|db2|db1|999999",
        "CLIENTS|1|db2|app",
    )
    said = sandbox.machine("db3").run([sys.executable, "-c", SEND, db2, "9989", *lines]).stdout.splitlines()
    codes = [re.search(r"\|WHY:(\w+)", line) for line in said]
    assert [code and code[1] for code in codes] == [
        "other_monitor",
        "auth",
        "other_monitor",
        "auth",
        "auth",
    ], said
    monitor = sandbox.layout.monitor_ip
    asked = ("set_offline db2\nquit", "json set_offline db2\nquit")
    said = [
        sandbox.monitor.run([sys.executable, "-c", SEND, monitor, "9988", order]).stdout for order in asked
    ]
    refusal = "ERROR: Only root can change something here: run mmm_control as root, or set auth_key."
    assert said[0].splitlines() == [refusal]
    told = json.loads(said[1])
    assert (told["code"], told["message"]) == ("needs_root", refusal)
    assert sandbox.show() == before
    assert {name: bound(sandbox, name) for name in sandbox.hosts} == bound_before
