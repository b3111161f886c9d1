"""Brings a cluster back to how `up` left it, whatever was done to it: between two tests or two rehearsals."""

import json
from collections import Counter
from itertools import permutations
from typing import Any

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import data
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.machine import NotInTimeError
from mmm.sandbox.trouble.faults import heal
from mmm.sandbox.witness.health import settle

_PATIENCE = 10.0
"""How long the cluster may take by itself before the servers' data is made equal by force, in seconds."""
_LIMIT = 60.0


def restore(sandbox: Sandbox) -> None:
    """Undo every fault, set every host online, give the writer's role to the first master.

    Raises SandboxError, NotInTimeError. Where servers have come apart, which is what some faults are for,
    binary logs and the sandbox's own tables are emptied on all of them.
    """
    heal(sandbox)
    if not sandbox.has_daemons:
        return
    sandbox.wait_until(sandbox.show, _LIMIT, "the monitor answers")
    try:
        _in_order(sandbox, _PATIENCE)
    except NotInTimeError:
        make_equal(sandbox)
        _in_order(sandbox, _LIMIT)


def make_equal(sandbox: Sandbox) -> None:
    """Let all servers begin anew with the same data, replicating as after `up`; raises SqlError.

    Whatever was written outside the sandbox's own tables stays as it is. Nobody should write meanwhile.
    """
    writer = sandbox.writer()
    data.forget([sandbox.machine(name) for name in sandbox.hosts], sandbox.server)
    for name in sandbox.hosts:
        is_master = name in sandbox.layout.masters
        source = sandbox.layout.source_of(name) if is_master or writer is None else writer
        if source is not None:
            data.replicate(sandbox.machine(name), sandbox.layout, sandbox.server, source)


def _in_order(sandbox: Sandbox, limit: float) -> None:
    monitor = sandbox.layout.cluster.monitor
    wanted = monitor.mode if monitor is not None else "active"
    if sandbox.ask("mode").strip().lower() != wanted and wanted in {"active", "manual", "passive"}:
        sandbox.ask(f"set_{wanted}")
    sandbox.bring_online(limit=limit)
    first, role = sandbox.layout.masters[0], sandbox.layout.cluster.active_master_role

    def first_writes() -> bool:
        """Tell whether it does now that all is well: one that was lost may have had a VIP for a while yet."""
        if sandbox.writer() != first:
            if not sandbox.ask(f"move_role {role} {first}", limit=limit).startswith("OK"):
                return False
            sandbox.wait_until(lambda: sandbox.writer() == first, limit, f"{first} is the writer again")
        settle(sandbox, limit)
        return sandbox.writer() == first

    sandbox.wait_until(first_writes, limit, f"{first} can be the writer again")
    # An agent that was started again is heard of when the monitor asks it next.
    sandbox.wait_until(lambda: not sandbox.warns("agent_unreachable"), limit, "all agents are heard")
    sandbox.wait_until(lambda: _as_assigned(sandbox), limit, "every VIP is where the monitor has it")


def _as_assigned(sandbox: Sandbox) -> bool:
    """Tell whether no VIP is on its way or about to be: one that leaves a host is still bound on exactly one."""
    told = json.loads(sandbox.ask("json status"))
    ips = [ip for role in told["roles"] for ip in role["ips"]]
    if any(ip["waits_for"] or ip["confirmed"] != [ip["holder"]] for ip in ips):
        return False
    vips = {vip.ip for vip in sandbox.layout.cluster.vips}
    bound = {(ip, name) for name in sandbox.hosts for ip in vips & bound_addresses(sandbox.machine(name))}
    if len(ips) != len(vips) or bound != {(ip["ip"], ip["holder"]) for ip in ips}:
        return False
    return told["monitor"]["mode"] == "PASSIVE" or _is_level(told["roles"])


def _is_level(roles: list[dict[str, Any]]) -> bool:
    """Tell whether the monitor would move no VIP of a balanced role (rule 10.32), all hosts being ONLINE.

    A host that has just come back gets its share only once its agent has confirmed that it is.
    """
    loads: Counter[str] = Counter()
    for role in roles:
        for ip in role["ips"]:
            loads[ip["holder"]] += 1 if role["writer"] else 2

    def moves(role: dict[str, Any]) -> bool:
        held = Counter(ip["holder"] for ip in role["ips"])
        hosts = [name for name in role["hosts"] if name not in role["excluded"]] or role["hosts"]
        surpluses = (
            (held[one] - held[other], loads[one] - loads[other]) for one, other in permutations(hosts, 2)
        )
        return any(surplus >= 2 or (surplus == 1 and load > 2) for surplus, load in surpluses)

    return not any(moves(role) for role in roles if role["mode"] == "balanced")
