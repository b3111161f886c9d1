"""Hosts that have come apart: what each alone has, which come back without an admin, and mmm_rejoin for the rest.

Replication is asynchronous: a writer that is lost may have transactions that nobody got.
"""

import contextlib
import time
from collections.abc import Mapping

from mmm.gtid import mariadb
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.machine import NotInTimeError
from mmm.sandbox.rejoin import rejoin
from mmm.sandbox.witness.health import host_facts

LIMIT = 90.0
BY_ITSELF = 30.0
"""Seconds in which a host that can be used again is ONLINE without anybody's help, with the checks of the sandbox."""
REBUILT = 180.0
"""Seconds in which all hosts are ONLINE where `auto_rejoin` is on, though each of them has to be rebuilt."""
_ARRIVAL = 5.0
"""What a host logged last, the end of a temporary table say, may be on its way to the writer, in seconds."""


def come_apart(sandbox: Sandbox) -> dict[str, str]:
    """Return the hosts with transactions that the writer does not get, and these, once all others are read-only.

    Raises NotInTimeError, SqlError.
    """
    writer = _writer(sandbox)
    others = [name for name in sandbox.hosts if name != writer]
    for name in others:  # until then a commit may wait for a semi-sync replica, and be none of the GTIDs
        sandbox.wait_until(lambda name=name: _is_read_only(sandbox, name), LIMIT, f"{name} is read-only")  # type: ignore[misc]
    return {name: extra for name in others if (extra := _alone(sandbox, name, writer))}


def out_of_use(sandbox: Sandbox, apart: Mapping[str, str]) -> dict[str, str]:
    """Return the hosts that do not come back by themselves, each with its state and what it has alone.

    Of those `apart` it is waited only until the monitor has noticed that they are there again; `BY_ITSELF` seconds at
    the most.
    """
    states: dict[str, str] = {}

    def back() -> bool:
        states.update(sandbox.states())
        return bool(states) and all(
            state == "ONLINE" or (name in apart and state != "HARD_OFFLINE") for name, state in states.items()
        )

    with contextlib.suppress(NotInTimeError):
        sandbox.wait_until(back, BY_ITSELF, "the hosts come back")
    alone = {name: f", has {extra} alone" for name, extra in apart.items()}
    return {
        name: f"{state}{alone.get(name, '')}"
        for name in sandbox.hosts
        if (state := states.get(name, "?")) != "ONLINE" or name in apart
    }


def whole_again(sandbox: Sandbox) -> dict[str, str]:
    """Wait until all hosts are ONLINE, without helping them; returns those that are not, with their states."""
    states: dict[str, str] = {}

    def whole() -> bool:
        states.update(sandbox.states())
        return bool(states) and set(states.values()) == {"ONLINE"}

    with contextlib.suppress(NotInTimeError):
        sandbox.wait_until(whole, REBUILT, "all hosts are ONLINE")
    return {name: states.get(name, "?") for name in sandbox.hosts if states.get(name) != "ONLINE"}


def reunite(sandbox: Sandbox, apart: Mapping[str, str]) -> None:
    """Bring back those that have come apart, by mmm_rejoin, and wait until all are ONLINE.

    Raises SandboxError, NotInTimeError, SqlError.
    """
    writer = _writer(sandbox)
    apart = {
        name: extra for name, extra in apart.items() if name != writer and surplus(sandbox, name, writer)
    }
    for name in sorted(
        apart, key=sandbox.layout.masters.count
    ):  # a slave that cannot leave a lost master goes first
        rejoin(sandbox, name)
    sandbox.bring_online(limit=LIMIT, force=False)


def _writer(sandbox: Sandbox) -> str:
    """Return who has the writer's VIP, once somebody has: it may be on its way; raises NotInTimeError."""
    found: list[str] = []

    def bound() -> bool:
        found.extend(filter(None, [sandbox.writer()]))
        return bool(found)

    sandbox.wait_until(bound, LIMIT, "a host has the writer's VIP")
    return found[0]


def _is_read_only(sandbox: Sandbox, host: str) -> bool:
    try:
        return bool(sandbox.sql(host, "SELECT @@global.read_only AS value")[0]["value"])
    except sql.SqlError:  # it still starts
        return False


def _alone(sandbox: Sandbox, host: str, writer: str) -> str:
    """Return the transactions of `host` that `writer` does not get from it either; empty when none."""
    deadline = time.monotonic() + _ARRIVAL
    while (extra := surplus(sandbox, host, writer)) and time.monotonic() < deadline:
        replica = host_facts(sandbox, writer).replica
        if replica is not None and replica.detached and host in sandbox.layout.masters:
            break
        time.sleep(0.1)
    return extra


def surplus(sandbox: Sandbox, host: str, other: str) -> str:
    """Return the transactions of `host` that `other` lacks, empty when none; raises SqlError."""
    flavour = sandbox.server.flavour
    here, there = (sandbox.insist(name, flavour.gtid_state)[0] for name in (host, other))
    if not flavour.mariadb:
        question = f"SELECT GTID_SUBTRACT('{here['executed']}', '{there['executed']}') AS extra"
        return str(sandbox.insist(other, question)[0]["extra"]).replace("\n", "")
    histories = (
        mariadb.History(
            mariadb.parse(str(row["slave_pos"] or "")), mariadb.parse(str(row["binlog_state"] or ""))
        )
        for row in (here, there)
    )
    return mariadb.text(mariadb.surplus(*histories)).replace(",", ", ")
