"""Looks at the whole cluster from the monitor's machine; the monitor need not run, nor any agent. Changes nothing."""

import asyncio
import os
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from mmm.config.agreement import alike
from mmm.config.model import Cluster, Host, Monitor
from mmm.config.names import WITNESS
from mmm.doctor.certificates import looked_at
from mmm.doctor.look import HostLook, LookError, MonitorLook, Room, Seen, decoded
from mmm.doctor.machine import asked, own_files, pinged, room, unwritable
from mmm.doctor.picture import Picture
from mmm.doctor.servers import look_at
from mmm.network.agent_port import AgentPort
from mmm.network.reason import reason
from mmm.process import tls
from mmm.process.logs import LOG_DIR
from mmm.wire import agent as wire
from mmm.wire import questions

AGENT_LIMIT = 20.0
"""Seconds for an agent's look."""
CONNECT_LIMIT = 3.0
_AT_ONCE = 16


def look_at_cluster(conf: Cluster, monitor: Monitor) -> Picture:
    """Return what is seen from here, and what agents tell of their hosts; within some 30 s."""
    context = tls.client_context(conf.socket)
    port = AgentPort(conf.auth_key, context)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="doctor") as threads:
        looks = {name: threads.submit(_seen, host, port) for name, host in conf.agents.items()}
        runs = threads.submit(_runs, monitor, context)
        pings = pinged((*(host.ip for host in conf.agents.values()), *monitor.ping_ips))
        seen = {
            name: _with_ping(each.result(), pings.get(conf.agents[name].ip)) for name, each in looks.items()
        }
        answer = runs.result()
    return Picture(
        conf,
        seen,
        {name: each.look for name, each in seen.items() if each.look is not None},
        MonitorLook(
            conf=alike(conf),
            runs=not answer,
            answer=answer,
            silent_ips=tuple(ip for ip in monitor.ping_ips if pings.get(ip) is False),
            kill_host=_kill_host(monitor),
            unwritable=unwritable_here(monitor),
            room=_room(monitor),
            tls=looked_at(conf.socket, conf.web.cert_file)[1],
            clock=time.time(),
        ),
    )


def unwritable_here(monitor: Monitor) -> tuple[str, ...]:
    """Return the folders that cannot be written; that of pid_path may be made at the start, by the daemon's unit."""
    folder = Path(monitor.status_path).parent
    missing = () if folder.is_dir() else (str(folder),)
    return (*missing, *unwritable((monitor.pid_path, monitor.status_path, f"{LOG_DIR}/x")))


def _room(monitor: Monitor) -> tuple[Room, ...]:
    return room(((str(Path(monitor.status_path).parent), "status file"), *own_files(monitor.pid_path)))


def from_within(conf: Cluster, monitor: Monitor) -> Picture:
    """Return what agents tell of their hosts, and the monitor's disks: the part that the monitor looks at by itself."""
    context, files = looked_at(conf.socket, conf.web.cert_file)
    port, hosts = AgentPort(conf.auth_key, context), () if files.unusable else conf.agents.values()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="doctor") as threads:
        found = zip(hosts, threads.map(lambda host: _ask(host, port), hosts), strict=True)
        looks = {host.name: look for host, (_, _, look) in found if look is not None}
    here = MonitorLook(unwritable=unwritable_here(monitor), room=_room(monitor), tls=files, clock=time.time())
    return Picture(conf, {}, looks, here)


def _seen(host: Host, port: AgentPort) -> Seen:
    login, server = (None, None) if host.mode == WITNESS else look_at(host, "monitor")
    why, classic, look = _ask(host, port)
    apart = look.clock - time.time() if look else 0.0
    return Seen(login, server, None, why, classic, look, apart)


def _with_ping(seen: Seen, ping: bool | None) -> Seen:  # noqa: FBT001
    return Seen(seen.login, seen.server, ping, seen.agent, seen.classic, seen.look, seen.apart)


def _ask(host: Host, port: AgentPort) -> tuple[str, bool, HostLook | None]:
    """Return why the agent did not answer, whether it does not know the question, and its look."""
    try:
        ping = wire.encode_request(wire.Request(wire.PING, host.name))
        wire.decode_reply(asked(host.ip, host.agent_port, ping, CONNECT_LIMIT, port.tls))
        request = wire.Request(wire.DOCTOR, host.name)
        reply = asyncio.run(port.ask(host.ip, host.agent_port, request, AGENT_LIMIT))
        if reply is None:
            return (
                f"PING is answered, but not {wire.DOCTOR} within {AGENT_LIMIT:g} s",
                False,
                None,
            )
        if not reply.ok:
            return (reply.text, False, None) if reply.why else ("", True, None)
        return "", False, decoded(questions.looked(reply))
    except TimeoutError:
        return "no answer in time", False, None
    except OSError as error:
        return reason(error), False, None
    except (wire.WireError, LookError) as error:
        return str(error), False, None


def _runs(monitor: Monitor, context: ssl.SSLContext | None) -> str:
    """Return why the monitor does not answer, empty where it does."""
    if not monitor.ip:
        return "none of the `monitors` is an address of this machine"
    try:
        asked_monitor(monitor, context)
    except TimeoutError:
        return "no answer in time"
    except OSError as error:
        return reason(error)
    return ""


def asked_monitor(monitor: Monitor, context: ssl.SSLContext | None) -> None:
    """Ask the monitor whether it lives; raises OSError, TimeoutError."""
    import socket  # noqa: PLC0415

    with socket.create_connection((monitor.ip, monitor.port), CONNECT_LIMIT) as plain:
        plain.settimeout(CONNECT_LIMIT)
        with context.wrap_socket(plain) if context else plain as connection:
            connection.sendall(b"ping\nquit\n")
            if not connection.recv(100):
                raise ConnectionResetError("it closed the connection")


def _kill_host(monitor: Monitor) -> str:
    path = Path(monitor.bin_path or ".") / "monitor" / monitor.kill_host_bin
    with suppress(OSError):
        if not path.exists():
            return f"kill_host_bin {path} does not exist"
    return "" if os.access(path, os.X_OK) else f"kill_host_bin {path} cannot be run"
