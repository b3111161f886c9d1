"""A run of chaos: one or two faults at a time, each undone in its turn, then everything is put right; clients write on.

What it returns is the history, to be judged by mmm.proving.chaos.checker, which knows nothing of this program.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmm.config.model import Via
from mmm.lease.rules import margin
from mmm.proving.chaos.asked import Answered, Leased
from mmm.proving.chaos.client import TABLE
from mmm.proving.chaos.history import Contents, Hand, History, Kept, Struck
from mmm.proving.chaos.plan import (
    MONITOR,
    SLAVE,
    STANDBY,
    STANDS_BY,
    WITNESS,
    WRITER,
    Round,
    Strike,
)
from mmm.proving.chaos.recorders import (
    Holders,
    Leads,
    Listener,
    Looks,
    Stalls,
    Told,
    Writers,
    client_machines,
    writes_by_proxy,
)
from mmm.proving.thrown_away import Saves
from mmm.sandbox.apart import come_apart, out_of_use, reunite, whole_again
from mmm.sandbox.cluster import Sandbox, Say
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.proxy import start_proxy, with_health
from mmm.sandbox.trouble.faults import heal, inject, undo
from mmm.sandbox.witness.health import catch_up, settle

CONF = fast(
    Conf(
        top={"vip_lease": 3},
        monitor={"split_brain_guard": "yes", "flap_count": 0, "failover_block": 0},
        check={"timeout": 1},
    ),
    0.5,
)
"""A short lease and fast checks, so that all that follows from a fault follows within seconds."""
CLASSIC = fast(
    Conf(
        top={"vip_lease": 0},
        monitor={"split_brain_guard": "no", "flap_count": 0, "failover_block": 0},
        check={"timeout": 1},
    ),
    0.5,
)
"""The same without what keeps two hosts from being writers."""
_LIMIT = 90.0
_CALM = 1.0
"""Seconds in which the clients write through a healthy cluster before the next round."""
_MOST_UNHEALED = 3
"""Rounds after which the cluster was not healthy in time: then it is over."""


def reached(conf: Conf, via: Via, program: Path) -> Conf:
    """Return `conf` with a writer role that clients reach so; `program`: what moves the VIP with `vip_via script`."""
    if via == "arp":
        return conf
    values = {"vip_via": via, **({"vip_script": program} if via == "script" else {})}
    made = replace(conf, roles={**conf.roles, "writer": {**conf.roles.get("writer", {}), **values}})
    return with_health(made) if via == "health" else made


def prepare(sandbox: Sandbox) -> None:
    """Give every host the clients' table, empty, out of its binary log, and every machine a proxy where they need one.

    Raises SqlError, SandboxError.
    """
    if writes_by_proxy(sandbox):
        start_proxy(sandbox, on=client_machines(sandbox))
    flavour, writer = sandbox.server.flavour, sandbox.writer()
    for name in sandbox.hosts:
        sealed = not flavour.mariadb and name != writer
        statements = [
            "SET SESSION sql_log_bin=0",
            *([flavour.allow_writes] if sealed else []),
            f"DROP TABLE IF EXISTS {TABLE}",
            # No unique key: a row that is written twice must show.
            (
                f"CREATE TABLE {TABLE} (client VARCHAR(64) NOT NULL, number INT NOT NULL, server BIGINT NOT NULL,"
                " KEY (client, number))"
            ),
            *(["SET GLOBAL read_only=1"] if sealed else []),
        ]
        sql.execute(sandbox.machine(name), statements)


class Run:
    """One run on a healthy sandbox; `about` is kept in its history. With `by_itself` hosts get the time to mend."""

    def __init__(
        self,
        sandbox: Sandbox,
        about: Mapping[str, Any],
        say: Say = lambda _: None,
        *,
        by_itself: bool = False,
    ) -> None:
        self._sandbox, self._about, self._say, self._by_itself = sandbox, about, say, by_itself
        conf = sandbox.layout.cluster
        self._bound = conf.via(conf.active_master_role) == "arp"
        self._saves = Saves(sandbox)
        self._kept: list[Kept] = []
        self._struck: list[Struck] = []
        self._repairs: list[Struck] = []
        self._hands: list[Hand] = []
        self._over = threading.Event()
        self._began = time.monotonic()

    @property
    def faults(self) -> int:
        """Return how many faults were done so far."""
        return len(self._struck)

    @property
    def seconds(self) -> float:
        """Return how long it has run."""
        return time.monotonic() - self._began

    def relent(self) -> None:
        """Have every fault undone now, however long it was to last; those that are still to come last no time."""
        self._over.set()

    def go(self, rounds: Iterable[Round], enough: Callable[["Run"], bool]) -> History:
        """Do rounds until it is `enough`, or the cluster is not healthy again and again.

        Raises SandboxError, SqlError.
        """
        sandbox = self._sandbox
        folder = sandbox.directory / "chaos"
        folder.mkdir(exist_ok=True)
        prepare(sandbox)
        with contextlib.ExitStack() as stack:
            holders = Holders(sandbox) if self._bound else Leased(sandbox)
            stack.enter_context(holders)
            answers = stack.enter_context(Answered(sandbox))
            listener = stack.enter_context(Listener(sandbox))
            told = stack.enter_context(Told(sandbox))
            stalls = stack.enter_context(Stalls(sandbox))
            leads = [stack.enter_context(Leads(sandbox, name)) for name in self._several()]
            looks = [stack.enter_context(Looks(sandbox, name)) for name in sandbox.layout.masters]
            with Writers(sandbox, folder) as writers:
                unhealed = self._rounds(rounds, enough)
            if not unhealed:
                catch_up(sandbox, _LIMIT)
        return History(
            {**self._about, **self._known(), "seconds": round(self.seconds, 1), "began": self._began},
            sandbox.writer() or "",
            rows=tuple(writers.rows()),
            struck=tuple(self._struck),
            repairs=(*self._repairs, *stalls.stalls),
            held=holders.held(),
            answered=answers.answered(),
            led=tuple(led for each in leads for led in each.led),
            said=tuple(listener.said),
            announced=tuple(told.announced),
            hands=tuple(self._hands),
            kept=tuple(self._kept),
            looks=tuple(look for each in looks for look in each.looks),
            contents=tuple(self._contents()),
            unhealed=tuple(unhealed),
        )

    def _several(self) -> tuple[str, ...]:
        """Return the monitors, where there are several."""
        names = tuple(self._sandbox.layout.monitors)
        return names if len(names) > 1 else ()

    def _known(self) -> dict[str, Any]:
        """Return whether the writer has an address, and of several monitors who they are, who votes, what it takes."""
        conf, names = self._sandbox.layout.cluster, self._several()
        takes = conf.lead_lease + margin(conf.lead_lease) + 1.0
        several = {"monitors": {"monitors": names, "voters": conf.voters, "takes": takes}} if names else {}
        return {"bound": self._bound, **several}

    def _rounds(self, rounds: Iterable[Round], enough: Callable[["Run"], bool]) -> list[str]:
        """Do rounds; returns those after which the cluster was not healthy again, a line each."""
        unhealed: list[str] = []
        self._began = time.monotonic()
        for number, strikes in enumerate(rounds, 1):
            time.sleep(_CALM)
            try:
                self._round(number, strikes)
            except (SandboxError, sql.SqlError) as error:
                unhealed.append(f"{self.seconds:.0f} s after the start, {self._last()}: {error}")
                self._say(f"{number:>4} {unhealed[-1]}")
            if enough(self) or len(unhealed) >= _MOST_UNHEALED:
                break
        time.sleep(_CALM)
        return unhealed

    def _round(self, number: int, strikes: Round) -> None:
        began, before = time.monotonic(), self.faults
        hosts = self._hosts()
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(self._strike, strike, hosts[strike.who], number) for strike in strikes]
            for job in jobs:
                job.result()
        broken = time.monotonic() - began
        self._mend(number)
        done = "; ".join(map(str, self._struck[before:])) or "nothing could be broken"
        now = self._sandbox.writer()
        move = hosts[WRITER] if now == hosts[WRITER] else f"{hosts[WRITER]} -> {now}"
        mended = time.monotonic() - began - broken
        self._say(f"{number:>4} {self.seconds:7.1f} s  {done}; writer {move}; well after {mended:.1f} s")

    def _hosts(self) -> dict[str, str]:
        """Return who is who now."""
        sandbox = self._sandbox
        sandbox.wait_until(sandbox.writer, _LIMIT, "somebody has the writer's VIP")
        writer = sandbox.writer() or sandbox.layout.masters[0]
        masters = [name for name in sandbox.layout.masters if name != writer]
        slaves = [name for name in sandbox.hosts if name not in sandbox.layout.masters]
        standby = masters[0] if masters else slaves[0]
        witnesses = sandbox.layout.cluster.witnesses
        return {
            WRITER: writer,
            STANDBY: standby,
            SLAVE: slaves[0] if slaves else standby,
            **({WITNESS: next(iter(witnesses))} if witnesses else {}),
            **self._monitors(),
        }

    def _monitors(self) -> dict[str, str]:
        """Return which monitor leads now, and one that stands by."""
        sandbox = self._sandbox
        sandbox.wait_until(sandbox.leader, _LIMIT, "a monitor leads")
        leader = sandbox.leader() or sandbox.layout.monitor
        others = [name for name in sandbox.layout.monitors if name != leader]
        return {MONITOR: leader, STANDS_BY: others[0] if others else leader}

    def _strike(self, strike: Strike, host: str, number: int) -> None:
        self._over.wait(strike.after)
        since = time.monotonic()
        try:
            # A kernel takes an address from a host that is frozen; without one the last guard does.
            inject(self._sandbox, strike.fault, host, angel=strike.angel, guard=self._bound)
        except (SandboxError, sql.SqlError) as error:
            self._say(f"     {strike.fault} {host} cannot be done: {error}")
            undo(self._sandbox, strike.fault, host)
            return
        self._over.wait(strike.lasts)
        undo(self._sandbox, strike.fault, host)
        self._struck.append(Struck(strike.fault, host, since, time.monotonic(), number))

    def _mend(self, number: int) -> None:
        """Heal what is left, see who comes back, copy data to the others, and wait for a healthy cluster."""
        sandbox = self._sandbox
        heal(sandbox)
        left = whole_again(sandbox) if self._by_itself else {}
        apart = come_apart(sandbox)
        for name, why in {**out_of_use(sandbox, apart), **left}.items():
            self._say(f"     {name} needs hands: {why}")
            self._hands.append(Hand(name, why, number))
        with self._noted("rebuild", apart):
            reunite(sandbox, apart)
        self._keep()
        settle(sandbox, _LIMIT)
        catch_up(sandbox, _LIMIT)  # a replica whose connection is half dead runs and is not behind
        if self._several():
            sandbox.wait_until(self._all_vote, _LIMIT, "the monitor that leads hears every voter")

    def _all_vote(self) -> bool:
        with contextlib.suppress(OSError, SandboxError, ValueError):
            told = json.loads(self._sandbox.ask("json monitors"))
            return bool(told["leads"]) and not told["missing"] + told["uncounted"]
        return False

    def _keep(self) -> None:
        """Note what hosts have saved that were rebuilt."""
        for saved in self._saves.read():
            self._say(f"     {saved}")
            rows: dict[str, list[int]] = {}
            for row in saved.rows(TABLE):
                rows.setdefault(row["client"], []).append(int(row["number"]))
            numbers = {client: tuple(each) for client, each in rows.items()}
            self._kept.append(Kept(saved.host, saved.folder.name, saved.count, numbers))

    @contextlib.contextmanager
    def _noted(self, what: str, hosts: Iterable[str]) -> Iterator[None]:
        since = time.monotonic()
        yield
        self._repairs += [Struck(what, host, since, time.monotonic()) for host in hosts]

    def _last(self) -> str:
        return f"after {self._struck[-1]}" if self._struck else "before the first fault"

    def _contents(self) -> Iterator[Contents]:
        for name in self._sandbox.hosts:
            rows: dict[str, list[int]] = {}
            with contextlib.suppress(sql.SqlError, SandboxError):
                for row in self._sandbox.sql(name, f"SELECT client, number FROM {TABLE}", limit=60):  # noqa: S608
                    rows.setdefault(str(row["client"]), []).append(int(row["number"]))
            yield Contents(name, {client: tuple(numbers) for client, numbers in rows.items()})
