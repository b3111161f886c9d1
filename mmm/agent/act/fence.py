"""Takes the writer role from this host when its lease is over and its agent is dead or stuck (rule 11.1).

It runs in a child process of the angel. The VIP goes first, as that needs no answer; meanwhile the server is told.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mmm.agent.act.accounts import agent_at, kept_users
from mmm.agent.act.clients import SERVER_LIMIT, cut_off, end_clients_of, entrance
from mmm.agent.act.fence_note import FenceNote
from mmm.agent.act.places import Places
from mmm.agent.act.server_session import ServerSession
from mmm.config.model import Cluster
from mmm.lease.rules import NEVER
from mmm.mysql.server.read_only import deny_writes
from mmm.mysql.session.connection import ErrorKind, MysqlError
from mmm.network.vips import Interface, InterfaceError, NoInterfaceError

log = logging.getLogger(__name__)


Due = Callable[[], bool]
"""Tells whether the lease is still over: nothing is to be taken that was given anew."""


def fence(conf: Cluster, due: Due = lambda: True) -> bool:
    """Have this host without the writer's VIP, read_only and its clients ended; returns whether all of it is so.

    So too where it is not `due` any more: the agent lives, and has been given the role anew. What is left to do is on
    record from before, unless the disk of that hangs, until writes are denied: an agent that is started meanwhile goes
    on with it.
    """
    if not due():
        return True
    here = conf.hosts[conf.this]
    note = FenceNote(here.pid_path)
    note.keep(fenced=False)
    note.settle()
    with ThreadPoolExecutor(1) as threads:
        # first: what is held without an address stands in a file, and its disk may hang
        denied = threads.submit(deny, ServerSession(agent_at(here)), conf, due)
        with Places(conf, forgets=False) as places:
            until = places.held_until([vip.ip for vip in conf.master_vips])
        gone = [_unbind(conf, vip.ip, until.get(vip.ip, NEVER)) for vip in conf.master_vips if due()]
        if problem := denied.result():
            log.error("fence: %s: read_only is not set: %s", conf.this, problem)
            return False
    if problem is not None:  # else the worker lives, and knows itself what is still to be denied
        note.keep(fenced=True)
        note.settle()
    return all(gone)


def give_up_overdue(conf: Cluster) -> None:
    """Give up what an earlier agent held without an address, and had no time to; that it fails is logged."""
    with Places(conf, forgets=False) as places:
        late = places.overdue()
    if any(vip.ip in late for vip in conf.master_vips):
        fence(conf)
    for ip in late:
        _unbind(conf, ip)


def deny(session: ServerSession, conf: Cluster, due: Due = lambda: True) -> str | None:
    """Take no more writes, at once; returns why that is not so, empty when it is. The session is closed.

    None where it is not `due` any more once the server has let the agent in: nothing is done then.
    """
    try:
        server = session.open()
        if not due():
            return None
        result = deny_writes(server, grace=0.0, keep=kept_users(conf))
    except MysqlError as error:
        # Where nothing listens nobody can write.
        return error.text if error.kind is not ErrorKind.REFUSED else ""
    finally:
        session.close()
    log.warning("fence: %s: read_only=1, %d clients ended", conf.this, result.ended)
    return ""


def _unbind(conf: Cluster, ip: str, until: float | None = None) -> bool:
    """Have the VIP gone; one without an address only where it is held as it was found, `until` a moment, if given."""
    with Places(conf, forgets=False) as interface:
        where = _where(interface, ip)
        try:
            ended = take_away(interface, conf, ip, until)
        except InterfaceError as error:
            log.error("fence: %s: %s", conf.this, error)
            return False
    if ended is not None and (where or ended):
        gone_from = ", ".join(where) or interface.name
        log.warning("fence: %s: %s is gone from %s, %d clients ended", conf.this, ip, gone_from, ended)
    return True


def _where(interface: Places, ip: str) -> list[str]:
    """Return the interfaces from which the VIP is about to go, as far as the kernel tells: it goes in any case."""
    found: list[str] = []
    with suppress(InterfaceError):
        found += [interface.name] if ip in (*interface.overdue(), *interface.bound([ip])) else []
    with suppress(InterfaceError):
        found += interface.elsewhere([ip]).get(ip, ())
    return list(dict.fromkeys(found))


def take_away(interface: Interface, conf: Cluster, ip: str, until: float | None = None) -> int | None:
    """Have the kernel end the clients that the server has not, and remove the VIP; returns how many there were.

    None where it stays, as do its clients: it is held until another moment than `until`, if that is given, and so by
    another lease. The server is not asked, for it may say nothing; but where clients come to the host's own address it
    tells which of the connections to leave alone. An interface that is not there, as it was renamed, holds up nothing.
    Raises InterfaceError.
    """
    here, bound = conf.hosts[conf.this], ip not in {vip.ip for vip in conf.asked_vips}
    if not interface.let_go(ip, until):
        return None
    session = ServerSession(agent_at(here), SERVER_LIMIT)
    try:
        if not bound:
            with suppress(MysqlError):
                session.open()
        ended = 0
        if way := entrance(conf, interface, ip):
            leaving = end_clients_of(way, here.mysql_port, session, kept_users(conf))
            cut_off(way, here.mysql_port, leaving)
            ended = leaving.ended
        if bound:
            with suppress(NoInterfaceError):
                interface.remove(ip)
    finally:
        session.close()
        interface.unbind_elsewhere(ip)
    return ended
