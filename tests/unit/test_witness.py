"""A host of `mode witness`, which has no server and only votes on which monitor leads: conf, agent, monitor, doctor."""

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.duties import FILES
from mmm.agent.witness import Witness
from mmm.config.agreement import VOTERS, alike, digests
from mmm.config.allow import allowed
from mmm.config.load import Cluster, ConfError, Memory, Program, check, effective, read
from mmm.config.model import Host
from mmm.config.reload import changes, refused
from mmm.doctor.look import MonitorLook, Seen
from mmm.doctor.look_host import look_witness
from mmm.doctor.picture import Picture
from mmm.doctor.rules import examine
from mmm.lease.lead import Lead
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import checkup
from mmm.monitor.report import answers
from mmm.monitor.world.events import Examined
from mmm.monitor.world.examined import Ending
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.world import World
from mmm.network.line_client import ask
from mmm.network.listener import Peer
from mmm.wire import voting
from mmm.wire.agent import decode_reply, encode_request
from mmm.wire.why import IS_WITNESS
from tests.status import fits
from tests.unit.test_config_dialect2 import COMMON
from tests.unit.test_config_monitors import MONITORS, SEVERAL
from tests.unit.test_monitor_leading import LEADS, OWN, asked, codes, of_several, ordered
from tests.unit.test_monitor_rounds import Monitor, Voters, run
from tests.unit.worlds import CLOCK, NOW, show

LIMIT = 20.0
WITNESS = "<host mon1>\n    ip 10.0.0.6\n    mode witness\n</host>\n"
TWO = COMMON.replace("<host db3>\n    ip 10.0.0.3\n    mode slave\n</host>\n", "").replace(", db3", "")


def conf(text: str = MONITORS + WITNESS, program: Program = "MONITOR", common: str = TWO) -> Cluster:
    return check(read(Memory({"m.conf": text + common + SEVERAL}), "m"), program, "", lambda _: "")


def faults(text: str, program: Program = "MONITOR") -> list[str]:
    with pytest.raises(ConfError) as raised:
        conf(text, program)
    return [problem.fault.code for problem in raised.value.problems]


# --- conf


def test_a_witness_votes_last_and_is_no_host_of_servers_checks_and_orders() -> None:
    cluster = conf(WITNESS + MONITORS)
    assert tuple(cluster.hosts) == ("db1", "db2")
    assert tuple(cluster.agents) == ("db1", "db2", "mon1")
    assert cluster.voters == ("db1", "db2", "mon1")
    assert not cluster.warnings
    assert digests(cluster)[VOTERS] != digests(conf(MONITORS))[VOTERS]
    slaves = "".join(f"<host s{n}>\n ip 10.0.1.{n}\n mode slave\n</host>\n" for n in range(1, 5))
    assert conf(MONITORS + WITNESS + slaves).voters == ("db1", "db2", "s1", "s2", "s3", "s4", "mon1")


def test_a_witness_needs_no_account_no_interface_and_none_of_what_all_other_hosts_have() -> None:
    bare = TWO.replace("<host default>", "<host default>\n    mysql_ssl_mode verify_ca\n    health_port 9991")
    for program in ("AGENT", "MONITOR", "CONTROL", "TOOLS"):
        needs = bare.replace("verify_ca", "disabled") if program == "MONITOR" else TWO
        common = needs.replace("</host>", "    tools_user t\n    tools_password t\n</host>", 1)
        here = conf("this mon1\n" + MONITORS + WITNESS, program, common).witnesses["mon1"]
        assert here == Host("mon1", "10.0.0.6", "witness", pid_path="/run/a.pid", bin_path="/usr/lib/mmm")
    for user in ("agent", "replication", "monitor"):
        assert f"{user}_user" not in effective(conf()).split("<host mon1>")[1].split("</host>")[0]


def test_its_machine_may_be_that_of_a_monitor_and_everybody_lets_it_in() -> None:
    other = conf(MONITORS + WITNESS.replace("10.0.0.6", "10.0.0.7"))
    assert allowed(other).admits("10.0.0.7")
    assert not allowed(conf()).admits("10.0.0.7")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (WITNESS, "witness_without_monitors"),
        (MONITORS + WITNESS + "<role x>\nhosts db1, mon1\nips 10.0.0.99\nmode balanced\n</role>\n", "witness_in_role"),
        (MONITORS + WITNESS + "<role w>\nhosts db1\nprefer mon1\nips 10.0.0.9\nmode exclusive\n</role>\n",
         "witness_in_role"),
        (MONITORS + WITNESS + "<host db4>\nip 10.0.0.4\nmode master\npeer mon1\n</host>\n", "witness_is_peer"),
        (MONITORS + WITNESS.replace("witness", "witnes"), "not_a_choice"),
    ],
)  # fmt: skip
def test_a_witness_where_only_a_host_with_a_server_can_be_is_refused(text: str, code: str) -> None:
    assert code in faults(text)


def test_the_refusal_names_file_line_and_what_a_mode_can_be() -> None:
    with pytest.raises(ConfError) as raised:
        conf(MONITORS + WITNESS.replace("witness", "arbiter"))
    assert raised.value.errors[0].startswith("m.conf:4: mode is master, slave or witness, not `arbiter`")
    role = "<role x>\nhosts db1, mon1\nips 10.0.0.99\nmode balanced\n</role>\n"
    with pytest.raises(ConfError) as raised:
        conf(MONITORS + WITNESS + role)
    assert raised.value.errors[0].startswith("m.conf:7: hosts: mon1 is a witness")


def test_what_has_no_effect_is_warned_of() -> None:
    said = [each.fault.code for each in conf(MONITORS + WITNESS + "voters db1, db2\n").warnings]
    assert said == ["witness_no_voter"]
    slaves = "".join(f"<host s{n}>\n ip 10.0.1.{n}\n mode slave\n</host>\n" for n in range(1, 6))
    assert [each.fault.code for each in conf(MONITORS + WITNESS + slaves).warnings] == ["witness_no_voter"]
    port = WITNESS.replace("</host>", "    mysql_port 3307\n</host>")
    assert [each.fault.code for each in conf(MONITORS + port).warnings] == ["witness_has_no"]


def test_tools_that_work_on_their_hosts_server_do_not_run_on_a_witness() -> None:
    common = TWO.replace("</host>", "    tools_user t\n    tools_password t\n</host>", 1)
    with pytest.raises(ConfError) as raised:
        conf("this mon1\n" + MONITORS + WITNESS, "REJOIN", common)
    assert [problem.fault.code for problem in raised.value.problems] == ["witness_is_here"]


def test_a_running_daemon_takes_no_voter_more() -> None:
    assert {fault.code for fault in refused(changes(conf(MONITORS), conf()))} == {"lease_not_by_reload"}
    fixed = MONITORS + "voters db1, db2\n"
    assert refused(changes(conf(fixed), conf(fixed + WITNESS))) == ()


# --- its agent

PEER = Peer("127.0.0.1", 1000, "127.0.0.1", 9989)
LEAD = Lead(1, "10.0.0.6:9988", "a1")


def agent_conf(tmp_path: Path) -> Cluster:
    cluster = conf("this mon1\nlead_lease 1\n" + MONITORS + WITNESS, "AGENT")
    here = replace(cluster.witnesses["mon1"], pid_path=str(tmp_path / "agentd.pid"))
    return replace(cluster, witnesses={"mon1": here})


def test_it_votes_as_every_voter_and_counts_once_it_has_heard_a_monitor_that_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, moment = agent_conf(tmp_path), [1000.0]

    def now() -> float:
        return moment[0]

    monkeypatch.setattr("mmm.agent.act.replies.clock", now)

    async def told(witness: Witness, seen: str = "") -> tuple[voting.Said, str]:
        asked = voting.ask("mon1", voting.Asked(LEAD, 1.0, seen=seen), {VOTERS: digests(cluster)[VOTERS]})
        reply = decode_reply(await witness.answer(encode_request(asked), PEER))
        said = voting.said(reply)
        assert said is not None
        return said, reply.token

    async def votes() -> None:
        witness = Witness(cluster, now=now)
        first, token = await told(witness)
        assert (first.follows, first.new) == (None, True)  # it may have agreed to another one just now
        moment[0] += 2.0
        agreed, token = await told(witness)
        assert (agreed.follows, agreed.new) == (LEAD, True)
        moment[0] += 0.5
        whole, _ = await told(witness, token)
        assert not whole.new
        again, _ = await told(Witness(cluster, now=now))
        assert (again.follows, again.highest, again.new) == (LEAD, LEAD, False)

    asyncio.run(votes())


@contextmanager
def running(tmp_path: Path, *options: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """Run mmm_agentd on a witness of a cluster that is on this machine alone, and has no server anywhere."""
    text = MONITORS.replace("10.0.0.6", "10.9.9.6") + WITNESS + TWO + "this mon1\n"
    for of, to in (("10.0.0.", "127.77.0."), ("/run/a.pid", str(tmp_path / "a.pid")), ("eth0", "none9")):
        text = text.replace(of, to)
    file = tmp_path / "mmm_agent.conf"
    file.write_text(text + "".join(f"{key} {value}\n" for key, value in more.items()))
    file.chmod(0o640)
    (tmp_path / "mmm_agent_log.conf").write_text("root: {level: INFO}\n")
    command = [sys.executable, "-c", "import sys; from mmm.agent.daemon import main; sys.exit(main())"]
    process = subprocess.Popen(
        [*command, "--config", str(file), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_agent_may_have_as_many_files_open_as_clients_may_cost(tmp_path: Path) -> None:
    """systemd gives 1024 where nobody says more: a thousand handshakes that did not end kept the monitor out."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with running(tmp_path, "--foreground") as agent:
            assert agent.stdout is not None
            until(agent.stdout, "lets in")
            allowed_files, _ = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
    assert allowed_files == (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard))


def test_mmm_agentd_runs_there_without_a_server_and_takes_another_conf(tmp_path: Path) -> None:
    def asked(command: str) -> str:
        line = f"{command}|1|mon1\n".encode()
        return asyncio.run(ask("127.77.0.6", 9989, line, LIMIT)).decode()

    with running(tmp_path, "--foreground") as agent:
        assert agent.stdout is not None
        until(agent.stdout, "mon1 is a witness, without server and roles")
        until(agent.stdout, "lets in")
        assert asked("PING").startswith("OK: Pinged!")
        file = tmp_path / "mmm_agent.conf"
        file.write_text(file.read_text() + "allow_from 192.0.2.1\n")
        agent.send_signal(signal.SIGHUP)
        until(agent.stdout, "the conf is taken: allow_from")
        assert asked("PING").startswith("OK: Pinged!")
        file.write_text(file.read_text() + "voters db1, db2\n")
        agent.send_signal(signal.SIGHUP)
        until(agent.stdout, "the conf is not taken")
        agent.terminate()
        assert agent.wait(LIMIT) == 0


def until(lines: Iterable[str], words: str) -> None:
    """Read lines up to the one with the words."""
    seen = []
    for line in lines:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("".join(seen))


@pytest.mark.parametrize("option", ["--check", "--doctor"])
def test_check_and_doctor_say_what_it_is(tmp_path: Path, option: str) -> None:
    with running(tmp_path, option) as agent:
        said, _ = agent.communicate(timeout=LIMIT)
        assert "mon1 is a witness, without server and roles; it only votes" in said
        assert "none9" not in said


def test_it_refuses_orders_about_roles_and_says_what_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(line: str) -> str:
        reply = decode_reply(await witness.answer(line.encode(), PEER))
        assert not reply.ok
        assert "mon1 is a witness (mode witness)" in reply.text
        return reply.why

    witness = Witness(agent_conf(tmp_path))
    for line in (
        "SET_STATUS|1|mon1|ONLINE|writer(10.0.0.80)|db1",
        "CLEAR_BAD_ROLES|1|mon1",
        "GET_SYSTEM_STATUS|1|mon1",
        "PROMISE|1|mon1|db1|10",
    ):
        assert asyncio.run(refused(line)) == IS_WITNESS
    assert sum("mon1 is a witness" in record.getMessage() for record in caplog.records) == 1


# --- the monitor


def of_three(**now: object) -> World:
    world = of_several(**now)
    witness = Host("mon1", OWN, "witness")
    voters = ("db1", "db2", "mon1")
    return replace(world, conf=replace(world.conf, witnesses={"mon1": witness}, voters=voters))


def test_monitors_and_status_name_it_as_a_voter_that_answers_or_does_not() -> None:
    told = asked(of_three(**LEADS | {"kept_by": ("db1", "mon1"), "missing": ("db2",)}), "monitors")
    assert (told["witnesses"], told["voters"], told["kept_by"]) == (
        ["mon1"],
        ["db1", "db2", "mon1"],
        ["db1", "mon1"],
    )
    fits(asked(of_three(**LEADS), "status"))
    assert "mon1 (witness): votes\n" in str(answers.answer(of_three(**LEADS), ["monitors"], NOW, CLOCK))
    lost = of_three(**LEADS | {"missing": ("mon1",)})
    assert "mon1 (witness): does not answer\n1 of 3 voters is missing: mon1\n" in str(
        answers.answer(lost, ["monitors"], NOW, CLOCK)
    )
    alone = of_three(**LEADS | {"missing": ("db2", "mon1")})
    assert "see that the agents of db2, mon1 run" in show(alone)


def test_it_is_warned_of_a_witness_that_does_not_vote() -> None:
    assert "witness_silent" not in codes(of_three(**LEADS | {"missing": ("db2",)}))
    assert "witness_silent" in codes(of_three(**LEADS | {"missing": ("mon1",)}))
    assert "the witness mon1 does not answer" in show(of_three(**LEADS | {"missing": ("mon1",)}))


def test_show_has_no_line_of_it_and_a_command_about_it_says_what_it_is() -> None:
    world = of_three(**LEADS)
    assert "mon1" not in show(world)
    for words in (["set_offline", "mon1"], ["move_role", "writer", "mon1"], ["confirm_dead", "mon1"]):
        verdict = ordered(world, *words).answer
        assert (verdict.code, verdict.fields) == ("is_witness", {"host": "mon1"})
    assert str(answers.answer(world, ["explain", "mon1"], NOW, CLOCK)).startswith(
        "ERROR: 'mon1' is a witness"
    )


def test_its_vote_counts_where_a_host_is_gone() -> None:
    async def leads(monitor: Monitor) -> None:
        await monitor.until(lambda now: now.place is Place.LEADS)

    monitor = run(Voters(silent=["db1"]), leads, world=of_three(place=Place.STANDS_BY))
    assert set(monitor.world.leadership.kept_by) == {"db2", "mon1"}
    assert monitor.voters.asked["mon1"] > 0


# --- the doctor


def test_the_doctor_asks_its_agent_and_compares_its_conf_but_looks_for_no_server(tmp_path: Path) -> None:
    there = conf()
    here = agent_conf(tmp_path)
    look = look_witness(here)
    found = examine(Picture(there, {"mon1": Seen(look=look)}, {"mon1": look}, MonitorLook(conf=alike(there))))
    assert {each.code for each in found if each.host == "mon1"} == {"fine", "not_this_host", "conf_differs"}
    silent = examine(Picture(there, {"mon1": Seen(agent="refused")}, {}, MonitorLook()))
    assert [(each.code, each.host) for each in silent] == [("agent_silent", "mon1")]


def test_show_names_its_certificate_when_that_ends_soon() -> None:
    led = of_three(place=Place.LEADS)
    ends = Ending("mon1", ended=False, path="/etc/mysql-mmm/tls/cert.pem", date="2027-01-27")
    seen = apply(led, Examined(frozenset(), (ends, ends._replace(host="gone"))), 0.0)
    (warned,) = [each for each in checkup.warned(seen) if each.code == "certificate_ends"]
    assert str(warned).startswith(
        "the certificate /etc/mysql-mmm/tls/cert.pem of mon1 is good until 2027-01-27"
    )
