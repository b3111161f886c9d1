"""A writer whose address a program moves, by `ip` as a cloud does by its API; also where that hangs (rule 15.4)."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.vip_script import HANGS, write_program
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log, move_writer, writable, writes_to
from tests.written import writers

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Give two masters, whose readers' addresses are bound as ever."""
    script = write_program(tmp_path_factory.mktemp("vip") / "move")
    conf = Conf(
        slaves=0,
        top={"vip_lease": 4},
        monitor={"flap_count": 0, "failover_block": 0},
        roles={"writer": {"vip_via": "script", "vip_script": script}},
    )
    with kept("moved", conf) as cluster:
        yield cluster


def test_the_program_has_the_address_follow_the_role_also_where_it_hangs(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    log, probe, db2 = Log(sandbox, "db2", "mmm_agentd"), Probe(sandbox, readers=False), sandbox.machine("db2")
    assert "# Role writer is reached by script, not by ARP." in sandbox.ask("show")
    probe.start()
    try:
        probe.wait_writes(LIMIT)
        move_writer(sandbox, "db2")
        writes_to(probe, "db2")
        db2.run(["touch", HANGS])
        inject(sandbox, "cut", "db2")
        writes_to(probe, "db1")
        log.wait(f"remove writer {sandbox.layout.writer_ip} eth0: has not ended within")
        assert not writable(sandbox, "db2")
    finally:
        probe.stop(catch_up=0.0)
    db2.run(["rm", HANGS])
    heal(sandbox)
    vip = sandbox.layout.writer_ip
    sandbox.wait_until(lambda: vip not in bound_addresses(db2), LIMIT, "db2 has not got the address any more")
    assert writers(sandbox, probe.run) == ["db1", "db2", "db1"]
