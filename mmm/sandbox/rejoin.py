"""Makes a host of a sandbox come apart from the others, and brings it back as an admin does: by mmm_rejoin."""

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import build, sql
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.trouble.faults import inject, undo
from mmm.wire import agent as wire
from mmm.wire.status import Status, agent_status

LIMIT = 60.0
REJOIN_LIMIT = 300.0
_OUT = frozenset({"AWAITING_RECOVERY", "REPLICATION_FAIL", "REPLICATION_DELAY", "ADMIN_OFFLINE"})


def rejoin(sandbox: Sandbox, host: str, *options: str) -> str:
    """Run mmm_rejoin on the host and return what it printed; raises SandboxError with what it could not do."""
    return rebuild(sandbox, host, "mmm_rejoin", *options)


def rebuild(sandbox: Sandbox, host: str, program: str, *options: str) -> str:
    """Run a program that gives the host other data, as `rejoin` does.

    The host is set offline first where it is in use, but for the writer, and its agent has to know that.
    """
    if sandbox.writer() != host:
        if sandbox.states().get(host) == "ONLINE":
            sandbox.ask(f"set_offline {host}")
        sandbox.wait_until(
            lambda: is_out_of_use(sandbox, host), LIMIT, f"the agent of {host} knows that it is not in use"
        )
    done = sandbox.machine(host).run([build.program(program), *options], limit=REJOIN_LIMIT, check=False)
    if done.returncode:
        told = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise SandboxError(f"{host} is not brought back: {told}")
    return done.stdout


def diverge(sandbox: Sandbox, host: str, number: int) -> None:
    """Give the host so many transactions that nobody else has, and wait until the monitor has it out of use.

    A master is cut off as the writer: from one that has not got the role the writer would get them once it is back.
    Raises SandboxError, SqlError.
    """
    rows = [f"INSERT INTO {TICK_TABLE} () VALUES ()"] * number  # noqa: S608
    if host not in sandbox.layout.masters:
        sql.execute(sandbox.machine(host), [*_writable(sandbox), *rows])
        return
    make_writer(sandbox, host)
    inject(sandbox, "cut", host)
    try:
        sandbox.wait_until(
            lambda: sandbox.writer() not in {None, host},
            LIMIT + _blocked(sandbox),
            "another host has the writer's role",
        )
        sandbox.wait_states(LIMIT, **{host: "HARD_OFFLINE"})
        sql.execute(sandbox.machine(host), [*_writable(sandbox), *rows])
    finally:
        undo(sandbox, "cut", host)
    sandbox.wait_until(lambda: sandbox.states().get(host) in _OUT, LIMIT, f"{host} is back, and not in use")


def make_writer(sandbox: Sandbox, host: str) -> None:
    """Have the host get the writer's role; raises SandboxError where something speaks against that throughout."""
    move = f"move_role {sandbox.layout.cluster.active_master_role} {host}"
    sandbox.wait_until(
        lambda: sandbox.writer() == host or sandbox.ask(move, limit=LIMIT).startswith("OK"),
        LIMIT,
        f"nothing speaks against {host} as the writer",
    )


def _blocked(sandbox: Sandbox) -> float:
    """Return the seconds for which a failover may be blocked by an earlier one."""
    monitor = sandbox.layout.cluster.monitor
    return monitor.failover_block if monitor else 0.0


def _writable(sandbox: Sandbox) -> list[str]:
    """Return what lets root write on a replica; MariaDB's may as it is."""
    return [] if sandbox.server.flavour.mariadb else ["SET GLOBAL super_read_only=0"]


def is_out_of_use(sandbox: Sandbox, host: str) -> bool:
    """Tell whether the host's agent was told so; one that has just been reached again was not."""
    if sandbox.layout.cluster.socket.type == "ssl":
        return True
    try:
        told = _told(sandbox, host)
    except (OSError, wire.WireError):
        return False
    return told.state != "ONLINE" and told.master != host


def knows_writer(sandbox: Sandbox, host: str) -> bool:
    """Tell whether the host's agent knows who the active master is; one that has just booted does not."""
    try:
        return bool(_told(sandbox, host).master)
    except (OSError, wire.WireError):
        return False


def _told(sandbox: Sandbox, host: str) -> Status:
    known = sandbox.layout.cluster.hosts[host]
    request = wire.encode_request(wire.Request(wire.GET_AGENT_STATUS, host))
    with sandbox.machine(host).connect((known.ip, known.agent_port), 2.0) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return agent_status(wire.decode_reply(stream.readline()))
