"""What must hold in a healthy cluster, looked up in the real parts: interfaces and servers, not the monitor's word."""

from collections.abc import Mapping
from dataclasses import dataclass

from mmm.mysql.server.replica_status import parse_status
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError

_GLANCE = 2.0


@dataclass(frozen=True, slots=True)
class Replica:
    """A host's replication as its server tells it."""

    source_ip: str
    io: str
    sql: bool
    behind: int | None
    error: str
    detached: bool = False
    """MMM keeps it from replicating, for its source was lost and is not in use again."""

    @property
    def runs(self) -> bool:
        """Tell whether both threads run."""
        return self.io == "Yes" and self.sql


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host: what its interfaces and its server say; None where the server does not answer."""

    name: str
    bound: frozenset[str]
    writable: bool | None
    replica: Replica | None
    error: str = ""


def look(sandbox: Sandbox, limit: float = sql.LIMIT) -> dict[str, HostFacts]:
    """Return what every host looks like now; see `host_facts`."""
    return {name: host_facts(sandbox, name, limit) for name in sandbox.hosts}


def host_facts(sandbox: Sandbox, name: str, limit: float = sql.LIMIT) -> HostFacts:
    """Return what a host looks like now; a server that does not answer within `limit` seconds is an error in it."""
    machine = sandbox.machine(name)
    try:
        bound = bound_addresses(machine)
    except SandboxError as error:
        return HostFacts(name, frozenset(), None, None, str(error))
    try:
        with sql.session(machine, limit) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@global.read_only AS read_only")
            writable = not (cursor.fetchone() or {"read_only": 1})["read_only"]
            cursor.execute(sandbox.server.flavour.replica_status)
            status = cursor.fetchone()
    except (sql.SqlError, OSError) as error:
        return HostFacts(name, bound, None, None, f"server: {error}")
    return HostFacts(name, bound, writable, _replica(status) if status else None)


def problems(sandbox: Sandbox) -> list[str]:
    """Return all that is not as it must be when nothing is broken; empty: all is well.

    Exactly one host has the writer's VIP and takes writes, every other VIP is on exactly one host, every
    replica runs, and slaves replicate from the writer.
    """
    facts = look(sandbox, _GLANCE)
    layout = sandbox.layout
    found = [f"{host.name}: {host.error}" for host in facts.values() if host.error]
    for vip in layout.cluster.vips:
        holders = [host.name for host in facts.values() if vip.ip in host.bound]
        if len(holders) != 1:
            found.append(f"{vip} is bound on {' and '.join(holders) or 'no host'}")
    writers = {host.name for host in facts.values() if layout.writer_ip in host.bound}
    found += [
        f"{host.name} takes writes and has not the writer's VIP"
        if host.writable
        else f"{host.name} has the writer's VIP and is read-only"
        for host in facts.values()
        if host.writable is not None and host.writable != (host.name in writers)
    ]
    return found + _replication(sandbox, facts, writers)


def settle(sandbox: Sandbox, limit: float = 30.0) -> float:
    """Wait until there are no problems; returns the seconds it took; raises NotInTimeError that names them."""
    last: list[str] = []

    def well() -> bool:
        last[:] = problems(sandbox)
        return not last

    try:
        return sandbox.wait_until(well, limit, "the cluster is healthy")
    except NotInTimeError as error:
        raise NotInTimeError(f"{'; '.join(last)}\n{error}") from None


def catch_up(sandbox: Sandbox, limit: float = 30.0) -> None:
    """Wait until every host has applied what the writer has now; raises NotInTimeError.

    A replica that was cut off shows running threads while its connection still waits for the next retransmission.
    """
    writer = sandbox.writer()
    if writer is None:
        return
    flavour = sandbox.server.flavour
    column = "binlog_pos" if flavour.mariadb else "executed"
    position = sandbox.insist(writer, flavour.gtid_state)[0][column]
    wait = flavour.wait_gtid % (f"'{position}'", 0.01 if flavour.mariadb else 1)
    for name in sandbox.hosts:
        if name != writer:
            sandbox.wait_until(
                lambda name=name: sandbox.insist(name, wait)[0]["result"] == 0,  # type: ignore[misc]
                limit,
                f"{name} has applied all that {writer} has",
            )


def _replication(sandbox: Sandbox, facts: Mapping[str, HostFacts], writers: set[str]) -> list[str]:
    hosts = sandbox.layout.hosts
    names = {host.ip: name for name, host in hosts.items()}
    found = []
    for name, host in facts.items():
        if host.error or sandbox.layout.source_of(name) is None:
            continue
        if host.replica is None:
            found.append(f"{name} does not replicate")
        elif host.replica.detached:
            found.append(f"{name} is detached from {host.replica.source_ip}")
        elif not host.replica.runs:
            found.append(
                f"{name}: replication IO {host.replica.io}, SQL {host.replica.sql}: {host.replica.error}"
            )
        elif hosts[name].mode == "slave" and names.get(host.replica.source_ip) not in writers:
            found.append(f"{name} replicates from {host.replica.source_ip}, which has not the writer's VIP")
    return found


def _replica(status: sql.Row) -> Replica:
    told = parse_status(status)
    return Replica(
        told.source_ip, told.io_running, told.sql_running, told.seconds_behind, told.last_error, told.detached
    )
