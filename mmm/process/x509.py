"""Until when certificates are good, and who has signed them: as much of X.509 as that takes (RFC 5280). Pure.

Python's `ssl` tells this of a peer's certificate alone, and of a CA's, not of one's own.
"""

import base64
import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL)
_VERSION = 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z")
_LONGEST = 4
"""Bytes of a length."""


class Certificate(NamedTuple):
    """A certificate: names as they are encoded, and the last moment at which it is good, in seconds since 1970."""

    subject: bytes
    issuer: bytes
    ends: int


def certificates(pem: bytes) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM file in their order; raises ValueError."""
    return tuple(_certificate(base64.b64decode(body)) for body in _PEM.findall(pem))


def ca_ends(own: Sequence[Certificate], authorities: Iterable[Certificate]) -> int | None:
    """Return until when there is a CA for one's own certificate, which comes with those between; None: no CA is known.

    A CA that was renewed under its old name is good for as long as the newest one.
    """
    issuers = {each.issuer for each in own}
    return max((each.ends for each in authorities if each.subject in issuers), default=None)


def _certificate(der: bytes) -> Certificate:
    (_, whole), *_ = _parts(der)  # a file that says what it is trusted for has more behind it
    (_, signed), *_ = _parts(whole)
    parts = [part for part in _parts(signed) if part[0] != _VERSION]
    (_, issuer), (_, validity), (_, subject) = parts[2:5]  # behind the serial number and the algorithm
    _, end = _parts(validity)
    return Certificate(subject, issuer, _moment(*end))


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the elements of a DER sequence, each as its tag and what it holds."""
    at = 0
    while at < len(data):
        tag, length = data[at], int.from_bytes(data[at + 1 : at + 2], "big")
        at += 2
        if length & 0x80:
            size = length & 0x7F
            if not 0 < size <= _LONGEST:
                raise ValueError(f"no certificate: a length of {size} bytes")
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("no certificate: it ends too soon")
        yield tag, data[at : at + length]
        at += length


def _moment(tag: int, text: bytes) -> int:
    if tag == _UTC_TIME:
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"no certificate: tag {tag} where a time should be")
    if (told := _TIME.fullmatch(text)) is None:
        raise ValueError(f"no certificate: {text!r} is no time")
    return timegm(tuple(map(int, told.groups())))
