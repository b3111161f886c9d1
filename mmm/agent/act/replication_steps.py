"""The steps on replication: whom the server follows, and what it has of the peer before it takes writes."""

import logging

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.catch_up import LOST_LIMIT, CatchUpError, Patience, apply_received, catch_up
from mmm.agent.act.server_session import ANSWER_LIMIT, ServerSession
from mmm.agent.act.silent_source import give_up_connecting
from mmm.agent.act.step_error import StepError
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import (
    Attach,
    Detach,
    FinishLifting,
    Follow,
    GoOn,
    OwnSource,
    RenewLogin,
    Replicate,
    SemiSyncRole,
    StartReplication,
    StopReceiving,
    StopReplication,
    Sync,
    ThrowAway,
)
from mmm.config.model import Host
from mmm.mysql.server.borrowed_source import take_own_source
from mmm.mysql.server.delay import finish_lifting
from mmm.mysql.server.detach import attach, detach, stop_receiving
from mmm.mysql.server.follow import follow, renew_login
from mmm.mysql.server.login import refused_login, replicates_from
from mmm.mysql.server.read_only import access
from mmm.mysql.server.replication import start_replica, stop_replica
from mmm.mysql.server.resume import go_on_after_rebuild
from mmm.mysql.server.semi_sync import become_replica, become_source
from mmm.mysql.session.connection import MysqlError, connect
from mmm.wire.why import NO_LOGIN

REBUILT_LIMIT = 1.0
"""Seconds that a source which was set up anew may take to get what it lacks of what is here."""

log = logging.getLogger(__name__)


class ReplicationSteps:
    """The replication of this host's server, with a connection to its peer."""

    def __init__(self, at: Workplace) -> None:
        self._at = at
        peer = at.conf.hosts.get(at.here.peer or "")
        self._peer = ServerSession(agent_at(peer)) if peer else None

    def prepare(self) -> None:
        """Connect to the peer, which will be asked how far to catch up; raises MysqlError."""
        if self._peer is not None:
            self._peer.rest()
            self._peer.ask(access)

    def rest(self) -> None:
        """Close the connection to the peer if it has served for long enough."""
        if self._peer is not None:
            self._peer.rest()

    def do(self, step: SemiSyncRole | Follow | Replicate, session: ServerSession) -> str:
        """Do one step; returns what to say of it. Raises MysqlError, CatchUpError, StepError."""
        match step:
            case SemiSyncRole(True):
                become_source(session.open())
                return "commits wait for a replica"
            case SemiSyncRole():
                become_replica(session.open(), self._at.conf.sync_timeout)
                return "acknowledges what it receives, if its source is one"
            case Follow(host):
                return self._follow(self._at.conf.hosts[host], session)
            case StopReceiving(finish):
                return self._stop_receiving(session, finish=finish)
            case ThrowAway():
                return self._throw_away(session)
            case Detach():
                give_up_connecting(self._at.here, session.open())
                if why_not := detach(session.open()):
                    raise StepError(why_not)
                return "done, until what the other master has is compared"
            case Attach():
                return self._attach(session)
            case OwnSource() | RenewLogin():
                return self._own_source(step, session)
            case GoOn(host):
                return self._go_on(host, session)
            case FinishLifting() | StartReplication() | StopReplication():
                return self._start_or_stop(step, session)

    def _start_or_stop(
        self, step: FinishLifting | StartReplication | StopReplication, session: ServerSession
    ) -> str:
        match step:
            case FinishLifting():
                why_not = finish_lifting(session.open())
                return f"waits: {why_not}" if why_not else "done, replicates by GTID again"
            case StartReplication():
                start_replica(session.open())
                return "started"
            case StopReplication():
                give_up_connecting(self._at.here, session.open())
                stop_replica(session.open(), self._at.conf.sync_timeout)
                return "stopped"

    def sync(self, session: ServerSession, sync: Sync) -> str:
        """Apply what the peer has, see `Sync`. Raises MysqlError, CatchUpError."""
        patience = self._patience(LOST_LIMIT if sync.lost else ANSWER_LIMIT)
        try:
            return catch_up(session.open(), self._peer, patience)
        except CatchUpError as error:
            if not sync.force:
                raise
            log.warning("sync: %s: goes on by order though %s", self._at.here.name, error)
            return f"forced to go on: {error}"

    def _patience(self, peer_limit: float = ANSWER_LIMIT) -> Patience:
        return Patience(self._at.conf.sync_timeout, self._at.keep, peer_limit)

    def _stop_receiving(self, session: ServerSession, *, finish: bool) -> str:
        give_up_connecting(self._at.here, session.open())
        ended = stop_receiving(session.open())
        if not ended:
            session.close()
        if finish:
            apply_received(session.open(), self._patience())
        return "stopped" if ended else "is about to end, and takes nothing more"

    def _attach(self, session: ServerSession) -> str:
        try:
            self.prepare()
            source = self._peer.open() if self._peer else None
        except MysqlError as error:
            log.debug("attach: %s: %s", self._at.here.name, error.text)
            source = None  # it says itself what it has no more
        why_not = attach(session.open(), source)
        return f"waits: {why_not}" if why_not else "replicates from it again"

    def _go_on(self, host: str, session: ServerSession) -> str:
        if self._peer is None or host != self._at.here.peer:
            raise StepError(f"{host} is not the peer of {self._at.here.name}")
        self.prepare()
        if why_not := go_on_after_rebuild(session.open(), self._peer.open(), REBUILT_LIMIT):
            raise StepError(why_not)
        return "goes on where nothing is skipped"

    def _throw_away(self, session: ServerSession) -> str:
        try:
            connect(
                agent_at(self._at.conf.hosts[self._at.here.peer or self._at.here.name]), ANSWER_LIMIT
            ).close()
        except MysqlError as error:
            return f"kept, it may be nowhere else: {error.text}"
        if why_not := detach(session.open(), throw_away=self._at.conf.sync_timeout):
            raise StepError(why_not)
        return "nothing is left to apply"

    def _follow(self, master: Host, session: ServerSession) -> str:
        self._see_login(master)
        with connect(agent_at(master), ANSWER_LIMIT) as at_source:
            source = replicates_from(master)
            give_up_connecting(self._at.here, session.open(), but=master)
            return follow(session.open(), source, at_source, self._at.conf.sync_timeout).value

    def _own_source(self, step: OwnSource | RenewLogin, session: ServerSession) -> str:
        host = self._at.conf.hosts[step.host]
        if isinstance(step, RenewLogin):
            return self._renew_login(host, session)
        give_up_connecting(self._at.here, session.open(), but=host)
        peer, limit = replicates_from(host), self._at.conf.sync_timeout
        take_own_source(session.open(), peer, limit, detached=step.detached)
        return "catching up from a slave was broken off"

    def _renew_login(self, master: Host, session: ServerSession) -> str:
        self._see_login(master)
        renew_login(session.open(), replicates_from(master), self._at.conf.sync_timeout)
        return f"as {master.replication_user}"

    def _see_login(self, master: Host) -> None:
        """Raise StepError where a replica could not log in: one that works is not to be broken."""
        if why_not := refused_login(master, ANSWER_LIMIT):
            raise StepError(why_not, NO_LOGIN)
