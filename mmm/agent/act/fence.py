"""Takes the writer role from this host when its lease is over and its agent is dead or stuck (rule 11.1).

It runs in a child process of the angel. The VIP goes first, as that needs no answer; meanwhile the server is told.
"""

import logging
from concurrent.futures import ThreadPoolExecutor

from mmm.agent.act.accounts import agent_at, kept_users
from mmm.agent.act.clients import cut_off, end_clients_of
from mmm.agent.act.server_session import ServerSession
from mmm.config.model import Cluster, Host
from mmm.mysql.server.read_only import deny_writes
from mmm.mysql.session.connection import ErrorKind, MysqlError
from mmm.network.vips import Interface, InterfaceError

log = logging.getLogger(__name__)


def fence(conf: Cluster) -> bool:
    """Have this host without the writer's VIP, read_only and its clients ended; returns whether all of it is so."""
    with ThreadPoolExecutor(1) as threads:
        denied = threads.submit(deny, ServerSession(agent_at(conf.hosts[conf.this])), conf)
        gone = [_unbind(conf, vip.ip) for vip in conf.vips if vip.role == conf.active_master_role]
        return not denied.result() and all(gone)


def deny(session: ServerSession, conf: Cluster) -> str:
    """Take no more writes, at once; returns why that is not so, empty when it is. The session is closed."""
    try:
        result = deny_writes(session.open(), grace=0.0, keep=kept_users(conf))
    except MysqlError as error:
        # Where nothing listens nobody can write.
        return error.text if error.kind is not ErrorKind.REFUSED else ""
    finally:
        session.close()
    log.warning("fence: %s: read_only=1, %d clients ended", conf.this, result.ended)
    return ""


def _unbind(conf: Cluster, ip: str) -> bool:
    here = conf.hosts[conf.this]
    with Interface(here.cluster_interface) as interface:
        try:
            bound = ip in interface.bound([ip])
            ended = take_away(interface, here, ip)
        except InterfaceError as error:
            log.error("fence: %s: %s", conf.this, error)
            return False
    if bound or ended:
        log.warning("fence: %s: %s is gone from %s, %d clients ended", conf.this, ip, interface.name, ended)
    return True


def take_away(interface: Interface, here: Host, ip: str) -> int:
    """Have the kernel end the clients that the server has not, and remove the VIP; returns how many there were.

    The server is not asked, for it may say nothing. Raises InterfaceError.
    """
    leaving = end_clients_of(ip, here.mysql_port, ServerSession(agent_at(here)), frozenset())
    cut_off(ip, here.mysql_port, leaving)
    try:
        interface.unbind(ip)
    finally:
        interface.unbind_elsewhere(ip)
    return leaving.ended
