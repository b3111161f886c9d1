"""Gets what the old writer has committed and this host lacks out of that one's binary log, before writes are allowed.

Its server is dead, its agent answers. Replication is stopped by now, and all that was received is applied. Whatever
cannot be got this way is left: the failover goes on in time, and what is missing is reported. See docs/salvage.md.
"""

import os
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

from mmm.agent.act.binlog_fetch import MOST, Fetched, Source, fetch
from mmm.binlog.events import DamagedError
from mmm.binlog.replay import batches, log_of, statements
from mmm.binlog.transactions import Whole, first_missing, joined, lacking, missing, reached
from mmm.binlog.transactions import find as find_whole
from mmm.config.model import Cluster
from mmm.gtid.transactions import Executed
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.replay import Replayed, go_on_behind, replay
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import executed, replica_status, stop_replica
from mmm.mysql.session.connection import Address, Connection, MysqlError
from mmm.network.agent_port import AgentPort
from mmm.process.binlog_program import ProgramError, find, printed
from mmm.wire.salvaged import Cause, Salvaged

STOP_LIMIT = 1.0
"""Seconds that the threads of replication may take to stop."""


class SalvageError(Exception):
    """Nothing could be got; the text says why."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class Salvage:
    """Gets the rest of another host's binary log into the server of this one."""

    def __init__(self, conf: Cluster, server: Address, most: int = MOST) -> None:
        """`most` is how many bytes of a log are got."""
        self._conf = conf
        self._most = most
        self._server = server
        self._agents = AgentPort(conf.auth_key)
        self.said = ""
        """Why not everything was got the last time, in one line."""

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
        self.said = ""
        try:
            done = self._get(host, server, left)
        except SalvageError as error:
            self.said = str(error)
            done = Salvaged(host, cause=error.cause)
        except MysqlError as error:
            self.said = error.text
            done = Salvaged(host, cause=Cause.SERVER)
        return replace(done, seconds=time.monotonic() - began)

    def _get(self, host: str, server: Connection, left: Callable[[], float]) -> Salvaged:
        status = self._stopped(server)
        has = self._executed(server)
        there = self._conf.hosts[host]
        source = Source(host, there.ip, there.agent_port, self._agents, self._most)
        got = fetch(source, status.source_server_id, status.executed, left)
        found = joined(find_whole(part.form, part.file, part.data) for part in got.parts)
        wanted = lacking(found, has)
        cause, self.said = self._apply(got, wanted.transactions, server.flavour, left)
        has = self._executed(server)
        if got.parts:
            try:
                go_on_behind(server, status, reached(found, has), got.parts[0].form.server_id)
            except MysqlError as error:
                cause, self.said = Cause.SERVER, error.text
        here = wanted.transactions[: len(wanted.transactions) - missing(wanted, has)]
        if cause is None and wanted.problem is not None:
            cause, self.said = Cause(wanted.problem.value), wanted.why
        if cause is None:
            cause, self.said = got.cause, got.why
        return Salvaged(
            host,
            count=len(here),
            first=here[0].name if here else "",
            last=here[-1].name if here else "",
            size=got.size,
            left=missing(found, has),
            cause=cause,
            known=got.cause is None and found.problem is None,
            at=first_missing(found, has) or (found.cut if got.cause is not None else ""),
        )

    def _stopped(self, server: Connection) -> ReplicaStatus:
        """Stop replication; returns how far it has come."""
        stop_replica(server, STOP_LIMIT)
        status = replica_status(server)
        if status is None:
            raise SalvageError(Cause.SERVER, "no replication is configured here")
        return status

    def _executed(self, server: Connection) -> Executed:
        has = executed(server)
        if has is None:
            raise SalvageError(Cause.NO_GTIDS, "the server here has no GTIDs")
        return has

    def _apply(
        self, got: Fetched, wanted: Sequence[Whole], flavour: Flavour, left: Callable[[], float]
    ) -> tuple[Cause | None, str]:
        """Apply the transactions, those of each file of the log by themselves; returns why not all, and in words."""
        for part in got.parts:
            these = [each for each in wanted if each.end.file == part.file]
            if not these:
                continue
            try:
                program = self._program(mariadb=flavour.mariadb)
                text = printed(program, log_of(part.form, these), left(), mariadb=flavour.mariadb)
            except ProgramError as error:
                return Cause.PROGRAM, str(error)
            found = batches(statements(BytesIO(text)), part.form, these)
            try:
                done = replay(self._server, found, left)
            except DamagedError as error:
                return Cause.DAMAGED, str(error)
            if done.problem:
                return _cause(done), done.problem
        return None, ""


def _cause(done: Replayed) -> Cause:
    if done.late:
        return Cause.LATE
    return Cause.DENIED if done.denied else Cause.NOT_APPLIED
