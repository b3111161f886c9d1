"""Looks at the TLS files of this machine: whether they can be used, and until when they are good."""

import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmm.config.model import Socket
from mmm.doctor.look import Certificate, Tls
from mmm.process import tls, x509


def looked_at(socket: Socket, web: str = "") -> tuple[ssl.SSLContext | None, Tls]:
    """Return what connections are made by, None for plain TCP or where that cannot be had, and what the files say.

    `web` is the certificate of mmm_web, empty where it has none.
    """
    pages = tuple(_own("<web> cert_file", web))
    try:
        return tls.client_context(socket), Tls((*_of_cluster(socket), *pages))
    except (tls.TlsError, OSError) as error:
        return None, Tls(pages, str(error))


def _of_cluster(socket: Socket) -> Iterator[Certificate]:
    if socket.type == "plain":
        return
    yield from _own("cert_file", socket.cert_file)
    ends = x509.ca_ends(_read(socket.cert_file), _read(socket.ca_file))
    if ends is not None:
        yield _of("ca_file", socket.ca_file, ends)


def _own(key: str, path: str) -> Iterator[Certificate]:
    """Yield the first certificate of a file, which is one's own."""
    for each in _read(path)[:1]:
        yield _of(key, path, each.ends)


def _of(key: str, path: str, ends: int) -> Certificate:
    return Certificate(key, path, ends, time.strftime("%Y-%m-%d", time.gmtime(ends)))


def _read(path: str) -> tuple[x509.Certificate, ...]:
    with suppress(OSError, ValueError):
        return x509.certificates(Path(path).read_bytes())
    return ()
