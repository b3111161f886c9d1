"""Looks, at the start and periodically, for problems that would show only when this host gets or loses a role.

Nothing is changed. What is found is logged when it appears and when it is gone, and goes to the monitor with the
answers; the monitor shows it and begins no move to such a host.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.disks import Disks
from mmm.agent.act.listening import not_listening
from mmm.agent.act.server_session import ANSWER_LIMIT
from mmm.config.model import Cluster
from mmm.mysql.server.login import refused_login
from mmm.mysql.server.privileges import BESIDES, agent_needs, look_at_missing_grants
from mmm.mysql.session.connection import Connection, MysqlError, connect
from mmm.network.socket_table import listening, takes
from mmm.wire.doubts import CLAIMED, GRANTS, GRANTS_WANTED, NOT_LISTENING, REPLICATION_LOGIN, Doubt

PERIOD = 20.0
"""Seconds between two looks."""
LOGINS = 300.0
"""Seconds between two logins at other hosts' servers, as long as these let the replication user in."""

log = logging.getLogger(__name__)


class Doubts:
    """What is wrong on this host; `found` is as old as the last look. `close` it.

    `learn` is given a session of the server at each look, for what is to be known of it once it is dead. `claimed`
    returns who has VIPs that are held here too, by VIP and MAC.
    """

    def __init__(
        self,
        conf: Cluster,
        learn: Callable[[Connection], None] = lambda _: None,
        claimed: Callable[[], Iterable[tuple[str, str]]] = tuple,
    ) -> None:
        self._conf = conf
        self._learn = learn
        self.claimed = claimed
        self._here = conf.hosts[conf.this]
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="doubts")
        self._logins: tuple[Doubt, ...] = ()
        self._logins_due = 0.0
        self.disks = Disks(self._here)
        self.found: tuple[Doubt, ...] = ()

    async def watch(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD)

    async def look(self, *, anew: bool = False) -> tuple[Doubt, ...]:
        """Look now, `anew` also at what is looked at seldom; returns what is wrong."""
        if anew:
            self._logins_due = 0.0
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look)
        for doubt in found:
            if doubt not in self.found:
                log.warning("%s: %s", self._here.name, doubt.text)
        for doubt in self.found:
            if doubt not in found:
                log.info("%s: no longer so: %s", self._here.name, doubt.text)
        self.found = found
        return found

    def close(self) -> None:
        """Look no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> tuple[Doubt, ...]:
        found: list[Doubt] = []
        with suppress(MysqlError), connect(agent_at(self._here), ANSWER_LIMIT) as server:
            self._learn(server)
            self.disks.learn(server)
            found += _grants(server)
        found += self.disks.doubts()
        found += self._listening()
        found += (Doubt(CLAIMED, self._twice(ip, mac)) for ip, mac in self.claimed())
        if time.monotonic() >= self._logins_due:
            self._logins = tuple(self._tried())
            self._logins_due = time.monotonic() + (0.0 if self._logins else LOGINS)
        return (*found, *self._logins)

    def _listening(self) -> Iterator[Doubt]:
        """Say where the server does not listen; where nothing does it is dead, or does not run on this host."""
        port = self._here.mysql_port
        try:
            addresses = listening(port)
        except OSError as error:
            log.debug("who listens on port %d is not known: %s", port, error)
            return
        wanted = [self._here.ip, *(vip.ip for vip in self._conf.bound_vips if self._may_hold(vip.role))]
        deaf = [ip for ip in wanted if not takes(addresses, ip)]
        if addresses and deaf:
            yield Doubt(NOT_LISTENING, not_listening(port, deaf, addresses))

    def _twice(self, ip: str, mac: str) -> str:
        where = f"{mac} on {self._here.cluster_interface}"
        return f"{ip} is bound here, and {where} has it too: find that machine and remove the address there"

    def _may_hold(self, role: str) -> bool:
        return self._here.name in self._conf.roles[role].hosts

    def _tried(self) -> Iterator[Doubt]:
        """Log in as replication does at every server that this one may have to replicate from."""
        role = self._conf.roles.get(self._conf.active_master_role)
        for name in role.hosts if role is not None else ():
            host = self._conf.hosts[name]
            if name != self._here.name and (why := refused_login(host, ANSWER_LIMIT)):
                yield Doubt(REPLICATION_LOGIN, why)


def _grants(server: Connection) -> Iterator[Doubt]:
    try:
        missing = server.ask(look_at_missing_grants(server, agent_needs(server.flavour)))
    except MysqlError as error:
        log.debug("grants are not known: %s", error.text)
        return
    for each in missing:
        code = GRANTS_WANTED if each.privilege in BESIDES else GRANTS
        yield Doubt(code, f"the agent's MySQL user lacks {each.privilege}: {each.statement}")
