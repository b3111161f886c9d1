"""Looks at the machine that the doctor runs on: files, disks, ping, and ports of other machines."""

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mmm.doctor.look import Room
from mmm.doctor.servers import FOLDERS
from mmm.network.icmp import Pinger
from mmm.process.logs import LOG_DIR

PING_LIMIT = 1.0
"""Seconds for the answer to a ping; two are sent."""
_MEGABYTE = 1 << 20


def unwritable(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the folders in which these files are to be written and cannot be."""
    folders = dict.fromkeys(_existing(Path(path).parent) for path in paths if path)
    return tuple(str(folder) for folder in folders if not os.access(folder, os.W_OK | os.X_OK))


def room(folders: Iterable[tuple[str, str]]) -> tuple[Room, ...]:
    """Return the room on the disks of these folders, each with what it holds; those that cannot be asked are left out.

    Each disk once, by the first of its folders.
    """
    found: dict[int, Room] = {}
    for folder, holds in folders:
        with suppress(OSError):
            path = _existing(Path(folder))
            device = path.stat().st_dev
            if (known := found.get(device)) is not None:
                found[device] = replace(known, holds=f"{known.holds}, {holds}")
                continue
            disk = shutil.disk_usage(path)
            found[device] = Room(folder, disk.free // _MEGABYTE, -(-disk.total // _MEGABYTE), holds)
    return tuple(found.values())


def written_by(server: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the folders that a server on this machine writes to, by its settings, and what that is."""
    for name, holds in FOLDERS.items():
        if path := server.get(name, ""):
            yield str(Path(path) if name == "datadir" else Path(path).parent), holds


def own_files(pid_path: str) -> Iterator[tuple[str, str]]:
    """Yield the folders that a daemon writes to, and what that is."""
    yield str(LOG_DIR), "logs"
    if pid_path:
        yield str(Path(pid_path).parent), "pid file, promises"


def pinged(ips: Iterable[str]) -> dict[str, bool]:
    """Return which addresses answer ping; nothing where this user may not ask. Not inside of an event loop."""
    wanted = list(dict.fromkeys(ips))
    try:
        return asyncio.run(_pinged(wanted)) if wanted else {}
    except OSError:
        return {}


async def _pinged(ips: list[str]) -> dict[str, bool]:
    async with Pinger() as pinger:
        return dict(zip(ips, await asyncio.gather(*(_answers(pinger, ip) for ip in ips)), strict=True))


async def _answers(pinger: Pinger, ip: str) -> bool:
    for _ in range(2):
        if await pinger.ping(ip, PING_LIMIT) is not None:
            return True
    return False


def asked(ip: str, port: int, line: bytes, limit: float, tls: ssl.SSLContext | None) -> bytes:
    """Return the line that a line server answers; raises OSError, TimeoutError after `limit` seconds for each piece."""
    with socket.create_connection((ip, port), limit) as plain:
        plain.settimeout(limit)
        with tls.wrap_socket(plain) if tls else plain as connection:
            connection.sendall(line)
            received = bytearray()
            while not received.endswith(b"\n"):
                data = connection.recv(1 << 16)
                if not data:
                    raise ConnectionResetError("it closed the connection")
                received += data
            return bytes(received)


def _existing(folder: Path) -> Path:
    """Return the folder, or where it does not exist that in which it would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
