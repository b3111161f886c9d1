"""Semi-synchronous replication between the masters of a sandbox, as docs/servers.md has it set up."""

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Values
from mmm.sandbox.machines.servers import find

_PATIENCE = 3000
"""Milliseconds that a commit waits for an acknowledgement: longer than a failure takes to be found."""


def options(server: str) -> Values:
    """Return what all my.cnf of a cluster say, for `up`; raises SandboxError."""
    if find(server).flavour.mariadb:
        return {"rpl_semi_sync_slave_enabled": "ON", "rpl_semi_sync_master_timeout": _PATIENCE}
    return {
        "plugin_load": '"rpl_semi_sync_source=semisync_source.so;rpl_semi_sync_replica=semisync_replica.so"',
        "rpl_semi_sync_replica_enabled": "ON",
        "rpl_semi_sync_source_timeout": _PATIENCE,
    }


def only_masters_acknowledge(sandbox: Sandbox, limit: float) -> None:
    """Have the slaves acknowledge nothing, and wait until the writer's commits wait for its peer.

    A slave that may have acknowledged in the peer's place has what the peer lacks. Raises SqlError, NotInTimeError.
    """
    flavour = sandbox.server.flavour
    word = "slave" if flavour.mariadb else "replica"
    for name in sandbox.hosts:
        if name in sandbox.layout.masters:
            continue
        if sandbox.sql(name, f"SELECT @@global.rpl_semi_sync_{word}_enabled AS acknowledges")[0][
            "acknowledges"
        ]:
            sandbox.sql(name, f"SET GLOBAL rpl_semi_sync_{word}_enabled=0")
            sandbox.sql(name, f"{flavour.stop_replica} IO_THREAD")
            sandbox.sql(name, f"{flavour.start_replica} IO_THREAD")
    sandbox.wait_until(lambda: _is_ready(sandbox), limit, "the writer's commits wait for its peer")


def _is_ready(sandbox: Sandbox) -> bool:
    writer = sandbox.writer()
    if writer is None:
        return False
    source = "master" if sandbox.server.flavour.mariadb else "source"
    rows = sandbox.sql(writer, f"SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_{source}%'")
    state = {str(row["Variable_name"]).rpartition(f"{source}_")[2]: str(row["Value"]) for row in rows}
    return (state["status"], state["clients"]) == ("ON", "1")
