"""`blocking_type soft`: new clients are kept out only while writes are denied, whatever becomes of the agent."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act.blocking import blocked, commands, let_in
from mmm.config.model import Cluster, Host


@pytest.fixture
def conf(tmp_path: Path) -> Cluster:
    """A conf whose commands put a rule into a file and take it out again; without one that fails."""
    rules = tmp_path / "rules"
    return Cluster(
        program="AGENT",
        dialect=2,
        path=tmp_path / "mmm_agent.conf",
        files=(),
        hosts={"db1": Host("db1", "10.0.0.1", "slave", pid_path=str(tmp_path / "mmm_agentd.pid"))},
        roles={},
        checks={},
        monitor=None,
        active_master_role="writer",
        this="db1",
        iptables_block_cmd=f"touch {rules}",
        iptables_unblock_cmd=f"rm {rules}",
    )


def is_kept_out(conf: Cluster) -> bool:
    return conf.path.with_name("rules").exists()


def killed_meanwhile(conf: Cluster) -> None:
    """Keep clients out in a process that ends as one that is killed does."""
    child = os.fork()
    if child == 0:
        with blocked(conf):
            os._exit(0)
    os.waitpid(child, 0)


def test_clients_are_kept_out_meanwhile_and_nothing_is_left_of_it(conf: Cluster) -> None:
    with blocked(conf):
        assert is_kept_out(conf)
    assert not is_kept_out(conf)
    assert list(conf.path.parent.iterdir()) == []


def test_the_next_agent_lets_clients_in_whom_one_that_was_killed_kept_out(conf: Cluster) -> None:
    killed_meanwhile(conf)
    assert is_kept_out(conf)
    let_in(conf)
    assert not is_kept_out(conf)
    assert list(conf.path.parent.iterdir()) == []


def test_a_rule_that_is_left_is_taken_away_before_there_is_a_second_one(
    conf: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    killed_meanwhile(conf)
    with blocked(conf):
        assert is_kept_out(conf)
    assert not is_kept_out(conf)
    assert "new clients are still kept out" in caplog.text


def test_nobody_is_let_in_who_was_not_kept_out(conf: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    let_in(conf)
    conf.path.with_name("mmm_agentd.pid.blocked").write_text("another boot")
    let_in(conf)
    assert caplog.text == ""
    assert list(conf.path.parent.iterdir()) == []


@pytest.mark.parametrize("port", [3306, 3307])
def test_the_classic_default_goes_by_syn(conf: Cluster, port: int) -> None:
    rule = f"iptables -{{}} INPUT -p tcp --dport {port} {{}} -j REJECT"
    by_state = [rule.format(action, "-m state --state NEW") for action in "AD"]
    default = replace(conf, iptables_block_cmd=by_state[0], iptables_unblock_cmd=by_state[1])
    assert commands(default) == tuple(rule.format(action, "--syn") for action in "AD")


@pytest.mark.parametrize(
    ("block", "unblock"),
    [
        ("iptables -I INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT", "unblock"),
        ("iptables -A INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT", "unblock"),
        ("nft -f block", "iptables -D INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT"),
    ],
)
def test_what_an_admin_wrote_is_run_as_it_is(conf: Cluster, block: str, unblock: str) -> None:
    assert commands(replace(conf, iptables_block_cmd=block, iptables_unblock_cmd=unblock)) == (block, unblock)
