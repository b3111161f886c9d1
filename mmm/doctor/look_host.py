"""Looks at this host and from it at the others: what the agent answers to DOCTOR, within some 10 s. Changes nothing."""

import shlex
import shutil
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from mmm.config.agreement import alike
from mmm.config.model import Cluster, Host
from mmm.doctor.certificates import looked_at
from mmm.doctor.look import HostLook, Login, Replaced, Server
from mmm.doctor.machine import asked, own_files, pinged, room, unwritable, written_by
from mmm.doctor.servers import log_in, look_at
from mmm.mysql.backup import mariadb_backup
from mmm.network.own import interfaces, kernel_name, nearer, own_addresses, own_networks
from mmm.network.reason import reason
from mmm.network.socket_table import listening
from mmm.process.logs import LOG_DIR
from mmm.process.old_data import DAY, old_data, server_here, taken
from mmm.wire import agent as wire

AGENT_LIMIT = 1.0
"""Seconds for another agent to answer PING."""
_AT_ONCE = 8
_MEGABYTE = 1_000_000
_COUNTED = 2.0
"""Seconds for which the files of old data are counted: the rest of the look waits for it."""
_HEALTH = b"HEAD / HTTP/1.0\r\n\r\n"
_FEW = 20
"""Up to this number of hosts a master looks at all others; in larger clusters at the possible masters, as slaves do."""


def look_host(conf: Cluster) -> HostLook:
    """Return what is seen of the host that the conf names by `this`, and from it."""
    here = conf.hosts[conf.this]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="doctor") as threads:
        own = threads.submit(look_at, here, "agent")
        at_masters = [
            threads.submit(log_in, host, kind, of=here, grants=kind == "replication")
            for host in conf.masters
            for kind in ("agent", "replication")
            if kind == "replication" or host != here
            if kind == "agent" or here.replication_user
        ]
        as_tools = _log_in_as_tools(conf, here, threads)
        context, files = looked_at(conf.socket)
        others = _others(conf, here)
        asked_by = [] if files.unusable else others
        agents = {host.name: threads.submit(_agent, host, context) for host in asked_by}
        login, server = own.result()
        addresses = _addresses()
        return HostLook(
            conf=alike(conf),
            addresses=tuple(addresses),
            address_here=not addresses or here.ip in addresses,
            interface_here=_has_interface(here.cluster_interface),
            nearer=_nearer(conf, here),
            bound=tuple((vip.ip, addresses[vip.ip]) for vip in conf.bound_vips if vip.ip in addresses),
            listens=_listens(here.mysql_port),
            block_command=_missing_command(conf),
            unwritable=unwritable((here.pid_path, f"{LOG_DIR}/x")),
            room=room((*written_by(server.settings if server else {}), *own_files(here.pid_path))),
            tls=files,
            replaced=_replaced(conf),
            server=server,
            logins=(login, *(each.result() for each in (*at_masters, *as_tools))),
            no_programs=_missing_programs() if here.tools_user and _is_mariadb(server) else (),
            health="" if files.unusable else _health(conf, here, context),
            agents={name: said.result() for name, said in agents.items()},
            pings=_pings(others),
            clock=time.time(),
        )


def _log_in_as_tools(conf: Cluster, here: Host, threads: ThreadPoolExecutor) -> list[Future[Login]]:
    hosts = conf.hosts.values() if here.tools_user else ()
    return [threads.submit(log_in, host, "tools", of=here, grants=host == here) for host in hosts]


def look_witness(conf: Cluster) -> HostLook:
    """Return what is seen of a witness, which has no server and looks at no other host."""
    here, addresses = conf.here, _addresses()
    return HostLook(
        conf=alike(conf),
        addresses=tuple(addresses),
        address_here=not addresses or here.ip in addresses,
        unwritable=unwritable((here.pid_path, f"{LOG_DIR}/x")),
        room=room(own_files(here.pid_path)),
        tls=looked_at(conf.socket)[1],
        clock=time.time(),
    )


def _replaced(conf: Cluster) -> tuple[Replaced, ...]:
    now, kept = time.time(), old_data(server_here(conf))
    limit = _COUNTED / max(1, len(kept))
    return tuple(
        Replaced(str(each.path), taken(each.path, limit) // _MEGABYTE, (now - each.since) / DAY)
        for each in kept
    )


def _others(conf: Cluster, here: Host) -> list[Host]:
    near: Iterable[Host] = conf.masters
    if here in conf.masters and len(conf.hosts) <= _FEW:
        near = conf.hosts.values()
    return [host for host in near if host != here]


def _pings(others: list[Host]) -> dict[str, bool]:
    """Return which hosts answer ping; those that cannot be asked are left out."""
    answers = pinged(host.ip for host in others)
    return {host.name: answers[host.ip] for host in others if host.ip in answers}


def _agent(host: Host, context: ssl.SSLContext | None) -> str:
    """Return why the agent of another host does not answer, empty where it does."""
    request = wire.encode_request(wire.Request(wire.PING, host.name))
    try:
        wire.decode_reply(asked(host.ip, host.agent_port, request, AGENT_LIMIT, context))
    except TimeoutError:
        return f"no answer within {AGENT_LIMIT:g} s"
    except OSError as error:
        return reason(error)
    except wire.WireError as error:
        return str(error)
    return ""


def _health(conf: Cluster, here: Host, context: ssl.SSLContext | None) -> str:
    """Return why the health port does not answer, empty where it does, or is not there to."""
    if not here.health_port or _agent(here, context):
        return ""
    try:
        asked(here.ip, here.health_port, _HEALTH, AGENT_LIMIT, None if conf.health_plain else context)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _addresses() -> dict[str, str]:
    with suppress(OSError):
        return own_addresses()
    return {}


def _has_interface(name: str) -> bool:
    with suppress(OSError):
        return kernel_name(name) in interfaces()
    return True


def _nearer(conf: Cluster, here: Host) -> tuple[str, ...]:
    with suppress(OSError):
        name = kernel_name(here.cluster_interface)
        found = nearer(name, (vip.ip for vip in conf.bound_vips), own_networks())
        return found if all(found) else ()
    return ()


def _listens(port: int) -> tuple[str, ...]:
    with suppress(OSError):
        return tuple(sorted(listening(port)))
    return ()


def _is_mariadb(server: Server | None) -> bool:
    return server is not None and server.family == "MariaDB"


def _missing_programs() -> tuple[str, ...]:
    """Return the packages whose programs make and take a copy of the data, and are not here."""
    programs = {mariadb_backup.PACKAGE: mariadb_backup.NAMES, "zstd": ("zstd",)}
    return tuple(package for package, names in programs.items() if not any(map(shutil.which, names)))


def _missing_command(conf: Cluster) -> str:
    """Return the program of iptables_block_cmd where it is needed and not there."""
    if conf.blocking_type != "soft":
        return ""
    with suppress(ValueError):
        words = shlex.split(conf.iptables_block_cmd)
        if words and shutil.which(words[0]) is None:
            return words[0]
    return ""
