"""The floor of a planned move: one script that does what agents do, straight against both servers.

The same statements and netlink calls in the same order, on connections and sockets that are open already, with no
agent, no monitor and no question between: the least that moving a writer takes on this machine.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from ctypes import CDLL
from pathlib import Path
from typing import Self, TypeVar

from mmm.mysql.server.processlist import Fate, fate, list_sessions, open_transactions
from mmm.mysql.session.connection import Address, MysqlError, connect
from mmm.network.addresses import AddressTable
from mmm.network.farewell import Farewell
from mmm.network.socket_table import connections, destroy
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.machine import Machine

_CLONE_NEWNET = 0x40000000
_LIMIT = 5.0

T = TypeVar("T")


class Host:
    """One server and its interface, held open; a context manager that closes them."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        machine, own = sandbox.machine(name), sandbox.layout.agents[name].hosts[name]
        self._stack = ExitStack()
        self._inside = self._stack.enter_context(
            ThreadPoolExecutor(1, initializer=_enter, initargs=(machine,))
        )
        at = Address(own.ip, own.mysql_port, own.agent_user, own.agent_password)
        self.server = self._stack.enter_context(self._there(lambda: connect(at, _LIMIT)))
        self.keep = frozenset({own.agent_user, own.replication_user, sandbox.layout.hosts[name].monitor_user})
        self._addresses = self._there(AddressTable)
        self._stack.callback(self._addresses.close)
        self._wire = self._stack.enter_context(machine.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        self._wire.bind((own.cluster_interface, 0))
        self._index = self._there(lambda: socket.if_nametoindex(own.cluster_interface))
        self._ip, self._port = sandbox.layout.writer_ip, own.mysql_port
        self._frames = _frames(self._wire.getsockname()[4].hex(":"), self._ip)
        self._gtids = "binlog_pos" if self.server.flavour.mariadb else "executed"
        self._farewell = Farewell(own.cluster_interface)
        self._stack.callback(self._farewell.stop, self._ip)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._farewell.stop(self._ip)
        self._stack.close()

    def freeze(self) -> None:
        """Take no more writes."""
        flavour = self.server.flavour
        self.server.execute(flavour.deny_writes, (1.0,))
        assert all(str(value) == "1" for value in self.server.query(flavour.write_locks)[0].values())

    def end_clients(self) -> None:
        """End the sessions of clients and see them gone."""
        told: set[int] = set()
        modified = open_transactions(self.server)
        while there := [
            session
            for session in list_sessions(self.server, modified)
            if fate(session, self.keep) is not Fate.KEEP
        ]:
            for session in there:
                if session.id not in told:
                    told.add(session.id)
                    with suppress(MysqlError):  # it is gone already
                        self.server.execute(f"KILL {session.id}")

    def position(self) -> str:
        """Return what the server has."""
        state = self.server.query(self.server.flavour.gtid_state)[0]
        return str(state[self._gtids] or "")

    def catch_up(self, old: "Host") -> None:
        """Wait until all that the old writer has is applied."""
        assert self.server.query(self.server.flavour.wait_gtid, (old.position(), _LIMIT))[0]["result"] == "0"

    def promote(self) -> None:
        """Take writes."""
        flavour = self.server.flavour
        self.server.execute(flavour.allow_writes)
        assert str(self.server.query(flavour.write_locks)[0]["read_only"]) == "0"

    def bind(self) -> None:
        """Have the VIP."""
        self._farewell.stop(self._ip)
        self._addresses.replace(self._index, self._ip, 32)

    def unbind(self) -> None:
        """Have the VIP no more; who is connected through it, or comes late, is told."""
        self._there(self._unbind)

    def _unbind(self) -> None:
        with self._farewell.of(self._ip):
            destroy(connections(self._ip, self._port))
            self._addresses.delete(self._index, self._ip, 32)

    def announce(self) -> None:
        """Say once where the VIP is."""
        for frame in self._frames:
            self._wire.send(frame)

    def _there(self, call: Callable[[], T]) -> T:
        """Return what `call` returns in the machine's network."""
        return self._inside.submit(call).result()


def move(old: Host, new: Host) -> dict[str, float]:
    """Move the writer; returns how many seconds each step took."""
    took: dict[str, float] = {}
    steps: list[tuple[str, Callable[[], None]]] = [
        ("freeze", old.freeze),
        ("end clients", old.end_clients),
        ("unbind", old.unbind),
        ("catch up", lambda: new.catch_up(old)),
        ("promote", new.promote),
        ("bind", new.bind),
        ("first ARP", new.announce),
    ]
    for name, step in steps:
        began = time.monotonic()
        step()
        took[name] = time.monotonic() - began
    return took


@contextmanager
def masters(sandbox: Sandbox) -> Iterator[dict[str, Host]]:
    """Give both masters, held open."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Host(sandbox, name)) for name in sandbox.layout.masters}


def _enter(machine: Machine) -> None:
    """Have the thread that calls be in the machine's network."""
    with Path(f"/proc/{machine.pid}/ns/net").open() as namespace:
        assert CDLL(None).setns(namespace.fileno(), _CLONE_NEWNET) == 0


def _frames(mac: str, ip: str) -> tuple[bytes, ...]:
    argv = [sys.executable, "-P", "-m", "mmm.network.frames", mac, ip]
    built = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout

    return tuple(bytes.fromhex(frame) for frame in json.loads(built)[ip][0])
