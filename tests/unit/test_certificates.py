"""Certificates that end: what the doctor sees and says, `show`, the answer to reload, and why there is no TLS."""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import Socket
from mmm.doctor.certificate_rules import short_lived
from mmm.doctor.certificates import looked_at
from mmm.doctor.look import Certificate, HostLook, Tls, decoded, encoded
from mmm.doctor.picture import Finding
from mmm.doctor.rules import would_fail
from mmm.monitor.act.agents import Agents
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import checkup
from mmm.monitor.command import reload
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.events import Examined
from mmm.monitor.world.warnings import text
from mmm.network.line_server import Limits, LineServer
from mmm.network.listener import Peer
from mmm.network.reason import reason
from mmm.process.renewal import ClusterTls
from mmm.wire.agent import Request
from tests.authority import Authority
from tests.unit.test_tls import client_of, server_of
from tests.unit.worlds import world

DAY = 86_400
NOW = 1_800_000_000.0
"""2027-01-15."""
PATH = "/etc/mysql-mmm/tls/cert.pem"


def said(days: float, **more: str) -> list[tuple[str, dict[str, str]]]:
    ends = int(NOW + days * DAY)
    tls = Tls(
        (Certificate("cert_file", PATH, ends, time.strftime("%F", time.gmtime(min(ends, 9e10)))),), **more
    )
    return [(code, dict(fields)) for code, fields in short_lived(tls, NOW)]


def test_a_certificate_is_named_from_30_days_before_its_end_on() -> None:
    assert said(30.1) == []
    about = {"key": "cert_file", "path": PATH}
    assert said(29.9) == [("certificate_ends", {**about, "date": "2027-02-14", "days": "29"})]
    assert said(-0.1) == [("certificate_ended", {**about, "date": "2027-01-15"})]
    assert said(1e9) == [], "one without an end"
    assert said(40, unusable="no usable pair") == [("tls_files_unusable", {"why": "no usable pair"})]


def test_the_sentence_names_file_date_and_what_to_do() -> None:
    (code, fields), *_ = said(12.5)
    found = Finding(code, "db1", fields)
    assert found.says == f"cert_file {PATH} is good until 2027-01-27, for 12 days"
    assert "put another one in its place" in found.todo
    (code, fields), *_ = said(-1)
    assert would_fail([Finding(code, "db1", fields)])


def test_the_own_certificate_and_the_ca_that_signed_it_are_looked_at(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    settings, bundle = ours.issue("db1", days=9), tmp_path / "bundle.pem"
    bundle.write_bytes(theirs.path.read_bytes() + ours.path.read_bytes())
    context, tls = looked_at(replace(settings, ca_file=str(bundle)), theirs.issue("web", days=2).cert_file)
    assert context is not None
    ends = {each.key: (each.path, round((each.ends - time.time()) / DAY)) for each in tls.certificates}
    assert ends == {
        "cert_file": (settings.cert_file, 9),
        "ca_file": (str(bundle), 3650),
        "<web> cert_file": (str(tmp_path / "web.crt"), 2),
    }
    assert decoded(encoded(HostLook(tls=tls))).tls == tls
    assert looked_at(Socket()) == (None, Tls())


def test_files_that_cannot_be_used_are_a_finding_and_end_no_look(tmp_path: Path) -> None:
    settings = replace(Authority(tmp_path, "ours").issue("db1"), key_file="/no/such/file")
    context, tls = looked_at(settings)
    assert context is None
    assert "key_file /no/such/file: No such file" in tls.unusable


def test_show_names_certificates_that_end_until_they_are_renewed() -> None:
    seen = world()
    ends = Finding(
        "certificate_ends", "db2", {"key": "cert_file", "path": PATH, "date": "2027-01-27", "days": "9"}
    )
    ended = Finding("certificate_ended", "", {"key": "ca_file", "path": "/ca.pem", "date": "2027-01-01"})

    def shown(*found: Finding, silent: str = "") -> list[str]:
        nonlocal seen
        ending = checkup.ending(seen, found, frozenset(seen.hosts) - {silent})
        seen = apply(seen, Examined(checkup.errors(seen, found), ending), 0.0)
        return [text(warned) for warned in checkup.warned(seen)]

    first, second = shown(ends, ended)
    todo = "put another one in its place, see docs/install.md"
    assert first == f"the certificate {PATH} of db2 is good until 2027-01-27: {todo}"
    whose = "the certificate /ca.pem of the monitor"
    assert second == f"{whose} was good until 2027-01-01, no new connection is made with it: {todo}"
    assert shown(silent="db2") == [first], "its agent cannot be reached since"
    assert shown() == []


def test_the_answer_to_reload_says_what_came_of_new_files() -> None:
    same = reload.with_renewed(Verdict("same_conf"), "TLS: new files are taken")
    assert str(same) == "OK: The conf has not changed: nothing to take.\nTLS: new files are taken"
    assert (
        str(reload.with_renewed(Verdict("same_conf"), "")) == "OK: The conf has not changed: nothing to take."
    )
    taken = reload.with_renewed(
        Verdict("reloaded", {"changes": ("debug",), "renamed": ()}), "TLS: new files are taken"
    )
    assert str(taken) == "OK: The conf is taken.\ndebug\nTLS: new files are taken\n"
    refused = Verdict("conf_unusable", {"lines": ("m.conf:1: wrong",)})
    assert reload.with_renewed(refused, "TLS: new files are taken") is refused


async def test_an_agent_that_is_not_reached_for_its_certificate_is_said_to_be_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    agent, monitor = ClusterTls(authority.issue("agent", days=-1)), ClusterTls(authority.issue("monitor"))

    async def answer(_line: bytes, _peer: Peer) -> bytes:
        return b"OK: Pinged!\n"

    server = LineServer("agent port", answer, Limits(line=100))
    async with asyncio.timeout(30), server.listen("127.0.0.1", 0, agent.server) as port:
        host = replace(world().conf.hosts["db1"], ip="127.0.0.1", agent_port=port)
        spoken = await Agents(monitor.client).ask(host, Request("PING", "db1"))
    assert spoken.text == "no connection: TLS: its certificate is not accepted: certificate has expired"


def alert(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLError:
    """Return what a client hears whose certificate the server does not accept."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    here, other = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    for side in (here, other, here, other):
        with suppress(ssl.SSLError):
            side.do_handshake()
    with pytest.raises(ssl.SSLError) as heard:
        here.read()
    return heard.value


def test_a_certificate_that_others_do_not_accept_is_said_to_be_so(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    agent, monitor = authority.issue("agent"), authority.issue("monitor", days=-1)
    said = reason(alert(server_of(agent), client_of(monitor)))
    assert said == "TLS: it answers 'certificate expired' to this host's certificate or TLS"


def test_a_reason_is_one_of_the_system_or_of_tls() -> None:
    assert reason(ConnectionRefusedError(111, "x")) == "Connection refused"
    assert reason(ConnectionResetError("it closed the connection")) == "it closed the connection"
