"""Moves the writer while clients write, in every way there is, and looks afterwards for what was lost or doubled.

A round: clients write (mmm.proving.workload), the writer moves or is made to, clients write on and stop, what was
broken is healed, and every deed is looked for on every host. A host that has transactions which the others never got
is reported, and brought back by mmm_rejoin; with `by_itself` by nobody but the monitor, and then what was thrown away
has to be in a saved file, and nowhere else.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mmm.own_module import own_module
from mmm.proving import workload
from mmm.proving.announced import Announced
from mmm.proving.losses import Losses
from mmm.proving.outcomes import ACKNOWLEDGED, REFUSED, UNKNOWN
from mmm.proving.rounds import Round, peer
from mmm.proving.thrown_away import Saves, ThrownAway
from mmm.proving.vip_clients import Plan, Started
from mmm.proving.workload import COUNTER_TABLE, DATABASE, DEED_TABLE
from mmm.sandbox.apart import LIMIT, come_apart, out_of_use, reunite, whole_again
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.sql import quoted
from mmm.sandbox.semi_sync import only_masters_acknowledge
from mmm.sandbox.trouble.faults import heal
from mmm.sandbox.witness.health import catch_up, settle

_CLIENTS = 4
_DEEDS = 150
"""Acknowledged before the strike, and again after it."""
_ATOMIC_DDL = (10, 6, 0)
"""Since then MariaDB makes a table and logs that, or neither, when it is killed over it."""
Deed = tuple[int, int]
"""Client and number."""


@dataclass
class Found:
    """What a round came to."""

    name: str
    moves: int
    acknowledged: int
    unknown: int
    answer: str = ""
    lost: int = 0
    """Acknowledged, and not on the writer."""
    bad: list[str] = field(default_factory=list)
    """What must never be: rows doubled, refused rows that are there, hosts that differ."""
    apart: list[str] = field(default_factory=list)
    """Hosts with transactions that no other has, and these."""
    told: list[Announced] = field(default_factory=list)
    """What MMM said of the loss, in the order in which it said so: the last is what it knew at the end."""
    hands: dict[str, str] = field(default_factory=dict)
    """The hosts that did not come back by themselves, with what they were."""
    saved: list[ThrownAway] = field(default_factory=list)
    """What hosts have saved that the monitor has had rebuilt."""

    def __str__(self) -> str:
        moved = f"{self.moves} moves" if self.moves else f"not moved ({self.answer})"
        rest = [f"{self.lost} LOST"] * bool(self.lost) + [f"said: {said}" for said in self.told]
        rest += [f"{name} needed hands: {why}" for name, why in self.hands.items()]
        rest += list(map(str, self.saved))
        rest += [f"BAD: {bad}" for bad in self.bad]
        return f"{self.name}: {moved}, {self.acknowledged} deeds, {self.unknown} unknown" + "".join(
            f"; {each}" for each in rest
        )


class Clients:
    """The workload of one round, from `with` to its end; then `deeds` is there."""

    def __init__(self, sandbox: Sandbox, run: int) -> None:
        layout = sandbox.layout
        port = layout.hosts[layout.masters[0]].mysql_port
        self.deeds: dict[str, dict[Deed, str]] = {ACKNOWLEDGED: {}, UNKNOWN: {}, REFUSED: {}}
        """Of each outcome, the deeds with their kinds."""
        self._sandbox = sandbox
        plan = Plan(str(run), layout.writer_ip, port, clients=_CLIENTS)
        self._program = Started(
            sandbox.client.enter(own_module("mmm.proving.workload", plan.text())), self._take
        )
        self._acknowledged = 0
        self._over = ""

    def __enter__(self) -> Self:
        self._program.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.__exit__(kind, error, trace)
        if kind is None and not self._over:
            raise SandboxError(
                "the clients ended without their book: look for python in the client's machine"
            )
        for client, number, what, outcome in json.loads(self._over or '{"deeds": []}')["deeds"]:
            self.deeds[outcome][client, number] = what

    def wait(self, more: int) -> None:
        """Wait until that many more deeds are acknowledged; raises NotInTimeError."""
        wanted = self._acknowledged + more
        self._sandbox.wait_until(lambda: self._acknowledged >= wanted, LIMIT, f"clients write {more} more")

    def _take(self, line: str) -> None:
        if line.startswith('{"deeds"'):
            self._over = line
        else:
            self._acknowledged = json.loads(line)["acknowledged"]


def prepare(sandbox: Sandbox) -> None:
    """Make the clients' user and tables on every host, out of the binary logs; raises SqlError."""
    user = f"{quoted(workload.USER)}@'%'"
    flavour = sandbox.server.flavour
    counters = ", ".join(f"({each}, 0)" for each in range(workload.COUNTERS))
    for name in sandbox.hosts:
        sealed = not flavour.mariadb and name != sandbox.writer()
        statements = [
            "SET SESSION sql_log_bin=0",
            *([flavour.allow_writes] if sealed else []),
            f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
            f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {quoted(workload.PASSWORD)}",
            f"GRANT ALL ON {DATABASE}.* TO {user}",
            (
                f"CREATE TABLE IF NOT EXISTS {DEED_TABLE} (id BIGINT AUTO_INCREMENT PRIMARY KEY, run INT NOT NULL,"
                " client INT NOT NULL,"
                " n INT NOT NULL, counter INT, KEY (run, client, n), KEY (counter))"
            ),
            f"CREATE TABLE IF NOT EXISTS {COUNTER_TABLE} (id INT PRIMARY KEY, value INT NOT NULL)",
            f"INSERT IGNORE INTO {COUNTER_TABLE} VALUES {counters}",  # noqa: S608
            *(["SET GLOBAL read_only=1"] if sealed else []),
        ]
        sql.execute(sandbox.machine(name), statements)


def torture(
    sandbox: Sandbox, way: Round, number: int, *, semi_sync: bool = False, by_itself: bool = False
) -> Found:
    """Do one round on a healthy cluster and leave it healthy; raises SandboxError, NotInTimeError, SqlError.

    With `semi_sync` the masters acknowledge each other's commits (mmm.sandbox.semi_sync), and nothing may be
    lost. With `by_itself` no host may need hands (`auto_rejoin`).
    """
    saves = Saves(sandbox)
    moves, answer, writer = 0, "", None
    losses = Losses(sandbox, time.monotonic)
    if semi_sync:
        only_masters_acknowledge(sandbox, LIMIT)
    with Clients(sandbox, number) as clients:
        for _ in range(way.times):
            clients.wait(_DEEDS // way.times)
            writer = sandbox.writer()
            if writer is None:
                raise SandboxError("no host has the writer's VIP, or several have")
            answer = _strike(sandbox, way, writer)
            moves += peer(sandbox, writer) in sandbox.holders(sandbox.layout.writer_ip)
        clients.wait(_DEEDS)
    found = Found(way.name, moves, len(clients.deeds[ACKNOWLEDGED]), len(clients.deeds[UNKNOWN]), answer)
    _mend(sandbox, found, by_itself=by_itself)
    found.saved = saves.read()
    if by_itself:
        found.apart += list(map(str, found.saved))
    found.told = [said for said in losses.read() if said.host == writer]
    if sandbox.server.flavour.mariadb and sandbox.server.flavour.version < _ATOMIC_DDL:
        found.apart += _without_unlogged(sandbox, number, clients.deeds[UNKNOWN])
    _verify(sandbox, number, clients.deeds, found)
    found.bad += judged(way, found, semi_sync=semi_sync, by_itself=by_itself)
    _tidy(sandbox, number)
    return found


def judged(way: Round, found: Found, *, semi_sync: bool = False, by_itself: bool = False) -> list[str]:
    """Return what must not be of what a round came to."""
    bad = [
        f"{found.lost} acknowledged deeds are lost, and MMM said: {said}"
        for said in found.told
        if said.too_low(found.lost)
    ]
    if found.lost and not found.told:
        bad.append(f"{found.lost} acknowledged deeds are lost, and MMM said nothing")
    if found.lost and semi_sync:
        bad.append(f"{found.lost} acknowledged deeds are lost, and semi-sync was on")
    if way.planned and (found.lost or found.apart):
        bad.append("a planned move lost something")
    if way.planned and not way.refusable and not found.moves:
        bad.append("a planned move was not made")
    if found.hands and by_itself:
        bad.append("a host needed hands, and auto_rejoin is on")
    elif found.hands and not found.apart:
        bad.append("a host without extra transactions did not come back")
    return bad


def _strike(sandbox: Sandbox, way: Round, writer: str) -> str:
    """Make the writer move to its peer and wait for it; returns the answer to a move that was ordered."""
    target, vip = peer(sandbox, writer), sandbox.layout.writer_ip
    way.strike(sandbox, writer)
    answer = _move(sandbox, target, insist=not way.refusable) if way.planned else ""
    if not way.planned or (answer.startswith("OK") and not way.refusable):
        sandbox.wait_until(lambda: target in sandbox.holders(vip), LIMIT, f"{way.name}: the writer moves")
    return answer


def _move(sandbox: Sandbox, target: str, *, insist: bool) -> str:
    """Order the move as an admin does; returns the answer.

    It is ordered again while the monitor is away, by those who `insist` also while it is refused.
    """
    deadline = time.monotonic() + LIMIT
    role = sandbox.layout.cluster.active_master_role
    while True:
        try:
            answer = sandbox.ask(f"move_role {role} {target}", limit=LIMIT).strip()
            if answer.startswith("OK") or not insist or time.monotonic() > deadline:
                return answer
        except (OSError, SandboxError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _mend(sandbox: Sandbox, found: Found, *, by_itself: bool) -> None:
    """Heal, find the hosts that have come apart, copy data to them, and wait for a healthy cluster.

    What has to mend itself gets the time for it first.
    """
    heal(sandbox)
    left = whole_again(sandbox) if by_itself else {}
    apart = come_apart(sandbox)
    found.apart += [f"{name} has {extra} alone" for name, extra in apart.items()]
    found.hands = {**out_of_use(sandbox, apart), **left}
    reunite(sandbox, apart)
    settle(sandbox, LIMIT)
    catch_up(sandbox, LIMIT)


def _without_unlogged(sandbox: Sandbox, run: int, unknown: Mapping[Deed, str]) -> list[str]:
    """Remove the tables that a server was making when it was killed, and say them.

    It has them, its binary log has not, so that nobody gets them and no GTID tells.
    """
    made = {name: _made(sandbox, name, run) for name in sandbox.hosts}
    found = []
    for name, tables in made.items():
        others = set().union(*(of for other, of in made.items() if other != name))
        for deed in (tables - others) & unknown.keys():
            table = workload.table(run, *deed)
            sql.execute(
                sandbox.machine(name), ["SET SESSION sql_log_bin=0", f"DROP TABLE {DATABASE}.{table}"]
            )
            found.append(f"{name} has the table {table} alone, and not in its log")
    return found


def _made(sandbox: Sandbox, host: str, run: int) -> set[Deed]:
    """Return the deeds that were to make a table which is there."""
    rows = sandbox.insist(host, f"SHOW TABLES FROM {DATABASE} LIKE 'made\\_{run}\\_%'")
    parts = (str(next(iter(row.values()))).split("_") for row in rows)
    return {(int(client), int(number)) for _, _, client, number in parts}


def _verify(sandbox: Sandbox, run: int, deeds: Mapping[str, Mapping[Deed, str]], found: Found) -> None:
    """Look for every deed of the run on every host, and for differences between hosts."""
    writer = sandbox.writer()
    seen = {name: _seen(sandbox, name, run) for name in sandbox.hosts}
    for name, there in seen.items():
        missing = [deed for deed in deeds[ACKNOWLEDGED] if deed not in there]
        if name == writer:
            found.lost = len(missing)
        if missing and not found.apart:
            found.bad.append(f"{len(missing)} acknowledged deeds missing on {name}: {_some(missing)}")
        doubled = [deed for deed, times in there.items() if times > 1]
        if doubled:
            found.bad.append(f"doubled on {name}: {_some(doubled)}")
        ghosts = [deed for deed in deeds[REFUSED] if deed in there]
        if ghosts:
            found.bad.append(f"refused and yet on {name}: {_some(ghosts)}")
    found.bad += _differences(sandbox) + _not_kept(seen, run, deeds[ACKNOWLEDGED], found, writer)


def _not_kept(
    seen: Mapping[str, Mapping[Deed, int]],
    run: int,
    acknowledged: Mapping[Deed, str],
    found: Found,
    writer: str | None,
) -> list[str]:
    """Return what was thrown away and is in no saved file, or in one and yet on a host."""
    kept = {deed for each in found.saved for deed in _deeds(each, run)}
    bad = []
    if found.saved and (
        gone := [each for each in acknowledged if each not in seen[writer or ""] and each not in kept]
    ):
        bad.append(f"lost, and in no saved file: {_some(gone)}")
    for name, there in seen.items():
        if both := kept & there.keys():
            bad.append(f"saved as thrown away, and yet on {name}: {_some(both)}")
    return bad


def _deeds(thrown: ThrownAway, run: int) -> set[Deed]:
    rows = thrown.rows(DEED_TABLE)
    found = {(int(row["client"]), int(row["n"])) for row in rows if int(row["run"]) == run}
    made = (name.split("_") for name in thrown.tables if name.startswith(f"made_{run}_"))
    return found | {(int(client), int(number)) for _, _, client, number in made}


def _seen(sandbox: Sandbox, host: str, run: int) -> Counter[Deed]:
    """Return how often each deed of the run is on a host."""
    question = f"SELECT client, n, COUNT(*) AS times FROM {DEED_TABLE} WHERE run={run} GROUP BY client, n"  # noqa: S608
    rows = sandbox.insist(host, question, limit=30)
    there: Counter[Deed] = Counter({(row["client"], row["n"]): row["times"] for row in rows})
    there.update(_made(sandbox, host, run))
    return there


def _differences(sandbox: Sandbox) -> list[str]:
    """Return what differs between hosts, or within one between the counters and the rows that counted."""
    sums = {name: _sums(sandbox, name) for name in sandbox.hosts}
    first = sandbox.hosts[0]
    found = []
    for name, tables in sums.items():
        counted = sandbox.insist(
            name,
            f"SELECT id, value, (SELECT COUNT(*) FROM {DEED_TABLE} WHERE counter = c.id) AS deeds"  # noqa: S608
            f" FROM {COUNTER_TABLE} c",
            limit=60,
        )
        found += [
            f"counter {row['id']} of {name}: {row['value']}, {row['deeds']} rows"
            for row in counted
            if row["value"] != row["deeds"]
        ]
        differing = sorted(
            table
            for table in tables.keys() | sums[first].keys()
            if tables.get(table) != sums[first].get(table)
        )
        if differing:
            found.append(f"{name} differs from {first} in {', '.join(differing[:5])}")
    return found


def _sums(sandbox: Sandbox, host: str) -> dict[str, object]:
    """Return the clients' tables on a host with their checksums."""
    names = [str(next(iter(row.values()))) for row in sandbox.insist(host, f"SHOW TABLES FROM {DATABASE}")]
    tables = ", ".join(f"{DATABASE}.{name}" for name in names)
    return {
        row["Table"]: row["Checksum"] for row in sandbox.insist(host, f"CHECKSUM TABLE {tables}", limit=60)
    }


def _tidy(sandbox: Sandbox, run: int) -> None:
    """Remove the tables that the run made."""
    writer = sandbox.writer()
    if writer is not None:
        for client, number in _made(sandbox, writer, run):
            table = f"{DATABASE}.{workload.table(run, client, number)}"
            sandbox.insist(writer, f"DROP TABLE IF EXISTS {table}")


def _some(deeds: Iterable[Deed]) -> str:
    known = sorted(deeds)
    return ", ".join(f"{client}/{number}" for client, number in known[:5]) + (
        ", ..." if len(known) > 5 else ""
    )
