"""A network of its own for a test: nothing in it reaches the machine, and nothing is left of it."""

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_ETH_P_ARP = 0x0806


@contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts, into a new network namespace whose loopback is up."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _check(_LIBC.unshare(_CLONE_NEWNET))
        try:
            ip("link set lo up")
            yield
        finally:
            _check(_LIBC.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def ip(arguments: str) -> str:
    """Run the ip command and return what it prints."""
    return subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True).stdout


def cable(near: str, far: str) -> None:
    """Lay a cable with two ends that are up; `far` is where a neighbour would listen."""
    ip(f"link add {near} type veth peer name {far}")
    for end in (near, far):
        ip(f"link set {end} up")


def addresses(interface: str) -> set[str]:
    """Return what is bound, as ADDRESS/LENGTH."""
    return {line.split()[3] for line in ip(f"-4 -o addr show dev {interface}").splitlines()}


@contextmanager
def listening(interface: str) -> Iterator[socket.socket]:
    """Give a socket that receives every ARP frame that arrives at the interface."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP)) as sock:
        sock.bind((interface, _ETH_P_ARP))
        sock.settimeout(10.0)
        yield sock


class Neighbour:
    """Another host: a network namespace of its own, of a process that does nothing."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def ip(self, arguments: str) -> str:
        """Run the ip command there and return what it prints."""
        command = ["nsenter", "-t", str(self.pid), "-n", "ip", *arguments.split()]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def socket(self, family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """Return a socket of that host's network."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _check(_LIBC.setns(other, _CLONE_NEWNET))
            try:
                return socket.socket(family, kind, protocol)
            finally:
                _check(_LIBC.setns(own, _CLONE_NEWNET))
        finally:
            os.close(own)
            os.close(other)


@contextmanager
def neighbour() -> Iterator[Neighbour]:
    """Give another host whose loopback is up; it ends with the block."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as process:
        own = Path("/proc/thread-self/ns/net").readlink()
        while Path(f"/proc/{process.pid}/ns/net").readlink() == own:
            time.sleep(0.001)
        far = Neighbour(process.pid)
        far.ip("link set lo up")
        yield far


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
