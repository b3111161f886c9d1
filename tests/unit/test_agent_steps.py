"""How an agent carries out a plan when a step of it ends in a way that nobody has foreseen."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.steps import Steps
from mmm.agent.decide.steps import DenyWrites, Plan, Probe, Unbind
from mmm.config.model import Cluster
from mmm.mysql.session.connection import Connection
from mmm.network import sender as sender_module
from mmm.network.sender import Sender
from mmm.network.vips import Interface
from tests.namespaces import cable, own_network
from tests.unit.worlds import WRITER, cluster

pytestmark = pytest.mark.netns

NEAR, FAR = "near0", "far0"


class _Senseless(ServerSession):
    """A session of a server whose answers are like those of none."""

    def open(self) -> Connection:
        raise LookupError("there is no column read_only")


class _Silent:
    """Nothing is announced."""

    def __init__(self, sender: Sender | None = None) -> None:
        self.sender = sender

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


@pytest.fixture
def interface() -> Iterator[Interface]:
    with own_network():
        cable(NEAR, FAR)
        with Interface(NEAR) as opened:
            yield opened


def conf() -> Cluster:
    made = cluster()
    here = replace(made.hosts["db1"], cluster_interface=NEAR)
    return replace(made, program="AGENT", this="db1", hosts={**made.hosts, "db1": here})


def test_a_vip_leaves_whatever_becomes_of_denying_writes(interface: Interface) -> None:
    """Else another host would wait for it until its lease is over, or for good."""
    interface.bind(WRITER.ip)
    announcer: Any = _Silent()
    steps = Steps(conf(), interface, announcer)
    done = steps.carry_out(
        Plan(((DenyWrites(),), (Unbind(WRITER),))), _Senseless(agent_at(conf().hosts["db1"]))
    )
    assert done.steps == (Unbind(WRITER),)
    assert interface.bound() == {}
    (failure,) = done.failures
    assert str(failure) == f"{DenyWrites()}: internal error of the agent: LookupError"
    assert done.unfinished == ((DenyWrites(),),)


@pytest.mark.parametrize(
    ("program", "said"),
    [([], f"nobody answers for it on {NEAR}"), (["false"], f"nobody could be asked on {NEAR} who has it")],
)
def test_a_probe_says_that_nobody_answers_only_where_somebody_was_asked(
    interface: Interface,
    program: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It takes the program that builds frames, which a broken installation lacks."""
    caplog.set_level("INFO")
    if program:
        monkeypatch.setattr(sender_module, "own_module", lambda *_: program)
    sender = Sender(NEAR)
    announcer: Any = _Silent(sender)
    probe, session = Probe(WRITER, stop=True), _Senseless(agent_at(conf().hosts["db1"]))
    done = Steps(conf(), interface, announcer).carry_out(Plan(((probe,),)), session)
    sender.close()
    assert done.steps == (probe,)
    assert said in caplog.text
