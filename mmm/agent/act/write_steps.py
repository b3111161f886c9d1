"""The steps that allow and deny writes: read_only, and the sessions at work when it is set (rule 10.13)."""

import logging
import time
from contextlib import nullcontext

from mmm.agent.act.blocking import blocked, can_block
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.workplace import Workplace
from mmm.mysql.server.blockers import end_blockers
from mmm.mysql.server.processlist import TRANSACTIONS_AGE, Session
from mmm.mysql.server.read_only import allow_writes, calm, deny_writes, writers
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError

ENDED_FRESH = 0.1
"""Seconds for which what the server listed when all clients were ended counts for a VIP that leaves."""
NOTABLE = 0.05
"""Seconds from which on a wait is worth a word."""
PROMOTED = 10.0
"""Seconds after it has taken the writer's VIP for which a lock that keeps clients from writing is ended."""

log = logging.getLogger(__name__)


class WriteSteps:
    """Whether clients may write to the server of this host."""

    def __init__(self, at: Workplace) -> None:
        self._at = at
        self.writes: bool | None = None
        """What this change has made of the server: writable, read_only, None: nothing."""
        self._left: tuple[float, tuple[Session, ...]] | None = None
        """When denying writes ended all clients in this change, and which sessions it let stay."""
        self._promoted = -PROMOTED
        """When writes were allowed last."""
        self._blocks = can_block(at.conf)

    def begin(self) -> None:
        """Forget what the last change has done."""
        self._left, self.writes = None, None

    def stay(self) -> tuple[Session, ...] | None:
        """Return the sessions that stay when all others were ended a moment ago, None when they were not."""
        return self._left[1] if self._left and time.monotonic() - self._left[0] < ENDED_FRESH else None

    def allow(self, session: ServerSession) -> None:
        """Lift read_only. Raises MysqlError."""
        with self._at.watch.lap("promote"):
            server = session.open()
            self.writes = True
            allow_writes(server)

    def promoted(self) -> None:
        """Note that the server takes writes from now on."""
        self._promoted = time.monotonic()

    def deny(self, session: ServerSession) -> str:
        """Set read_only and end the clients. Raises MysqlError."""
        self._promoted = -PROMOTED
        server = session.open()
        grace = float(self._at.conf.max_kill_retries)
        began = time.monotonic()
        calm(server, grace=grace, keep=self._at.keep)
        waited = time.monotonic() - began
        if waited > NOTABLE:
            self._at.watch.add("await writers", waited)
        grace = max(0.0, grace - waited)
        began = time.monotonic()
        with blocked(self._at.conf) if self._blocks else nullcontext():
            if self._blocks:
                grace = self._await_clients(server, grace)
            result = deny_writes(server, grace=grace, keep=self._at.keep)
        self._at.watch.add("freeze", result.denied)
        self._at.watch.add("end clients", time.monotonic() - began - result.denied)
        self.writes = False
        self._left = None if result.stay is None else (began + result.denied, result.stay)
        said = f"read_only=1, {result.ended} clients ended"
        if result.finished or result.ended_writers:
            said += f", {result.finished} writers finished, {result.ended_writers} ended"
        if result.remaining:
            log.warning("deny writes: %d sessions are not gone yet %s", result.remaining, result.problem)
        return said

    def deny_again(self, session: ServerSession) -> None:
        """Deny the writes that this change has allowed; that it fails is logged."""
        try:
            ended = deny_writes(session.open(), grace=0.0, keep=self._at.keep).ended
        except MysqlError as error:
            session.close()
            if error.kind is not ErrorKind.REFUSED:  # where nothing listens nobody can write
                self.writes = True
                log.error("writes could not be denied again on %s: %s", self._at.here.name, error.text)
                return
        else:
            log.warning("writes are denied again on %s, %d clients ended", self._at.here.name, ended)
        self.writes = False

    def free_the_way(self, session: ServerSession) -> None:
        """End what keeps clients from writing to a server that has just been promoted: a lock on all tables, say.

        One that has not answered in this change is not asked: others may wait for what the change takes away.
        """
        age = time.monotonic() - self._promoted
        if not (NOTABLE < age < PROMOTED and session.is_open):
            return
        try:
            end_blockers(session.open(), self._at.keep, clients_for=age)
        except MysqlError as error:
            log.debug("%s: who waits for a lock is not known: %s", self._at.here.name, error.text)
            if not error.server_alive:
                session.close()

    def _await_clients(self, server: Connection, grace: float) -> float:
        """Let whoever writes finish what it is at, at most `grace` seconds; returns what is left of these.

        A session that is seen at rest once has finished: new clients are kept out, but old ones go on writing.
        """
        deadline = time.monotonic() + grace
        at_work = writers(server, keep=self._at.keep)
        while at_work and time.monotonic() < deadline:
            time.sleep(TRANSACTIONS_AGE)
            at_work &= writers(server, keep=self._at.keep)
        return max(0.0, deadline - time.monotonic())
