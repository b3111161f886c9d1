"""Gets what the old writer has committed and this host lacks out of that one's binary log (rule 12.1).

Its server is dead, its agent answers. Here replication is stopped, all that was received is applied, and writes are not
allowed yet. Whatever cannot be got this way is left: the failover goes on in time, and what is missing is reported. See
docs/salvage.md.
"""

import os
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO

from mmm.agent.act.binlog_fetch import Source, differs
from mmm.agent.act.binlog_known import NOTHING, Known, Part
from mmm.agent.act.binlog_rest import MOST, RestOfLog, Stage
from mmm.binlog.events import DamagedError
from mmm.binlog.replay import batches, log_of, statements
from mmm.binlog.transactions import Whole, gtids_reached, lacking, missing, reached
from mmm.config.model import Cluster
from mmm.gtid.transactions import Executed
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.half_received import end_waiting
from mmm.mysql.server.replay import Replayed, go_on_behind, replay
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import executed, replica_status, stop_replica
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError, connect
from mmm.network.agent_port import AgentPort
from mmm.process.binlog_program import ProgramError, find, printed
from mmm.wire.salvaged import Cause, Salvaged

STOP_LIMIT = 0.3
"""Seconds that the threads of replication may take to stop before the log is looked at: part of a transaction that was
being received is rolled back first."""
ANSWER_LIMIT = 2.0
"""Seconds that the server here may take to let the agent in, and for each answer."""


class SalvageError(Exception):
    """Nothing could be got; the text says why."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class Salvage:
    """Gets the rest of another host's binary log into the server of this one."""

    def __init__(
        self,
        conf: Cluster,
        server: Address,
        most: int = MOST,
        ahead: Callable[[str], Known] = lambda _: NOTHING,
    ) -> None:
        """`most` is how many bytes the longest transaction may have that is got.

        `ahead` returns what was got of a host's log in advance.
        """
        self._conf = conf
        self._most = most
        self._ahead = ahead
        self._server = server
        self._agents = AgentPort(conf.auth_key)
        self.said = ""
        """Why not everything was got the last time, in one line."""
        self.parted = False
        """The session that it was given the last time is closed."""
        self.advance = ""
        """What became of what was got in advance, in words; empty where that was nothing."""
        self._own: Connection | None = None

    def use(self, tls: ssl.SSLContext | None) -> None:
        """Ask other agents over `tls` from now on."""
        self._agents.tls = tls

    def lacks(self, *, mariadb: bool) -> str:
        """Return why the program that reads the logs of that family of servers cannot be run, empty where it can."""
        try:
            self._program(mariadb=mariadb)
        except ProgramError as error:
            return str(error)
        return ""

    def _program(self, *, mariadb: bool) -> str:
        own = self._conf.hosts[self._conf.this].mysqlbinlog
        return find(own, os.environ.get("PATH", ""), mariadb=mariadb)

    def get(self, host: str, server: Connection, left: Callable[[], float]) -> Salvaged:
        """Get what `host` has, with `left` seconds to go; `server` is a session of the agent's. Never raises for it."""
        began = time.monotonic()
        self.said, self.parted, self.advance = "", False, ""
        done = Salvaged(host)
        try:
            for done in self._attempts(host, server, left):  # noqa: B007  # the last one tells of all
                pass
        except SalvageError as error:
            self.said = str(error)
            done = replace(done, cause=error.cause, known=False)
        except MysqlError as error:
            self.said = error.text
            done = replace(done, cause=Cause.SERVER, known=False)
        finally:
            if self._own is not None:
                self._own.close()
                self._own = None
        return replace(done, seconds=time.monotonic() - began)

    def _attempts(self, host: str, server: Connection, left: Callable[[], float]) -> Iterator[Salvaged]:
        """Get one stage after the other; returns what all so far came to, each time."""
        status = replica_status(server)
        if status is None:
            raise SalvageError(Cause.SERVER, "no replication is configured here")
        if not (stopped := self._stops(server, STOP_LIMIT)):
            server = self._again()
            end_waiting(server, status.channel)
        status, has = replica_status(server) or status, self._executed(server)
        source = self._source(host, status, left)
        rest = RestOfLog(source, status.executed, left, self._most)
        done, ended = Salvaged(host), False
        while not ended:
            stage = rest.next(has)
            if not stopped and stage.found.transactions and not (stopped := self._stops(server, left())):
                self.said = "part of what was being received is still rolled back"
                yield _counted(replace(done, cause=Cause.LATE), stage, has, has)
                return
            cause, self.said = self._apply(stage, has, server.flavour, left)
            had, has = has, self._executed(server)
            if stage.found.transactions:
                cause, self.said = self._go_on(server, status, stage, has) or (cause, self.said)
            if cause is None:
                cause, self.said = stage.got.cause, stage.got.why
            done = _counted(replace(done, cause=cause), stage, had, has)
            ended = stage.last or cause is not None
            yield done

    def _source(self, host: str, status: ReplicaStatus, left: Callable[[], float]) -> Source:
        """Return whom to ask, with what was got in advance where that still stands in the log."""
        there = self._conf.hosts[host]
        source = Source(host, there.ip, there.agent_port, self._agents, status.source_server_id)
        known = self._ahead(host)
        if not known.parts:
            return source
        why = differs(source, known, left)
        used = f"is not used: {why}" if why else "is used"
        self.advance = f"what was got of the binary log of {host} in advance ({known.size} bytes) {used}"
        return source if why else replace(source, known=known)

    def _go_on(
        self, server: Connection, status: ReplicaStatus, stage: Stage, has: Executed
    ) -> tuple[Cause, str] | None:
        """Have replication go on behind what is here of a stage; returns why not."""
        try:
            place, origin = reached(stage.found, has), stage.got.parts[0].form.server_id
            go_on_behind(server, status, place, origin, gtids_reached(stage.found, has))
        except MysqlError as error:
            return Cause.SERVER, error.text
        return None

    def _stops(self, server: Connection, limit: float) -> bool:
        """Stop replication; returns whether it stands within so many seconds: else `server` is closed."""
        try:
            stop_replica(server, max(0.001, limit))
        except MysqlError as error:
            if error.kind is not ErrorKind.TIMED_OUT:
                raise
            return False
        return True

    def _again(self) -> Connection:
        """Return another session, for what is left to do; raises MysqlError."""
        self.parted = True
        self._own = connect(self._server, ANSWER_LIMIT)
        return self._own

    def _executed(self, server: Connection) -> Executed:
        has = executed(server)
        if has is None:
            raise SalvageError(Cause.NO_GTIDS, "the server here has no GTIDs")
        return has

    def _apply(
        self, stage: Stage, has: Executed, flavour: Flavour, left: Callable[[], float]
    ) -> tuple[Cause | None, str]:
        """Apply what the server lacks that `has` these; returns why not all of it, and in words."""
        wanted = lacking(stage.found, has)
        for part in stage.got.parts:
            these = [each for each in wanted.transactions if each.end.file == part.file]
            if not these:
                continue
            try:
                done = self._replayed(part, these, flavour, left)
            except ProgramError as error:
                return Cause.LATE if left() <= 0 else Cause.PROGRAM, str(error)
            except DamagedError as error:
                return Cause.DAMAGED, str(error)
            except MysqlError as error:
                return Cause.SERVER, error.text
            if done.problem:
                return _cause(done), done.problem
        return (None, "") if wanted.problem is None else (Cause(wanted.problem.value), wanted.why)

    def _replayed(
        self, part: Part, these: Sequence[Whole], flavour: Flavour, left: Callable[[], float]
    ) -> Replayed:
        """Apply transactions of one file of the log; raises ProgramError, DamagedError, MysqlError."""
        program = self._program(mariadb=flavour.mariadb)
        text = printed(program, log_of(part.form, these), left(), mariadb=flavour.mariadb)
        return replay(self._server, batches(statements(BytesIO(text)), part.form, these), left)


def _counted(done: Salvaged, stage: Stage, had: Executed, has: Executed) -> Salvaged:
    """Return what it came to with a stage, before which the server `had` these, and now `has` those."""
    wanted = lacking(stage.found, had)
    here = wanted.transactions[: len(wanted.transactions) - len(missing(wanted, has))]
    left = missing(stage.found, has)
    goes_on = stage.got.cause is not None or stage.got.more or stage.found.problem is not None
    at, size = stage.found.cut_name if goes_on else "", stage.longest
    if left:
        at, size = left[0].name, len(left[0].data)
    elif (
        goes_on and not at and not here
    ):  # nothing came of this one: what is known is known from the one before
        at, size = done.at, done.at_size
    return replace(
        done,
        count=done.count + len(here),
        first=done.first or (here[0].name if here else ""),
        last=here[-1].name if here else done.last,
        size=done.size + stage.got.size,
        left=len(left) + stage.count_behind,
        known=stage.known,
        at=at,
        at_size=size,
    )


def _cause(done: Replayed) -> Cause:
    if done.late:
        return Cause.LATE
    return Cause.DENIED if done.denied else Cause.NOT_APPLIED
