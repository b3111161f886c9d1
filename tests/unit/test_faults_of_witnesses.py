"""Which faults a witness can have: it has an agent, a link and a clock, and no server."""

from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import install_conf
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.trouble.faults import FAULTS, inject


@pytest.fixture
def switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return a sandbox with a witness of which no machine is on."""
    monkeypatch.setenv("MMM_SANDBOX_DIR", str(tmp_path / "all"))
    etc = tmp_path / "etc"
    etc.mkdir()
    for name, text in Conf(slaves=0, monitors=2, witnesses=1).files().items():
        (etc / name).write_text(text)
    sandbox = Sandbox("off")
    install_conf(etc, sandbox.homes, lambda _: None)
    return sandbox


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.of_server])
def test_a_fault_that_needs_a_server_is_not_done_to_a_witness(switched_off: Sandbox, fault: str) -> None:
    with pytest.raises(
        SandboxError, match=f"{fault} needs a server, and witness is a witness: choose of db1, db2$"
    ):
        inject(switched_off, fault, "witness")


@pytest.mark.parametrize("fault", ["kill-agent", "kill-angel", "freeze-agent", "freeze-worker", "power-off"])
def test_a_fault_of_an_agent_or_a_machine_gets_to_a_witness(switched_off: Sandbox, fault: str) -> None:
    with pytest.raises(
        SandboxError, match=r"mmm_agentd does not run on witness|witness is switched off already"
    ):
        inject(switched_off, fault, "witness")


def test_who_can_have_a_fault_is_said(switched_off: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"cut takes a host: db1, db2, witness$"):
        inject(switched_off, "cut", "monitor")
    with pytest.raises(SandboxError, match=r"kill-mysqld takes a host: db1, db2$"):
        inject(switched_off, "kill-mysqld", "db9")
