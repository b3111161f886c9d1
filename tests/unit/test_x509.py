"""Until when certificates are good, as read from their files: against those that a library makes."""

import base64
import datetime as dt
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mmm.process.x509 import Certificate, ca_ends, certificates
from tests.authority import Authority

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def made(ends: dt.datetime) -> bytes:
    name = library.Name([library.NameAttribute(NameOID.COMMON_NAME, "db1 " + "x" * 40)])
    builder = (
        library.CertificateBuilder(name, name, KEY.public_key(), 4711)
        .not_valid_before(dt.datetime(1950, 1, 2, tzinfo=dt.UTC))
        .not_valid_after(ends)
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("year", [1960, 1999, 2000, 2026, 2049, 2050, 2999, 9999])
def test_the_end_is_told_in_whatever_form_the_time_is_written(year: int) -> None:
    ends = dt.datetime(year, 12, 31, 23, 59, 58, tzinfo=dt.UTC)
    (found,) = certificates(b"a comment\n" + made(ends))
    assert found.ends == int(ends.timestamp())
    assert found.subject == found.issuer


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    own = authority.issue("db1")
    chain = Path(own.cert_file).read_bytes() + authority.path.read_bytes()
    leaf, ca = certificates(chain)
    assert leaf.issuer == ca.subject != leaf.subject
    assert certificates(b"") == ()


def test_the_ca_that_counts_is_the_newest_of_those_that_signed() -> None:
    own = [Certificate(b"db1", b"middle", 10), Certificate(b"middle", b"root", 20)]
    authorities = [Certificate(b"root", b"root", 5), Certificate(b"root", b"root", 30)]
    assert ca_ends(own, [*authorities, Certificate(b"other", b"other", 1)]) == 30
    assert ca_ends(own, [Certificate(b"other", b"other", 1)]) is None


@given(st.data())
def test_what_is_none_is_a_value_error(data: st.DataObject) -> None:
    der = bytearray(base64.b64decode(b"".join(GOOD.splitlines()[1:-1])))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, 120))] = data.draw(st.integers(0, 255))
    cut = bytes(der[: data.draw(st.integers(0, len(der)))])
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(cut) + b"\n-----END CERTIFICATE-----\n"
    with suppress(ValueError):
        certificates(pem)


GOOD = made(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
