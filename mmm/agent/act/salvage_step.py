"""The step that gets what only the old writer's binary log has: its time, its outcome, and its log lines."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import replace

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.salvage import Salvage
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.takeover import Takeover
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import Salvage as Step
from mmm.config.model import Vip
from mmm.mysql.session.connection import Connection
from mmm.wire.salvaged import Cause, Salvaged

log = logging.getLogger(__name__)


class SalvageStep:
    """Does the step on this host; `lifetime` tells how long a VIP may be bound, as in `vip_steps`."""

    def __init__(self, at: Workplace, lifetime: Callable[[Vip], int]) -> None:
        self._at = at
        self._takeover = Takeover(lifetime)
        self._salvage = Salvage(at.conf, agent_at(at.here), ahead=at.ahead.known)
        self._missing = ""
        self.done: Salvaged | None = None
        """What came of it in this takeover."""

    def use(self, tls: ssl.SSLContext | None) -> None:
        """Ask other agents over `tls` from now on."""
        self._salvage.use(tls)
        self._at.ahead.use(tls)

    def prepare(self, server: Connection) -> None:
        """See that the program which is needed can be run, and say once where it cannot; raises MysqlError."""
        if not self._at.conf.salvage:
            return
        missing = self._salvage.lacks(mariadb=server.flavour.mariadb)
        if missing and missing != self._missing:
            text = "%s: %s: what only a dead writer's binary log has could not be applied here"
            log.warning(text, self._at.here.name, missing)
        self._missing = missing

    def begin(self) -> None:
        """Forget what came of an earlier takeover, when another begins."""
        if self._takeover.is_past:
            self.forget()

    def finish(self) -> None:
        """Note that the host is the writer now."""
        self._takeover.finish()
        self._at.ahead.forget()

    def forget(self) -> None:
        """Say no more what was got: the host is not the writer any more."""
        self.done = None
        self._takeover.end()

    def do(self, step: Step, session: ServerSession) -> str:
        """Get it; returns what to say of it. Raises LeaseOverError, and MysqlError where the server cannot be asked."""
        if step.host not in self._at.conf.hosts or not self._at.conf.salvage:
            return "left alone: `salvage no`, or a host that is not in the conf"
        self.begin()
        self._takeover.begin()
        limit = self._at.conf.salvage_timeout
        done = self._salvage.get(step.host, session.open(), lambda: self._takeover.left(step.vip, limit))
        if done.cause is Cause.SERVER or self._salvage.parted:
            session.close()
        self.done = _together(self.done, done)
        self._takeover.see_lease(step.vip)
        if self._salvage.advance:
            log.info("%s: %s", self._at.here.name, self._salvage.advance)
        if not self.done.complete:
            text = "%s: not all of the binary log of %s was got (%s): %s"
            log.warning(text, self._at.here.name, step.host, done.cause, self._salvage.said)
        return str(self.done)


def _together(before: Salvaged | None, done: Salvaged) -> Salvaged:
    """Return what two attempts came to, the second of which went on where the first was."""
    if before is None or before.host != done.host:
        return done
    return replace(
        done,
        count=before.count + done.count,
        first=before.first or done.first,
        last=done.last or before.last,
        size=before.size + done.size,
        seconds=before.seconds + done.seconds,
    )
