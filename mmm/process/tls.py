"""TLS for the agent's and the control port, as `<socket> type ssl` asks (rule 4).

Both ends show a certificate signed by `ca_file` and demand one of the other: the CA of the cluster is the
admission. Host names are not compared, because the certificates of classic installations name none, and
one certificate may serve all hosts; a certificate of another CA, such as a public one, is never accepted.
"""

import ssl
from pathlib import Path

from mmm.config.model import Socket


class TlsError(Exception):
    """The files of `<socket>` cannot be used; the text says which, why, and what to do."""


def server_context(socket: Socket) -> ssl.SSLContext | None:
    """Return the context of a port that listens, None for plain TCP; raises TlsError."""
    return _context(socket, ssl.PROTOCOL_TLS_SERVER)


def client_context(socket: Socket) -> ssl.SSLContext | None:
    """Return the context of a connection to such a port, None for plain TCP; raises TlsError."""
    return _context(socket, ssl.PROTOCOL_TLS_CLIENT)


def _context(socket: Socket, protocol: int) -> ssl.SSLContext | None:
    if socket.type == "plain":
        return None
    for key in ("cert_file", "key_file", "ca_file"):
        _readable(key, getattr(socket, key))
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(socket.ca_file)
    except ssl.SSLError as error:
        raise TlsError(f"ca_file {socket.ca_file} holds no usable CA certificate (PEM): {error}") from error
    try:
        context.load_cert_chain(socket.cert_file, socket.key_file, password=lambda: _refuse(socket.key_file))
    except ssl.SSLError as error:
        raise TlsError(
            f"cert_file {socket.cert_file} and key_file {socket.key_file} are no usable pair (PEM): {error}"
        ) from error
    return context


def _readable(key: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise TlsError(f"{key} {path or '(empty)'}: {reason}; set it in section <socket>") from error


def _refuse(path: str) -> bytes:
    raise TlsError(
        f"key_file {path} is encrypted, and a daemon cannot be asked for its passphrase: remove it"
    )
