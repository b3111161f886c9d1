"""The steps of a rejoin, carried out: each looks at what is there, acts, and returns the journal as it is then."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from mmm.gtid import mariadb
from mmm.gtid.transactions import Executed, shown, surplus
from mmm.mysql.server.log_home import LogHome
from mmm.mysql.server.login import replicates_from, tools_at
from mmm.mysql.server.read_only import access
from mmm.mysql.server.replication import (
    binlog_position,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, connect
from mmm.process.job_files import Progress
from mmm.tools.rejoin import active_master, in_place, numbers, outside_log, own_log, swap
from mmm.tools.rejoin.copying import remove_copy
from mmm.tools.rejoin.gtids import gtids_of
from mmm.tools.rejoin.hindrance import hindrance
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.means import Means
from mmm.tools.rejoin.remains import Remains
from mmm.tools.rejoin.server_control import ControlError
from mmm.tools.rejoin.step_error import NotRewoundError, StepError
from mmm.wire.job import Kind
from mmm.wire.rejoin import REWIND

ANSWER_LIMIT = 10.0
"""Seconds for a server to let the tool in, and for each answer."""
FREEZE_LIMIT = 30.0
"""Seconds in which the data have to stand still."""
_THAW_LIMIT = 120.0
"""Seconds for replication to start again, which it does once it has ended the transaction that it was stopped in."""
FOLLOW_LIMIT = 10.0
_NAP = 0.02
_LOOK = 0.1
"""Seconds between two looks at how far replication is."""
_KEPT = 7 * 86_400
"""Seconds for which the lock on all tables is held at most, however soon this server ends sessions that say nothing."""


class Steps:
    """The steps of one job; `close` it. What it holds open, a lock on all tables, ends with it at the latest."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._here = means.conf.hosts[means.conf.this]
        self._held = ExitStack()
        self._server: Connection | None = None
        """The session that keeps the data as they are."""

    def close(self) -> None:
        """Let go of what is held."""
        self._server = None
        self._held.close()

    def before(self, step: Step, journal: Journal) -> Journal:
        """Return the journal with what the disk has to say before a step is done; raises StepError.

        Whoever takes a FREEZE back, after a crash in the middle of it, too, starts again what that has stopped. Nothing
        is taken back once an EMPTY has begun: what may fail before it is done here.
        """
        with _as_step_error():
            if step is Step.EMPTY:
                return self._before_empty(journal)
            if step is not Step.FREEZE or not self._means.control.processes():
                return journal
            with self._connect(journal.host) as server:
                status = replica_status(server)
        runs = status is not None and status.sql_running and not status.detached
        return replace(journal, running=True, replicated=journal.replicated or runs)

    def do(self, step: Step, journal: Journal) -> Journal:
        """Do a step and return the journal with what came of it; raises StepError."""
        with _as_step_error():
            return self._do(step, journal)

    def _do(self, step: Step, journal: Journal) -> Journal:
        does: dict[Step, Callable[[Journal], Journal]] = {
            Step.FREEZE: self._freeze,
            Step.SAVE: lambda of: self._means.save(of, self._server),
            Step.PROVE: self._prove,
            Step.UNDO: self._undo,
            Step.ROOM: self._room,
            Step.EMPTY: in_place.empty,
            Step.FETCH: self._fetch,
            Step.STOP: self._stop,
            Step.SWAP: self._swap,
            Step.START: self._start,
            Step.NUMBERS: self._numbers,
            Step.FOLLOW: self._follow,
            Step.CATCH_UP: self._catch_up,
        }
        return does[step](journal)

    def leave(self, journal: Journal) -> Remains:
        """Have the server run on the data that are in its folder, and return what it has; raises StepError."""
        self.close()
        with _as_step_error():
            if not self._means.control.processes():
                self._start(journal)
            with self._connect(journal.host) as server:
                own_log.begin(server, journal.logged, journal.position)
                return Remains(shown(gtids_of(server)), active_master.followed(server))

    def put_back(self, journal: Journal) -> None:
        """Put the old data in their place again; raises StepError."""
        self.close()
        with _as_step_error():
            self._means.control.stop()
            outside_log.clear_way(journal.moves, journal.old_log)
            if swap.done(journal.moves):
                swap.clear_way(
                    journal.moves, Path(journal.datadir), Path(journal.staging), Path(journal.staging)
                )
            swap.undo(journal.moves)
            outside_log.tidy(journal.old_log)
            outside_log.tidy(journal.old)

    def undo(self, journal: Journal) -> None:
        """Have the server run as before on its old data, which are in their place; raises StepError."""
        self.close()
        with _as_step_error():
            remove_copy(journal)
            stood = not self._means.control.processes()
            if journal.running:
                self._means.control.start()
            # A new server may know no account of the conf, nor may one that was not touched yet.
            if journal.running and journal.kind != Kind.CLONE and (stood or journal.replicated):
                self._thaw(journal)

    def _thaw(self, journal: Journal) -> None:
        with self._answering(self._means.start_limit) as server:
            if journal.replicated:
                start_replica(server, limit=_THAW_LIMIT)

    def _connect(self, host: str, limit: float = ANSWER_LIMIT) -> Connection:
        return connect(tools_at(self._means.conf.hosts[host]), limit)

    # --- before anything changes

    def _freeze(self, journal: Journal) -> Journal:
        """Stop replication and lock all tables: what is saved is all there is. A server that is down is frozen."""
        if not self._means.control.processes():
            return journal
        server = self._held.enter_context(self._connect(journal.host))
        if access(server).writable:
            raise StepError(f"the server of {journal.host} takes writes now: has it got the role back?")
        stop_replica(server, FREEZE_LIMIT)
        # Who may write in spite of read_only is kept from it, too, until this session ends.
        server.execute(f"SET SESSION lock_wait_timeout={FREEZE_LIMIT:.0f}, wait_timeout={_KEPT}")
        server.execute("FLUSH TABLES WITH READ LOCK", timeout=FREEZE_LIMIT + ANSWER_LIMIT)
        self._stands_still(server)
        self._server = server
        return journal

    @staticmethod
    def _stands_still(server: Connection) -> None:
        deadline = time.monotonic() + FREEZE_LIMIT
        last = binlog_position(server)
        while True:
            time.sleep(_NAP)
            now = binlog_position(server)
            if now == last:
                return
            if time.monotonic() > deadline:
                raise StepError(
                    f"the binary log still grows {FREEZE_LIMIT:g} s after all tables were locked: {now}"
                )
            last = now

    def _prove(self, journal: Journal) -> Journal:
        """See whether it can be undone, with the active master of now: what is undone is not taken back."""
        journal = self._means.rewind.prove(journal, self._server)
        if journal.way == REWIND:
            active_master.still_the_same(journal, self._means.master)
        return journal

    def _undo(self, journal: Journal) -> Journal:
        self.close()
        return self._means.rewind.undo(journal)

    def _room(self, journal: Journal) -> Journal:
        self._means.make_room()
        journal = in_place.looked(self._means.conf, journal, self._means.control.argv, self._server)
        there = "none: the old data have to go" if journal.old_server else "there is, the old data are kept"
        self._means.say(f"  {there}")
        return journal

    def _before_empty(self, journal: Journal) -> Journal:
        """Stop the server, its data still as they were saved, and fix what is moved; raises StepError, MysqlError."""
        control, conf = self._means.control, self._means.conf
        if journal.emptied:
            control.stop()  # a machine that has booted since has started it
            return journal
        active_master.still_the_same(journal, self._means.master)
        if self._server is not None:
            self._stands_still(self._server)
        elif control.processes():
            raise StepError(
                f"the server of {journal.host} has started meanwhile, and may have more than was saved"
            )
        control.stop()  # the lock is held until then: nothing comes to what was saved
        self.close()
        moves = tuple(in_place.log_moves(conf, journal))
        kept = journal.old_log or outside_log.folder(moves)
        return replace(journal, emptied=True, log_moves=moves, old_log=kept)

    def _fetch(self, journal: Journal) -> Journal:
        remove_copy(journal)
        self._means.make_room()
        old = journal.old_server if journal.emptied else None
        name = old.state_file if old else own_log.state_file(self._server)
        journal = self._means.copy(journal)
        if name:
            own_log.prepare(Path(journal.staging, name), journal.logged, journal.position)
        return journal

    # --- the swap

    def _stop(self, journal: Journal) -> Journal:
        """Stop the server, and fix the renames: of its log first, should that be elsewhere than its data."""
        journal = active_master.with_fit_copy(journal, self._means.master, self._means.conf)
        log = self._log_home()
        self.close()
        self._means.control.stop()
        datadir, staging, old = (Path(each) for each in (journal.datadir, journal.staging, journal.old))
        apart = outside_log.moves(log, datadir, journal.job, journal.old_log)
        kept = journal.old_log or outside_log.folder(apart)
        return replace(journal, moves=(*apart, *swap.plan(datadir, staging, old)), old_log=kept)

    def _log_home(self) -> LogHome | None:
        """Return where the server's log is, as far as that is known; one that lets nobody in has its option files."""
        if self._server is not None:
            return outside_log.home(self._server, self._here)
        with suppress(MysqlError), self._connect(self._here.name) as server:
            return outside_log.home(server, self._here)
        return outside_log.home(None, self._here)

    def _swap(self, journal: Journal) -> Journal:
        self._means.control.stop()  # a machine that has booted since has started it on the old data
        outside_log.clear_way(journal.moves, journal.old_log)
        swap.clear_way(journal.moves, Path(journal.datadir), Path(journal.staging), Path(journal.old))
        swap.perform(journal.moves)
        swap.tidy(Path(journal.staging))
        return in_place.tidied(journal) if journal.emptied else journal

    def _start(self, journal: Journal) -> Journal:
        self._means.control.start()
        server = self._answering(self._means.start_limit)
        with server:
            folder = Path(str(server.query("SELECT @@global.datadir AS folder")[0]["folder"])).resolve()
            if folder != Path(journal.datadir):
                raise StepError(f"the server of {journal.host} runs on {folder}, not on {journal.datadir}")
            if not self._means.control.processes():
                raise StepError(f"the server of {journal.host} that answers does not run on {folder}")
            if access(server).writable:
                raise StepError(
                    f"the server of {journal.host} takes writes after its start: write read_only=1 into its my.cnf"
                )
        return journal

    def _answering(self, limit: float) -> Connection:
        name, gone_limit = self._here.name, self._means.gone_limit
        deadline, there = time.monotonic() + limit, time.monotonic()
        while True:
            try:
                return self._connect(name)
            except MysqlError as error:
                if error.kind is ErrorKind.DENIED:  # no waiting mends that
                    raise StepError(f"the server of {name} turns the tools away: {error.text}") from error
                now = time.monotonic()
                there = now if self._means.control.processes() else there
                if now - there > gone_limit:
                    text = f"the server of {name} has ended again after its start: look at its error log"
                    raise StepError(text) from error
                if now > deadline:
                    text = f"the server of {name} does not answer {limit:g} s after its start: {error.text}"
                    raise StepError(text) from error
            time.sleep(_NAP)

    # --- back in the cluster

    def _source(self, journal: Journal) -> Connection:
        """Return a session with the active master, which may restart meanwhile; raises MysqlError."""
        deadline, said = time.monotonic() + self._means.reconnect_limit, ""
        while True:
            try:
                return self._connect(journal.source)
            except MysqlError as error:
                if error.server_alive or time.monotonic() > deadline:
                    raise
                if error.text != said:
                    self._means.say(f"waiting for {journal.source}: {error.text}")
                said = error.text
            time.sleep(_LOOK)

    def _follow(self, journal: Journal) -> Journal:
        journal = active_master.towards(journal, self._means.master)
        source = self._means.conf.hosts[journal.source]
        with self._connect(journal.host) as server, self._source(journal) as there:
            own_log.begin(server, journal.logged, journal.position)
            active_master.follow_it(server, replicates_from(source), there, FOLLOW_LIMIT)
        return journal

    def _catch_up(self, journal: Journal) -> Journal:
        """Wait until the host has all that the active master has at a moment; after a rewind, compare its rows."""
        with self._connect(journal.host) as server:
            with self._source(journal) as there:
                goal = gtids_of(there)
            self._get_equal(journal, server, goal)
            if journal.rewound:
                with self._source(journal) as there:  # it may have been restarted meanwhile
                    self._means.rewind.compare(
                        journal, server, there, lambda: self._get_equal(journal, server, gtids_of(there))
                    )
        return journal

    def _get_equal(self, journal: Journal, server: Connection, goal: Executed) -> None:
        """Wait until the server has the goal; raises NotRewoundError where a copy would help, else StepError."""
        began, most = time.monotonic(), 0
        last_seen = began
        while lacks := surplus(goal, gtids_of(server)):
            now = time.monotonic()
            status = replica_status(server)
            if status is not None and status.io_running == "Yes":
                last_seen = now
            if found := hindrance(status, now - last_seen, self._means.reconnect_limit):
                why = f"{journal.host} does not get on behind {journal.source}: {found.why}"
                raise NotRewoundError(why) if journal.rewound and found.by_data else StepError(why)
            if now > began + self._means.catch_up_limit:
                raise StepError(f"{journal.host} still lacks {lacks} of {journal.source}")
            self._means.say(f"catching up: {lacks.count} to go")
            most = max(most, lacks.count)
            self._means.note(journal, _caught_up(most, lacks.count, now - began))
            time.sleep(_LOOK)

    def _numbers(self, journal: Journal) -> Journal:
        """See that the numbers of what was thrown away are passed, or another transaction gets one of them."""
        journal = active_master.towards(journal, self._means.master)
        if not journal.highest:
            return journal
        with self._source(journal) as there:
            active_master.see_writable(there, journal.source)
            if there.flavour.mariadb:
                numbers.pass_by(there, mariadb.parse(journal.highest))
        return journal


def _caught_up(most: int, lacks: int, seconds: float) -> Progress:
    """Return how far a host is that lacked `most` transactions, and lacks fewer after so many seconds."""
    got = most - lacks
    left = seconds * lacks / got if got else None
    return Progress("", percent=100 * got // most if most else None, left=left)


@contextmanager
def _as_step_error() -> Iterator[None]:
    """Have what the edge raises end as a StepError."""
    try:
        yield
    except (MysqlError, ControlError, swap.SwapError) as error:
        raise StepError(str(error)) from error
    except OSError as error:
        raise StepError(f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")) from error
