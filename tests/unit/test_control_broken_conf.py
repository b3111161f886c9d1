"""mmm_control whose conf was broken since the monitor has read it."""

import json
from pathlib import Path

import pytest

from mmm.config.endpoint import agent_s_alone, find_monitor
from mmm.config.tree import ConfError
from tests.unit.test_control_client import SHOW, Client, client

__all__ = ["client"]


@pytest.mark.parametrize(
    "broken",
    [
        "nonsense 1\n",
        "include nowhere.conf\n",
        "<host db2>\n    ip 10.77.0.400\n",
        "<role writer>\n    mode odd\n",
    ],
)
def test_a_monitor_that_runs_is_asked_though_the_conf_has_errors_by_now(client: Client, broken: str) -> None:
    """It goes by what it has read; that somebody has mistyped a line must not hide what it would say of an outage."""
    client.extra = broken
    done, received = client.ask(SHOW, "show")
    assert (done.stdout, done.returncode, received) == (SHOW, 0, b"show\nquit\n")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"mmm_control: {client.conf}:")
    assert "it is asked" in second
    assert client.ask("ERROR: no", "set_offline", "db1")[0].returncode == 1


@pytest.mark.parametrize(
    ("answer", "printed", "status"),
    [
        (
            "MMM OK: writer on db1 | hosts=2\n",
            "MMM WARNING: writer on db1; the conf has errors: {} | hosts=2\n",
            1,
        ),
        ("MMM OK: writer on db1\n", "MMM WARNING: writer on db1; the conf has errors: {}\n", 1),
        ("MMM CRITICAL: no | hosts=2\n", "MMM CRITICAL: no; the conf has errors: {} | hosts=2\n", 2),
    ],
)
def test_nothing_is_healthy_whose_conf_has_errors(
    client: Client, answer: str, printed: str, status: int
) -> None:
    client.extra = "nonsense 1\n"
    done, _ = client.ask(answer, "health")
    fault = done.stdout.partition("errors: ")[2].partition(" |")[0].rstrip("\n")
    assert fault.startswith(f"{client.conf}:")
    assert (done.stdout, done.returncode, done.stderr) == (printed.format(fault), status, "")


def test_nothing_is_healthy_whose_conf_has_errors_as_values(client: Client) -> None:
    client.extra = "nonsense 1\n"
    done, _ = client.ask('{"status": "OK", "reasons": []}', "--format", "json", "health")
    told = json.loads(done.stdout)
    assert (told["status"], told["reasons"][0]["code"], done.returncode) == ("WARNING", "conf_broken", 1)


@pytest.mark.parametrize(
    ("line", "broken"),
    [("    ip 127.0.0.1", "    ip 127.0.0.400"), ("    port", "    port x"), ("<monitor>", "<monitors>")],
)
def test_a_conf_that_does_not_tell_where_the_monitor_is_is_refused(
    client: Client, line: str, broken: str
) -> None:
    client.write_conf(1)
    client.conf.write_text(client.conf.read_text().replace(line, broken, 1))
    done = client.run("--config", str(client.conf), "show")
    assert (done.returncode, "it is asked" in done.stderr) == (2, False)


@pytest.mark.parametrize("answer", ['{"status": "OK"', '{"status": "OK", "reasons": null}', "{}"])
def test_what_another_program_answers_at_the_port_is_no_health(client: Client, answer: str) -> None:
    client.extra = "nonsense 1\n"
    done, _ = client.ask(answer, "--format", "json", "health")
    assert (done.returncode, done.stderr) == (1 if "null" in answer else 3, "")


MONITOR = "<monitor>\n    ip 127.0.0.1\n"


@pytest.mark.parametrize(
    "conf",
    [
        "monitor_ip 127.0.0.1\nbind_prt 9989\nagent_port 9999\n",
        f"{MONITOR}    port=9989\n</monitor>\n",
        f"{MONITOR}    prot=9989\n</monitor>\n",
        f"{MONITOR}    listen_port 9989\n</monitor>\n",
        f"{MONITOR}<port 9989>\n</monitor>\n",
        f"{MONITOR}</host>\n    port 9989\n</monitor>\n",
        f"{MONITOR}</monitor>\nport 9989\n",
        f"{MONITOR}</monitor> port 9989\n",
        f"{MONITOR}</monitor>\n<where>\n    port 9989\n</where>\n",
        f"include nowhere.conf\n{MONITOR}</monitor>\n",
        f"monitors 10.77.0.1, 10.77.0.400\n{MONITOR}    port 9989\n</monitor>\n",
    ],
)
def test_no_other_monitor_is_asked_instead_of_one_that_cannot_be_read(tmp_path: Path, conf: str) -> None:
    """At the default port there may be that of another cluster, whose hosts have the same names."""
    path = tmp_path / "mmm_mon_C2.conf"
    path.write_text(conf)
    path.chmod(0o640)
    with pytest.raises(ConfError):
        find_monitor(None, "C2", [str(tmp_path)])


@pytest.mark.parametrize(
    "fault",
    [
        "nonsense 1\n",
        "<host db2>\n    mysqlport 1\n</host>\n",
        "active_master_role none\n",
        "auth_key\n",
        "<host db2>\n    ip 10.77.0.5\n",
        "</host>\n",
    ],
)
def test_the_default_port_counts_where_the_error_hides_none(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "mmm_mon.conf"
    path.write_text(f"{MONITOR}    ping_intervall x\n</monitor>\n{fault}")
    path.chmod(0o640)
    found = find_monitor(None, None, [str(tmp_path)])
    assert (found.ip, found.port, bool(found.faults)) == ("127.0.0.1", 9988, True)


def test_another_conf_is_not_taken_that_has_errors(client: Client) -> None:
    client.extra = "nonsense 1\n"
    done, received = client.ask("OK", "reload")
    assert (done.returncode, done.stdout, received) == (2, "", b"")


def test_who_asks_on_a_mysql_host_is_sent_to_the_monitor_s(tmp_path: Path) -> None:
    """There is no conf of the monitor, and none is to be created."""

    def said(cluster: str | None = None) -> str:
        with pytest.raises(ConfError) as error:
            find_monitor(None, cluster, [str(tmp_path)])
        return agent_s_alone(error.value, cluster, [str(tmp_path)])

    assert said() == ""
    agent = tmp_path / "mmm_agent.conf"
    agent.write_text("this db1\n")
    agent.chmod(0o640)
    assert (said(), said("C1")) == (str(agent), "")
    agent.chmod(0o644)
    assert said() == str(agent)
    (tmp_path / "mmm_mon.conf").write_text("include nowhere.conf\n")
    (tmp_path / "mmm_mon.conf").chmod(0o640)
    assert said() == ""
