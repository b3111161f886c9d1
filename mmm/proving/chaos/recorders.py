"""Writes down what happens during a run of chaos: each recorder is a thread, or programs, from `with` to its end."""

import contextlib
import json
import select
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymysql.connections import Connection

from mmm.control.proxies.plan import WRITE
from mmm.own_module import own_module
from mmm.proving.announced import Announced
from mmm.proving.chaos.client import LIMIT, PERIOD, TABLE
from mmm.proving.chaos.history import (
    STALL,
    Held,
    Led,
    Look,
    Row,
    Said,
    Struck,
)
from mmm.proving.losses import Losses
from mmm.proving.vip_clients import Plan
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import addresses, sql
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.witness.logs import Logs

_NAP = 0.05
_LOOKS_EVERY = 0.25
_LIMIT = 0.5
_END_LIMIT = 15.0
_LATE = 0.25
_HERE = "127.0.0.1"


class Recorder(ABC):
    """A thread from `with` to its end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_END_LIMIT)

    @abstractmethod
    def _run(self) -> None:
        """Record until it is over."""


class Holders(Recorder):
    """When the writer's VIP was bound on which host; what came at the same time is read with removals first."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._vip = sandbox.layout.writer_ip
        self._sockets = {addresses.listen(sandbox.machine(name)): name for name in sandbox.hosts}
        self._since = dict.fromkeys(sandbox.holders(self._vip), time.monotonic())
        self._held: list[Held] = []

    def held(self) -> tuple[Held, ...]:
        """Return it so far."""
        now = time.monotonic()
        return (*self._held, *(Held(host, since, now) for host, since in list(self._since.items())))

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            for each in self._sockets:
                stack.enter_context(each)
            while not self._over.is_set():
                ready, _, _ = select.select(list(self._sockets), [], [], _NAP)
                now = time.monotonic()
                news = [move for each in ready for move in self._read(each) if move.ip == self._vip]
                for move in sorted(news, key=lambda move: move.bound):
                    if move.bound:
                        self._since.setdefault(move.host, now)
                    elif move.host in self._since:
                        self._held.append(Held(move.host, self._since.pop(move.host), now))

    def _read(self, ready: socket.socket) -> list[addresses.Moved]:
        return list(addresses.moved(self._sockets[ready], ready.recv(65536)))


class Leads(Recorder):
    """When a monitor, one of several, said that it leads; one that has led since, by its word, did so while silent."""

    def __init__(self, sandbox: Sandbox, monitor: str) -> None:
        super().__init__(sandbox)
        self._monitor = monitor
        self.led: list[Led] = []

    def _run(self) -> None:
        before: Led | None = None
        began: object = None
        while not self._over.wait(_LOOKS_EVERY):
            told: Mapping[str, object] = {}
            with contextlib.suppress(OSError, SandboxError, ValueError):
                told = json.loads(self._sandbox.ask_monitor(self._monitor, "json monitors", _LIMIT))
            now = time.monotonic()
            if not told.get("leads"):
                before = None if told else before
                continue
            if before is not None and told.get("since") == began:
                self.led.pop()
            else:
                before, began = None, told.get("since")
            before = Led(self._monitor, before.since if before else now, now)
            self.led.append(before)


class Listener(Recorder):
    """The lines of the daemons' logs, with the moment at which each was read."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._logs = Logs(sandbox, servers=False)
        self._logs.read()  # what was logged before is not of this run
        self.said: list[Said] = []

    def _run(self) -> None:
        over = False
        while not over:
            over = self._over.wait(_NAP)
            now = time.monotonic()
            for line in self._logs.read():
                machine, _, text = line.partition(" ")
                self.said.append(Said(machine, now, text.strip()))


class Told(Recorder):
    """What the monitor's history says of losses, with the moment at which each was read."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._losses = Losses(sandbox, time.monotonic)
        self.announced: list[Announced] = []

    def _run(self) -> None:
        over = False
        while not over:
            over = self._over.wait(_NAP)
            self.announced += self._losses.read()


class Looks(Recorder):
    """Looks at a master from the client's machine, at its own address, several times a second."""

    def __init__(self, sandbox: Sandbox, host: str) -> None:
        super().__init__(sandbox)
        self._host = host
        self._connection: Connection[Any] | None = None
        self.looks: list[Look] = []

    def _run(self) -> None:
        while not self._over.wait(_LOOKS_EVERY):
            rows: Mapping[str, int] | None = None
            try:
                rows = self._rows()
            except (sql.SqlError, SandboxError, OSError):
                self._drop()
            self.looks.append(Look(self._host, time.monotonic(), rows))
        self._drop()

    def _rows(self) -> dict[str, int]:
        connection = self._connection or self._connect()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT client, MAX(number) FROM {TABLE} GROUP BY client")  # noqa: S608
            return {str(client): int(number) for client, number in cursor.fetchall()}

    def _connect(self) -> "Connection[Any]":
        host = self._sandbox.layout.hosts[self._host]
        made = self._sandbox.client.connect((host.ip, host.mysql_port), _LIMIT)
        connection: Connection[Any] = Connection(
            user=CLIENT_USER, password=CLIENT_PASSWORD, read_timeout=_LIMIT, write_timeout=_LIMIT,
            autocommit=True, defer_connect=True,
        )  # fmt: skip
        self._connection = connection
        connection.connect(made)
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001
        self._connection = None


class Stalls(Recorder):
    """When this machine was too busy to run a program that wanted to: then daemons and servers were late, too."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.stalls: list[Struck] = []

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(_NAP):
            now = time.monotonic()
            if now - last > _NAP + _LATE:
                self.stalls.append(Struck(STALL, "this machine", last, now))
            last = now


def writes_by_proxy(sandbox: Sandbox) -> bool:
    """Tell whether the writer has no address: each client goes through HAProxy on its machine, which asks the hosts."""
    conf = sandbox.layout.cluster
    return conf.via(conf.active_master_role) == "health"


def client_machines(sandbox: Sandbox) -> tuple[str, ...]:
    """Return the machines with a client: all but witnesses, which are switched off, too."""
    return tuple(name for name in sandbox.layout.plugs if name not in sandbox.layout.cluster.witnesses)


class Writers:
    """A client on each of `client_machines`, so that every cut has one on each side; rows go to files in `folder`."""

    def __init__(self, sandbox: Sandbox, folder: Path, period: float = PERIOD) -> None:
        layout = sandbox.layout
        where = (layout.writer_ip, layout.hosts[layout.masters[0]].mysql_port)
        if writes_by_proxy(sandbox):
            where = (_HERE, WRITE)
        self._sandbox, self._folder = sandbox, folder
        self._plans = {name: Plan(name, *where, 1, period, LIMIT) for name in client_machines(sandbox)}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        ids = {name: sandbox.sql(name, "SELECT @@server_id AS id")[0]["id"] for name in sandbox.hosts}
        self._names = {int(number): name for name, number in ids.items()}

    def __enter__(self) -> Self:
        for name, plan in self._plans.items():
            argv = self._sandbox.machine(name).enter(own_module("mmm.proving.chaos.client", plan.text()))
            with (self._folder / f"rows.{name}").open("wb") as out:
                self._children[name] = subprocess.Popen(
                    argv, stdin=subprocess.PIPE, stdout=out, start_new_session=True
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children.values():
            if child.stdin:
                child.stdin.close()
        for child in self._children.values():
            try:
                child.wait(_END_LIMIT)
            except subprocess.TimeoutExpired:
                child.kill()

    def rows(self) -> list[Row]:
        """Return what all clients have tried; raises SandboxError when one has ended too early."""
        found = []
        for name, child in self._children.items():
            if child.returncode:
                raise SandboxError(f"the client on {name} ended with status {child.returncode}: see above")
            for line in (self._folder / f"rows.{name}").read_text().splitlines():
                number, sent, answered, outcome, server = json.loads(line)
                found.append(Row(name, number, sent, answered, outcome, self._names.get(server, "")))
        return found
