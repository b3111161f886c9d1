"""The kernel's table of TCP sockets (sock_diag): who is connected through an address, to end them, and who listens.

The kernel picks the connections out itself, so asking costs little on a host with thousands of others. A server that
listens on `::` has IPv4 clients at addresses such as `::ffff:10.0.0.9`: these are found and told as IPv4.
"""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK, _DIAG_BY_FAMILY, _SOCK_DESTROY = 18, 20, 21
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_ESTABLISHED, _LISTEN = 1, 10
_REQ_BYTECODE = 1
_BC_JMP, _BC_S_COND = 1, 7

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, sender
_REQUEST_V2 = struct.Struct(
    "=BBBBI"
)  # inet_diag_req_v2: family, protocol, extensions, pad, states; then the id
_ID = struct.Struct("!HH16s16s4s8s")  # inet_diag_sockid: ports, addresses, interface, cookie
_MESSAGE_ID = 4  # where the id begins in inet_diag_msg, behind family, state, timer, retransmits
_MESSAGE_USER = _MESSAGE_ID + _ID.size + 12  # where the user stands in it, behind expires and both queues
_BUFFER = 1 << 16
_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Connection:
    """An established TCP connection: where its client is, and the kernel's own name for it."""

    ip: str
    """The client's address."""
    port: int
    """The client's port."""
    family: int
    """Of the socket: AF_INET6 also for an IPv4 client of a server that listens on `::`."""
    key: bytes
    """The kernel's inet_diag_sockid: it names this socket and none that comes after it."""


def connections(ip: str, port: int) -> list[Connection]:
    """Return the established connections whose end on this host is `ip` and `port`; raises OSError."""
    wanted = ipaddress.ip_address(ip)
    with closing(_open()) as kernel:
        return list(map(_connection, _dump(kernel, _ESTABLISHED, _condition(wanted, port))))


def listening(port: int) -> frozenset[str]:
    """Return the addresses of this host at which something listens on the port, `0.0.0.0` or `::` for all of them.

    Raises OSError.
    """
    with closing(_open()) as kernel:
        found = [(message[0], _ID.unpack_from(message, _MESSAGE_ID)) for message in _dump(kernel, _LISTEN)]
    return frozenset(_shown(family, own[2]) for family, own in found if own[0] == port)


def takes(addresses: Iterable[str], ip: str) -> bool:
    """Tell whether who listens at `addresses` takes connections to `ip`; a server at `::` takes IPv4 too."""
    everywhere = {"::"} if ":" in ip else {"::", "0.0.0.0"}  # noqa: S104  (told by the kernel)
    return bool({ip, *everywhere} & set(addresses))


def owner(ip: str, port: int, other_ip: str, other_port: int) -> int | None:
    """Return the user whose socket on this machine is at `ip` and `port`, connected to the other end.

    None where there is no such socket, or no process has it any more: then its user is not known. Raises OSError.
    """
    ends = [ipaddress.ip_address(end) for end in (ip, other_ip)]
    family = socket.AF_INET if ends[0].version == 4 else socket.AF_INET6
    packed = [end.packed.ljust(16, b"\0") for end in ends]
    place = _ID.pack(port, other_port, *packed, bytes(4), b"\xff" * 8)
    body = _REQUEST_V2.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + place
    with closing(_open()) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(body), _DIAG_BY_FAMILY, _REQUEST, 1, 0) + body)
        data = kernel.recv(_BUFFER)
    kind = _HEADER.unpack_from(data)[1]
    if kind == _ERROR:
        number = -struct.unpack_from("=i", data, _HEADER.size)[0]
        if number in {errno.ENOENT, errno.ESTALE}:
            return None
        raise OSError(number, os.strerror(number))
    user, inode = struct.unpack_from("=II", data, _HEADER.size + _MESSAGE_USER)
    return int(user) if inode else None


def destroy(ended: Iterable[Connection]) -> int:
    """End connections at once: both sides see them reset. Returns how many were still there; raises OSError.

    OSError with EOPNOTSUPP: the kernel cannot do that (it was built without INET_DIAG_DESTROY).
    """
    with closing(_open()) as kernel:
        return sum(_destroy(kernel, connection) for connection in ended)


def _destroy(kernel: socket.socket, connection: Connection) -> bool:
    body = _REQUEST_V2.pack(connection.family, socket.IPPROTO_TCP, 0, 0, 1 << _ESTABLISHED) + connection.key
    kernel.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DESTROY, _REQUEST | _ACK, 1, 0) + body)
    number = -struct.unpack_from("=i", kernel.recv(_BUFFER), _HEADER.size)[0]
    if number and number not in {errno.ENOENT, errno.ESTALE}:
        raise OSError(number, os.strerror(number))
    return not number


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
    sock.settimeout(_LIMIT)
    return sock


def _condition(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bytes:
    """Return the program with which the kernel picks connections: own address is `ip`, own port is `port`."""
    family, length = (socket.AF_INET, 32) if ip.version == 4 else (socket.AF_INET6, 128)
    host = struct.pack("=BBxxi", family, length, port) + ip.packed
    size = 4 + len(host)
    # A condition that does not hold jumps past the end, which means no.
    code = struct.pack("=BBH", _BC_S_COND, size, size + 4) + host
    return struct.pack("=HH", 4 + len(code), _REQ_BYTECODE) + code


def _dump(kernel: socket.socket, state: int, condition: bytes = b"") -> Iterator[bytes]:
    """Yield the kernel's messages about the sockets in a state."""
    # The old form of the question asks for both families at once: each pass over the whole table takes milliseconds.
    body = bytes(4 + _ID.size) + struct.pack("=II", 1 << state, 0) + condition
    kernel.send(_HEADER.pack(_HEADER.size + len(body), _TCPDIAG_GETSOCK, _REQUEST | _DUMP, 1, 0) + body)
    while True:
        data = kernel.recv(_BUFFER)
        while data:
            length, kind = _HEADER.unpack_from(data)[:2]
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", data, _HEADER.size)[0]
                raise OSError(number, os.strerror(number))
            yield data[_HEADER.size : length]
            data = data[(length + 3) & ~3 :]


def _connection(message: bytes) -> Connection:
    family = message[0]
    key = message[_MESSAGE_ID : _MESSAGE_ID + _ID.size]
    _, port, _, address, _, _ = _ID.unpack(key)
    return Connection(_shown(family, address), port, family, key)


def _shown(family: int, address: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntoa(address[:4])
    found = ipaddress.IPv6Address(address)
    return str(found.ipv4_mapped or found)
