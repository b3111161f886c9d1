"""The step that gets what other replicas of a lost writer have and this host lacks, before writes (rule 10.10).

The server briefly follows each of them by GTID, up to what it has by then: received, applied, and logged there by
log_slave_updates. The server's own source is stopped by now, and is the peer again at the end, out of reach. Whatever
cannot be got this way is left: the failover goes on in time, and what is missing is named.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.agent.act.step_error import StepError
from mmm.agent.act.takeover import Takeover
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import CatchUp
from mmm.config.model import Host, Vip
from mmm.gtid.transactions import Executed, Surplus, surplus
from mmm.mysql.server.await_applied import Caught, wait_applied, wait_for_source
from mmm.mysql.server.blockers import end_blockers
from mmm.mysql.server.borrowed_source import borrow_source, take_own_source
from mmm.mysql.server.follow import FollowRefusedError, SourceBehindError
from mmm.mysql.server.login import refused_login, replicates_from
from mmm.mysql.server.replica_status import lacks_log
from mmm.mysql.server.replication import executed, received_in, replica_status, stop_replica, to_reach
from mmm.mysql.server.settings import look_at_settings
from mmm.mysql.server.transactions import look_at_transactions
from mmm.mysql.session.connection import Address, Connection, MysqlError, connect
from mmm.wire.caught_up import CaughtUp, Cause

STOP_LIMIT = 2.0
"""Seconds that replication from another host may take to stop."""
DEAD_LIMIT = 1.0
"""Seconds for what came of a host that has died meanwhile to be applied."""
_NAP = 0.01

log = logging.getLogger(__name__)


class NotGotError(Exception):
    """A host cannot be followed, or not up to its end; the text says why."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class CatchUpStep:
    """Does the step on this host; `lifetime` tells how long a VIP may be bound, as in `vip_steps`."""

    def __init__(self, at: Workplace, lifetime: Callable[[Vip], int]) -> None:
        self._at = at
        self._takeover = Takeover(lifetime)
        self._done: dict[str, CaughtUp] = {}

    @property
    def done(self) -> tuple[CaughtUp, ...]:
        """Return what was got in this takeover, or could not be got."""
        return tuple(self._done.values())

    def begin(self) -> None:
        """Forget what came of an earlier takeover, when another begins."""
        if self._takeover.is_past:
            self.forget()

    def finish(self) -> None:
        """Note that the host is the writer now."""
        self._takeover.finish()

    def forget(self) -> None:
        """Say no more what was got: the host is not the writer any more."""
        self._done = {}
        self._takeover.end()

    def do(self, step: CatchUp, session: ServerSession) -> str:
        """Follow the hosts; returns what to say of it.

        Raises LeaseOverError; StepError where the own source could not be taken again, for what comes from another must
        not come among newer writes; MysqlError where the server cannot be asked.
        """
        self.begin()
        self._takeover.begin()
        limit = self._at.conf.sync_timeout
        left: Callable[[], float] = lambda: self._takeover.left(step.vip, limit)  # noqa: E731
        try:
            for name in step.hosts:
                host = self._at.conf.hosts.get(name)
                if host is not None:
                    self._keep(self._caught_up(host, session, left))
        finally:
            self._take_own_source(session)
        self._takeover.see_lease(step.vip)
        return "; ".join(map(str, self.done)) or "they have nothing more"

    def _keep(self, one: CaughtUp) -> None:
        """Note what came of a host; what an attempt before this one got of it counts too."""
        before = self._done.get(one.host)
        if before is not None:
            one = replace(
                one,
                count=before.count + one.count,
                names=(*before.names, *one.names),
                exact=before.exact and one.exact,
                seconds=before.seconds + one.seconds,
            )
        if one.count or one.cause is not None:
            self._done[one.host] = one
        else:
            self._done.pop(one.host, None)

    def _caught_up(self, host: Host, session: ServerSession, left: Callable[[], float]) -> CaughtUp:
        """Return what was got of one host. Raises MysqlError where the own server cannot be asked."""
        began, before = time.monotonic(), executed(session.open())
        cause: Cause | None = None
        found = _Found()
        try:
            self._get(host, session, left, found)
        except NotGotError as error:
            cause, text = error.cause, str(error)
        except MysqlError as error:
            if not error.server_alive:
                session.close()
            cause, text = Cause.STOPPED if error.server_alive else Cause.SILENT, error.text
        if cause is not None:
            said = "catch up: %s: not all that %s has was got (%s): %s"
            log.warning(said, self._at.here.name, host.name, cause, text)
        here = executed(session.open())
        more, lacks = _more(here, before), _more(found.has, here) if cause else None
        return CaughtUp(
            host.name,
            *((more.count, more.names) if more else (0, ())),
            *((lacks.count, lacks.names) if lacks else (0, ())),
            all(each is None or each.exact for each in (more, lacks)),
            cause,
            time.monotonic() - began,
        )

    def _get(self, host: Host, session: ServerSession, left: Callable[[], float], found: "_Found") -> None:
        """Follow a host up to what it has, which is noted in `found`; raises NotGotError, and MysqlError."""
        _see_time(left)
        server = session.open()
        with connect(agent_at(host), min(ANSWER_LIMIT, left())) as there:
            found.has = _got(there)
            if not self._see_need(server, there, found.has):
                return
            if why_not := refused_login(host, ANSWER_LIMIT):
                raise NotGotError(Cause.LOGIN, why_not)
            try:
                _borrow(server, replicates_from(host), there, max(0.0, left()))
                self._wait(server, there, left, found)
            finally:
                _stop(session)

    def _wait(
        self, server: Connection, there: Connection, left: Callable[[], float], found: "_Found"
    ) -> None:
        """Wait until nothing is missing here that the other server has; raises NotGotError, and MysqlError."""

        def between() -> None:
            end_blockers(server, self._at.keep)
            found.has = _got(there)  # it may die, and is not waited for then

        while True:
            try:
                came = wait_for_source(server, to_reach(there), max(0.0, left()), between)
            except MysqlError as error:
                if error.server_alive:
                    raise
                wait_applied(server, max(0.0, min(DEAD_LIMIT, left())))
                raise
            if came is not Caught.REACHED:
                raise _not_reached(server, came)
            found.has = _got(there)
            if not _is_to_get_more(there, found.has, executed(server)):
                return
            time.sleep(_NAP)

    def _see_need(self, server: Connection, there: Connection, has: Executed | None) -> bool:
        """Tell whether there is anything to be got; raises NotGotError where it cannot be had."""
        if server.flavour.mariadb != there.flavour.mariadb:
            raise NotGotError(Cause.FAMILY, "one is MariaDB, the other MySQL")
        here, known = executed(server), there.ask(look_at_transactions(there, None, with_end=False))
        if here is None or known.executed is None or has is None:
            raise NotGotError(Cause.NO_GTIDS, "there are no GTIDs on both sides")
        if surplus(has, here) is None:
            return False
        every, foreign = surplus(known.executed, here), surplus(known.executed, here, not_of=known.origin)
        if (every.count if every else 0) > (foreign.count if foreign else 0):
            raise NotGotError(Cause.OWN, f"it has {every}, some of which were written on it")
        settings = there.ask(look_at_settings(there))
        if not (settings.logs and settings.logs_replicated):
            raise NotGotError(Cause.NO_LOG, "it does not log what it replicates: log_bin, log_slave_updates")
        return True

    def _take_own_source(self, session: ServerSession) -> None:
        """Have the peer as the source again where it is not; raises StepError, MysqlError."""
        peer = self._at.conf.hosts.get(self._at.here.peer or "")
        status = replica_status(session.open())
        if peer is None or status is None:
            return
        if (status.source_ip, status.source_port) == (peer.ip, peer.mysql_port):
            return
        try:
            take_own_source(session.open(), replicates_from(peer), STOP_LIMIT, detached=True)
        except MysqlError as error:
            session.close()
            raise StepError(f"replication from {status.source_ip} does not stop: {error.text}") from error


@dataclass
class _Found:
    """What a host was seen to have, received or applied."""

    has: Executed | None = None


def _see_time(left: Callable[[], float]) -> None:
    if left() <= 0:
        raise NotGotError(Cause.LATE, "the time was over")


def _borrow(server: Connection, source: Address, there: Connection, limit: float) -> None:
    try:
        borrow_source(server, source, there, limit)
    except (FollowRefusedError, SourceBehindError) as error:
        raise NotGotError(Cause.BEYOND, error.text) from error
    except MysqlError as error:
        if lacks_log(error.number):
            raise NotGotError(Cause.PURGED, error.text) from error
        raise


def _stop(session: ServerSession) -> None:
    """Stop replication; one that does not end at once is stopped again before the own source is taken."""
    try:
        stop_replica(session.open(), STOP_LIMIT)
    except MysqlError as error:
        log.warning("catch up: replication does not stop: %s", error.text)
        session.close()


def _got(there: Connection) -> Executed | None:
    """Return what a server has received or applied, None without GTIDs. Raises MysqlError."""
    has, status = executed(there), replica_status(there)
    return received_in(has, status) if has is not None and status is not None else has


def _is_to_get_more(there: Connection, has: Executed | None, here: Executed | None) -> bool:
    """Tell whether the other server is about to apply what it has received, and this one lacks."""
    status = replica_status(there)
    if status is None or not status.sql_running or status.delay:
        return False
    return _more(has, here) is not None


def _more(has: Executed | None, than: Executed | None) -> Surplus | None:
    return None if has is None or than is None else surplus(has, than)


def _not_reached(server: Connection, came: Caught) -> NotGotError:
    if came is Caught.NOT_IN_TIME:
        return NotGotError(Cause.LATE, "it was not applied in time")
    status = replica_status(server)
    cause = Cause.PURGED if status is not None and status.source_lacks_log else Cause.STOPPED
    return NotGotError(cause, (status.last_error if status else "") or "replication stopped")
