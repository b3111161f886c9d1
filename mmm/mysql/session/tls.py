"""TLS to a server, as the host's `mysql_ssl_…` keys ask (rule 11.4).

The modes are those of MySQL's own clients. Files are read for every connection, so that a renewed certificate needs
no restart.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from mmm.config.model import Host, SslMode


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is encrypted and what is demanded of the server; paths of PEM files, empty for none."""

    mode: SslMode = "required"
    ca: str = ""
    cert: str = ""
    key: str = ""


class TlsFileError(Exception):
    """A file of the conf cannot be used; the text says which key, which file and why."""


def tls_of(host: Host) -> Tls | None:
    """Return what the conf asks for connections to the host's server, None for plain TCP."""
    if host.mysql_ssl_mode == "disabled":
        return None
    return Tls(host.mysql_ssl_mode, host.mysql_ssl_ca, host.mysql_ssl_cert, host.mysql_ssl_key)


def prepare(context: ssl.SSLContext, tls: Tls) -> None:
    """Have a new client context demand and show what `tls` says; raises TlsFileError."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.mode == "verify_identity"
    context.verify_mode = ssl.CERT_NONE if tls.mode == "required" else ssl.CERT_REQUIRED
    if tls.ca:
        _load_ca(context, tls.ca)
    if tls.cert:
        _load_own(context, tls.cert, tls.key)


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    _readable("mysql_ssl_ca", path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsFileError(f"mysql_ssl_ca {path} holds no usable CA certificate (PEM)") from error


def _load_own(context: ssl.SSLContext, cert: str, key: str) -> None:
    _readable("mysql_ssl_cert", cert)
    _readable("mysql_ssl_key", key)
    try:
        context.load_cert_chain(cert, key, password=lambda: _refuse(key))
    except ssl.SSLError as error:
        raise TlsFileError(
            f"mysql_ssl_cert {cert} and mysql_ssl_key {key} are no usable pair (PEM)"
        ) from error


def _readable(key: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise TlsFileError(f"{key} {path}: {error.strerror or error}") from error


def _refuse(path: str) -> bytes:
    raise TlsFileError(f"mysql_ssl_key {path} is encrypted, and a daemon cannot be asked for its passphrase")
