"""Where a server may have files in its data folder alone, a copy is made there, beside its data.

AppArmor cannot be had on every kernel: what it would say stands in files of the machine's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.rejoin import diverge, rejoin
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import kept
from tests.scenarios import LIMIT

pytestmark = pytest.mark.sandbox

SECURITY = "/sys/kernel/security"
PROFILE = f"{SECURITY}/apparmor/policy/profiles/all.1"


@pytest.fixture(scope="module", params=["mariadb", "mysql:9.7"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    conf = Conf(slaves=0, monitor={"flap_count": 0, "failover_block": 0})
    name = f"inside_{request.param.partition(':')[0]}"
    with kept(name, conf, server=request.param) as given:
        yield given.healthy()


@contextmanager
def confined(sandbox: Sandbox, host: str) -> Iterator[None]:
    """Have a profile be enforced there that any server is under."""
    machine = sandbox.machine(host)
    machine.run(["mount", "-t", "tmpfs", "none", SECURITY])
    try:
        machine.run(["mkdir", "-p", PROFILE])
        for file, text in {"name": "all", "mode": "enforce", "attach": "/**"}.items():
            machine.run(["sh", "-c", f"echo '{text}' > {PROFILE}/{file}"])
        yield
    finally:
        machine.run(["umount", SECURITY])


def rebuilt(sandbox: Sandbox, host: str, donor: str) -> str:
    """Have it rebuilt within its data folder, and return what that says."""
    diverge(sandbox, host, 2)
    with confined(sandbox, host):
        said = rejoin(sandbox, host, "--method", "clone")
    sandbox.bring_online(force=False)
    settle(sandbox)
    catch_up(sandbox)
    assert not surplus(sandbox, host, donor)
    return said


def test_a_copy_in_the_data_folder_takes_its_place_and_nothing_sees_the_old_data(cluster: Sandbox) -> None:
    """Neither does the server, nor a copy that is made of its data."""
    cluster.sql("db1", "CREATE TABLE sandbox.notes (what VARCHAR(20))")
    catch_up(cluster)
    hidden = "#sql" if cluster.server.flavour.mariadb else ""
    said = rebuilt(cluster, "db1", "db2")
    assert f"{DATADIR}/{hidden}.mmm-old-db1-" in said, said
    datadir = cluster.machine("db1").path(DATADIR)
    (old,) = (entry for entry in datadir.iterdir() if ".mmm-" in entry.name)
    assert (old / "ibdata1").exists()
    cluster.machine("db1").run(["/etc/init.d/mysql", "restart"], limit=LIMIT)
    settle(cluster)
    databases = [row["Database"] for row in cluster.sql("db1", "SHOW DATABASES")]
    assert not [name for name in databases if "mmm" in str(name)]
    rebuilt(cluster, "db2", "db1")
    datadir = cluster.machine("db2").path(DATADIR)
    (old,) = (entry for entry in datadir.iterdir() if ".mmm-" in entry.name)
    assert not any(old.name in str(entry) for entry in old.rglob("*.mmm-old-*"))
