"""TLS as `<socket> type ssl` sets it up, between two real sockets, with a CA made here."""

import socket
import ssl
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import Socket
from mmm.process.tls import TlsError, client_context, server_context
from tests.authority import Authority

LIMIT = 30


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


def talk(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    """Return the TLS version and what the client was sent; raises what the client sees."""
    here, there = socket.socketpair()
    here.settimeout(LIMIT)
    there.settimeout(LIMIT)

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as wrapped:
                wrapped.sendall(b"OK: Pinged!")
        except OSError:
            there.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(here) as wrapped:
            return wrapped.version() or "", wrapped.recv(100).decode()
    finally:
        thread.join(LIMIT)


def server_of(settings: Socket) -> ssl.SSLContext:
    context = server_context(settings)
    assert context is not None
    return context


def client_of(settings: Socket) -> ssl.SSLContext:
    context = client_context(settings)
    assert context is not None
    return context


def with_file(settings: Socket, key: str, path: str) -> Socket:
    files = {name: getattr(settings, name) for name in ("cert_file", "key_file", "ca_file")} | {key: path}
    return Socket("ssl", **files)


def test_plain_is_no_tls() -> None:
    assert server_context(Socket()) is None
    assert client_context(Socket()) is None


def test_certificates_of_one_ca_talk_whatever_they_name(ours: Authority) -> None:
    version, text = talk(server_of(ours.issue("db1")), client_of(ours.issue("monitor")))
    assert version in {"TLSv1.2", "TLSv1.3"}
    assert text == "OK: Pinged!"


def test_a_client_without_a_certificate_gets_nothing(ours: Authority) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(ours.path)
    with pytest.raises(OSError, match=r"(?i)certificate required|reset|eof"):
        talk(server_of(ours.issue("db1")), client)


def test_a_client_of_another_ca_gets_nothing(ours: Authority, theirs: Authority) -> None:
    stranger = replace(theirs.issue("stranger"), ca_file=str(ours.path))
    with pytest.raises(OSError, match=r"(?i)unknown ca|reset|eof"):
        talk(server_of(ours.issue("db1")), client_of(stranger))


def test_a_server_of_another_ca_is_refused(ours: Authority, theirs: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(server_of(theirs.issue("db1")), client_of(ours.issue("monitor")))


def test_old_tls_is_refused(ours: Authority) -> None:
    client = client_of(ours.issue("monitor"))
    client.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)protocol|reset|eof"):
        talk(server_of(ours.issue("db1")), client)


@pytest.mark.parametrize("key", ["cert_file", "key_file", "ca_file"])
def test_a_missing_file_is_named(ours: Authority, key: str) -> None:
    settings = with_file(ours.issue("db1"), key, "/no/such/file")
    with pytest.raises(TlsError, match=f"{key} /no/such/file: No such file or directory; set it in"):
        server_context(settings)


@pytest.mark.parametrize("key", ["cert_file", "key_file", "ca_file"])
def test_a_file_of_something_else_is_named(ours: Authority, tmp_path: Path, key: str) -> None:
    (tmp_path / "rubbish").write_text("rubbish")
    with pytest.raises(TlsError, match=f"{key} {tmp_path}/rubbish"):
        client_context(with_file(ours.issue("db1"), key, str(tmp_path / "rubbish")))


def test_a_key_of_another_certificate_is_named(ours: Authority) -> None:
    settings = replace(ours.issue("db1"), key_file=ours.issue("db2").key_file)
    with pytest.raises(TlsError, match="are no usable pair"):
        server_context(settings)


def test_an_encrypted_key_asks_nobody(ours: Authority) -> None:
    with pytest.raises(TlsError, match="is encrypted"):
        server_context(ours.issue("db1", passphrase=b"secret"))
