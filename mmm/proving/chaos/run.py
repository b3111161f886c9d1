"""A run of chaos: one or two faults at a time, each undone in its turn, then everything is put right; clients write on.

What it returns is the history, to be judged by mmm.proving.chaos.checker, which knows nothing of this program.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mmm.proving.chaos.client import TABLE
from mmm.proving.chaos.history import Contents, Hand, History, Kept, Struck
from mmm.proving.chaos.plan import (
    MONITOR,
    SLAVE,
    STANDBY,
    WRITER,
    Round,
    Strike,
)
from mmm.proving.chaos.recorders import (
    Holders,
    Listener,
    Looks,
    Stalls,
    Told,
    Writers,
)
from mmm.proving.thrown_away import Saves
from mmm.sandbox.apart import come_apart, out_of_use, reunite, whole_again
from mmm.sandbox.cluster import Sandbox, Say
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.machines.machine import SandboxError
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


def prepare(sandbox: Sandbox) -> None:
    """Give every host the clients' table, empty, out of its binary log; raises SqlError."""
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

    def go(self, rounds: Iterable[Round], enough: Callable[["Run"], bool]) -> History:
        """Do rounds until it is `enough`, or the cluster is not healthy again and again.

        Raises SandboxError, SqlError.
        """
        sandbox = self._sandbox
        folder = sandbox.directory / "chaos"
        folder.mkdir(exist_ok=True)
        prepare(sandbox)
        with contextlib.ExitStack() as stack:
            holders = stack.enter_context(Holders(sandbox))
            listener = stack.enter_context(Listener(sandbox))
            told = stack.enter_context(Told(sandbox))
            stalls = stack.enter_context(Stalls(sandbox))
            looks = [stack.enter_context(Looks(sandbox, name)) for name in sandbox.layout.masters]
            with Writers(sandbox, folder) as writers:
                unhealed = self._rounds(rounds, enough)
            if not unhealed:
                catch_up(sandbox, _LIMIT)
        return History(
            {**self._about, "seconds": round(self.seconds, 1), "began": self._began},
            sandbox.writer() or "",
            rows=tuple(writers.rows()),
            struck=tuple(self._struck),
            repairs=(*self._repairs, *stalls.stalls),
            held=holders.held(),
            said=tuple(listener.said),
            announced=tuple(told.announced),
            hands=tuple(self._hands),
            kept=tuple(self._kept),
            looks=tuple(look for each in looks for look in each.looks),
            contents=tuple(self._contents()),
            unhealed=tuple(unhealed),
        )

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
        return {
            WRITER: writer,
            STANDBY: standby,
            SLAVE: slaves[0] if slaves else standby,
            MONITOR: sandbox.layout.monitor,
        }

    def _strike(self, strike: Strike, host: str, number: int) -> None:
        self._over.wait(strike.after)
        since = time.monotonic()
        try:
            inject(self._sandbox, strike.fault, host, angel=strike.angel)
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
