"""What sandbox scenarios have in common: the story a log tells, and a host's own word about itself."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError
from mmm.sandbox.trouble.faults import heal, inject, server_process
from mmm.sandbox.witness.health import host_facts, settle
from mmm.sandbox.witness.probe_run import Probe, Report

LIMIT = 40.0
"""Seconds that any awaited event may take; what is waited for usually comes within five."""
PATIENCE = 8.0
"""Seconds that a client waits for an answer where none has to be missing: on a busy machine one may come late."""
LONG_LEASE = 10
"""Seconds, where nobody waits for the end of a lease: no daemon that is started on a busy machine takes as long."""
LONG_UP = 20.0
ALL_ONLINE = {"db1": "ONLINE", "db2": "ONLINE", "db3": "ONLINE"}

SHORT_OUTAGE = [
    ("ONLINE", "HARD_OFFLINE", "host_failed"),
    ("HARD_OFFLINE", "AWAITING_RECOVERY", "back"),
    ("AWAITING_RECOVERY", "ONLINE", "short_outage"),
]
"""What becomes of a host whose server or link fails and comes back soon."""

MORE_THAN_THE_NEXT = {"refuses_to_follow", "replication_good"}
"""Rules that a slave goes by which had got more from a killed writer than the host that took over."""

_FAILED_AGAIN = ("AWAITING_RECOVERY", "HARD_OFFLINE", "failed_again")
_HOW_IT_CAME_BACK = ("short_outage", "set_online")

_CHANGE = re.compile(
    r"^\S+ \S+ (?P<level>\w+) (?P<host>[\w.-]+): (?P<before>[A-Z_]+) -> (?P<after>[A-Z_]+)"
    r" \((?P<rule>\w+)\): (?P<sentence>.+)$"
)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state as the monitor's log tells it in one line."""

    level: str
    host: str
    before: str
    after: str
    rule: str
    sentence: str


class Log:
    """A daemon's log from now on."""

    def __init__(self, sandbox: Sandbox, machine: str = "", program: str = "mmm_mond") -> None:
        self._sandbox = sandbox
        self._path = sandbox.machine(machine or sandbox.layout.monitor).log / f"{program}.log"
        self._start = self._path.stat().st_size if self._path.exists() else 0

    def lines(self, pattern: str = "") -> list[str]:
        """Return the whole lines so far in which the pattern is found."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if re.search(pattern, line)]

    def wait(self, pattern: str, number: int = 1) -> str:
        """Wait until the pattern is found in `number` lines and return the last of them."""
        what = f"{self._path.name} says {pattern!r} {number} times"
        self._sandbox.wait_until(lambda: len(self.lines(pattern)) >= number, LIMIT, what)
        return self.lines(pattern)[number - 1]

    def changes(self, host: str = "") -> list[Change]:
        """Return the changes of state, of one host or of all."""
        matches = filter(None, map(_CHANGE.match, self.lines()))
        found = [Change(**match.groupdict()) for match in matches]
        return [change for change in found if host in {"", change.host}]

    def story(self, host: str) -> list[tuple[str, str, str]]:
        """Return from, to and rule of every change of a host."""
        return [(change.before, change.after, change.rule) for change in self.changes(host)]

    def wait_change(self, host: str, after: str, number: int = 1) -> Change:
        """Wait until the host has gone to a state for the `number`th time and return that change."""

        def found() -> list[Change]:
            return [change for change in self.changes(host) if change.after == after]

        self._sandbox.wait_until(lambda: len(found()) >= number, LIMIT, f"{host} goes {after}")
        return found()[number - 1]


@dataclass(frozen=True, slots=True)
class Patient:
    """A cluster that something was done to at `since` (monotonic), and what its monitor has said from then on."""

    sandbox: Sandbox
    log: Log
    since: float

    def wait(self, seconds: float) -> None:
        """Wait until so many seconds have passed since then, and a few for what follows from them."""
        self.sandbox.wait_until(
            lambda: time.monotonic() - self.since > seconds + 2, seconds + LIMIT, f"{seconds:g} s have passed"
        )


def move_writer(sandbox: Sandbox, host: str) -> str:
    """Have the writer role moved to a host by order and return the answer; ends the test where that is a refusal."""
    answer = _ordered(sandbox, host)
    assert answer["ok"], answer["message"]
    return str(answer["message"])


def _ordered(sandbox: Sandbox, host: str) -> dict[str, Any]:
    """Order that the writer role is moved to a host and return the answer, in JSON.

    It is ordered again where something speaks against it, so that nothing was begun: on a busy machine a check has just
    failed once, the host is a moment behind, or an agent is at an order yet. So it is where this machine's own disk has
    stood still for longer than the lease lets a move wait for it, which is no hanging disk that a test made.
    """
    answer: dict[str, Any] = {}

    def begun() -> bool:
        done = sandbox.control("--format", "json", "move_role", "writer", host, limit=90)
        assert done.stdout, done.stderr
        answer.update(json.loads(done.stdout))
        return answer["code"] != "objections" and not _stood_still(answer)

    try:
        sandbox.wait_until(begun, LIMIT, f"nothing speaks against {host} as the writer")
    except NotInTimeError as error:
        raise NotInTimeError(f"{answer['message']}\n{error}") from None
    return answer


def _stood_still(answer: dict[str, Any]) -> bool:
    """Tell whether a move was taken back because the status file was not written in time."""
    return bool(answer["code"] == "moved_back" and answer["fields"]["cause"]["code"] == "unwritten")


@contextmanager
def move_under_way(sandbox: Sandbox) -> Iterator[list[tuple[int, str]]]:
    """Let the writer be on its way from db1 to db2, db1 waiting for a client's statement.

    It is done when the block ends. Gives the list that exit status and answer of mmm_control come into.
    """
    answers: list[tuple[int, str]] = []

    def order() -> None:
        answer = _ordered(sandbox, "db2")
        answers.append((0 if answer["ok"] else 1, str(answer["message"])))

    log, mover = Log(sandbox), threading.Thread(target=order)
    with at_work(sandbox, "db1"):
        mover.start()
        log.wait(r"writer.*: db1 -> db2, by the admin")
        yield answers
    mover.join()


def dumps(sandbox: Sandbox, host: str, *replicas: str) -> list[int]:
    """Return the sessions by which a host sends its binary log, to these replicas or to all."""
    asked = "SELECT ID, HOST FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"
    ips = [sandbox.layout.hosts[name].ip for name in replicas or sandbox.hosts]
    return [int(row["ID"]) for row in sandbox.sql(host, asked) if row["HOST"].rpartition(":")[0] in ips]


def end_dumps(sandbox: Sandbox, host: str, *replicas: str) -> None:
    """End these sessions: the replicas have to log in anew."""
    for number in dumps(sandbox, host, *replicas):
        with suppress(sql.SqlError):  # it has ended by itself
            sandbox.sql(host, f"KILL {number}")


@contextmanager
def at_work(sandbox: Sandbox, host: str) -> Iterator[None]:
    """Give a host a session whose statement has been writing for a second; it is done when the block ends."""
    machine = sandbox.machine(host)
    with sql.session(machine, LIMIT) as gate, sql.session(machine, LIMIT) as worker:

        def work() -> None:
            with suppress(sql.SqlError), worker.cursor() as cursor:
                cursor.execute(
                    f"INSERT INTO {TICK_TABLE} (id) SELECT NULL FROM DUAL WHERE GET_LOCK('at work', 60)"  # noqa: S608
                )

        long = "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID=%s AND COMMAND='Query' AND TIME >= 1"
        number = worker.thread_id()  # type: ignore[no-untyped-call]
        thread = threading.Thread(target=work)
        with gate.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK('at work', 0)")
            thread.start()
            sandbox.wait_until(lambda: cursor.execute(long, (number,)), LIMIT, "a statement is long")
            yield
            with suppress(sql.SqlError):
                cursor.execute("SELECT RELEASE_LOCK('at work')")
        thread.join()


def wait_failed(log: Log, host: str, *checks: str) -> None:
    """Wait until these checks of a host have failed, so that none is left half way when it is healed."""
    for check in checks:
        log.wait(f"ERROR {host}: {check} has failed")


def watched(sandbox: Sandbox, host: str) -> int:
    """Return the pid of a host's server once the host's agent watches it."""
    process, path = server_process(sandbox, host), sandbox.machine(host).log / "mmm_agentd.log"
    assert process is not None
    says = f"watches the server's process {process.inner}\n"
    sandbox.wait_until(lambda: says in path.read_text(), LIMIT, f"the agent of {host} {says}")
    return process.inner


def wait_back(sandbox: Sandbox, log: Log, host: str) -> None:
    """Wait until every host is ONLINE again after the writer `host` was lost with clients on it.

    When it has committed what nobody got, the monitor says so, and an admin takes it as it is.
    """
    all_online = dict.fromkeys(sandbox.hosts, "ONLINE")

    def has_more() -> bool:
        with suppress(OSError, ValueError, SandboxError):  # the monitor may be away
            return sandbox.refused(host) == "extra_transactions"
        return False

    sandbox.wait_until(
        lambda: sandbox.states() == all_online or has_more(), LIMIT, f"{host} is back, or waits for the admin"
    )
    if has_more():
        log.wait(rf"ERROR {host}: it has .* lacked when")
        log.wait_change(host, "AWAITING_RECOVERY")
        force = f"set_online --force {host}"
        sandbox.wait_until(lambda: sandbox.ask(force, limit=LIMIT).startswith("OK"), LIMIT, force)
    sandbox.wait_states(LIMIT, **all_online)


def come_back(sandbox: Sandbox, log: Log, host: str) -> None:
    """Undo what was done to the cluster and wait until the writer `host`, which was lost, is back and all is well."""
    heal(sandbox)
    wait_back(sandbox, log, host)
    settle(sandbox)


def lose_the_server(sandbox: Sandbox, fault: str = "kill-mysqld") -> Report:
    """Lose the server of db1, the writer, while a client writes; it says that nothing is lost, and comes back.

    Returns what the client found.
    """
    log = Log(sandbox)
    with Probe(sandbox) as probe:
        probe.wait_writes(LIMIT)
        inject(sandbox, fault, "db1")
        log.wait("lost with db1 when db2 took over: nothing: ")
        probe.wait_writes(LIMIT)
        come_back(sandbox, log, "db1")
    return probe.report


def assert_was_away(log: Log, host: str) -> None:
    """End the test and show the story where the host was not away for a short outage, with the admin's help or without.

    On a busy machine a server that has just started may fail once more.
    """
    story = log.story(host)
    usual = {*SHORT_OUTAGE, _FAILED_AGAIN, *((*SHORT_OUTAGE[2][:2], rule) for rule in _HOW_IT_CAME_BACK)}
    back = story[:2] == SHORT_OUTAGE[:2] and set(story) <= usual and story[-1][1] == "ONLINE"
    assert back, story


def without_relapses(story: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return a story without what a busy machine may add: a server that has just started fails once more, and is back.

    A relapse that it has not come back from stays in it.
    """
    kept: list[tuple[str, str, str]] = []
    for change in story:
        kept.append(change)
        if kept[-2:] == [_FAILED_AGAIN, SHORT_OUTAGE[1]]:
            del kept[-2:]
    return kept


def switch_off(sandbox: Sandbox, log: Log, host: str) -> None:
    """Switch a host off and wait until the monitor knows.

    First it waits until the host has been up for longer than it is going to be after its next start, or its
    reboot could not be told from a short outage.
    """
    machine = sandbox.machine(host)

    def uptime() -> float:
        return float(machine.run(["cat", "/proc/uptime"]).stdout.split()[0])

    sandbox.wait_until(lambda: uptime() > LONG_UP, LIMIT, f"{host} has been up for {LONG_UP:g} s")
    sandbox.power_off(host)
    log.wait_change(host, "HARD_OFFLINE")
    wait_failed(log, host, "ping", "mysql")


def writes_to(probe: Probe, host: str) -> None:
    """Wait until the client writes to that host."""
    probe.sandbox.wait_until(
        lambda: [each.after for each in probe.outages if each.kind == "write"][-1:] == [host],
        LIMIT,
        f"the client writes to {host}: {'; '.join(map(str, probe.outages))}",
    )


def refuses_writes(sandbox: Sandbox, host: str) -> bool:
    """Tell whether a host's server is known to take no writes: one that just ends all sessions says nothing."""
    return host_facts(sandbox, host).writable is False


def writable(sandbox: Sandbox, host: str) -> bool:
    """Tell whether a host's server takes writes; what cannot be asked is an AssertionError."""
    facts = host_facts(sandbox, host)
    assert facts.writable is not None, facts.error
    return facts.writable


def replicates(sandbox: Sandbox, host: str) -> bool:
    """Tell whether both threads of a host's replication run."""
    replica = host_facts(sandbox, host).replica
    return replica is not None and replica.runs


def reader_holders(sandbox: Sandbox) -> dict[str, tuple[str, ...]]:
    """Return for each reader VIP the hosts that have it bound."""
    return {ip: sandbox.holders(ip) for ip in sandbox.layout.reader_ips}


def has_readers(sandbox: Sandbox, host: str) -> bool:
    """Tell whether a host has a reader VIP bound."""
    return any(host in holders for holders in reader_holders(sandbox).values())


def check_line(sandbox: Sandbox, host: str, check: str) -> str:
    """Return what the monitor says of a check."""
    return sandbox.ask(f"checks {host} {check}").strip()
