"""`mmm_sandbox status`: what each machine looks like, and what the monitor says."""

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import network
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.processes import Process
from mmm.sandbox.trouble.faults import daemon_processes, server_process
from mmm.sandbox.witness.health import HostFacts, Replica, host_facts, problems

_LIMIT = 2.0
_HEAD = ("host", "address", "cable", "server", "agent", "writes", "VIPs", "replication")


def status(sandbox: Sandbox) -> str:
    """Return the sandbox's state as text: a table of the hosts, the monitor's `show`, what is broken."""
    cut = network.ports_down(sandbox.machine(SWITCH))
    rows = [_HEAD, *(_row(sandbox, name, cut) for name in sandbox.hosts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    monitors = {
        name: _process(daemon_processes(sandbox, name, "mmm_mond")) for name in sandbox.layout.monitors
    }
    listens = sandbox.layout.monitors
    agents = {
        name: _process(daemon_processes(sandbox, name, "mmm_agentd"))
        for name in sandbox.layout.cluster.witnesses
    }
    plugs = sandbox.layout.plugs
    lines += ["", *(f"witness {name} ({plugs[name].ip}): agent {found}" for name, found in agents.items())]
    lines += [*(f"monitor on {name} ({listens[name]}): {found}" for name, found in monitors.items())]
    try:
        lines.append(sandbox.ask("mode", _LIMIT).strip())
        lines.append(sandbox.ask("show", _LIMIT).rstrip("\n"))
    except (OSError, SandboxError) as error:
        lines.append(f"  does not answer: {error}")
    stopped = [f"the agent of {name} is {seen}" for name, seen in agents.items() if seen != "running"]
    away = {name: seen for name, seen in monitors.items() if seen != "running"}
    which = {name: f"the monitor on {name}" if len(monitors) > 1 else "the monitor" for name in away}
    found = [*(f"{which[name]} is {seen}" for name, seen in away.items()), *stopped, *problems(sandbox)]
    lines += ["", *(f"! {problem}" for problem in found)] if found else ["", "all is well"]
    return "\n".join(lines)


def _row(sandbox: Sandbox, name: str, cut: frozenset[str]) -> tuple[str, ...]:
    facts = host_facts(sandbox, name, limit=_LIMIT)
    server = server_process(sandbox, name)
    plug = sandbox.layout.plugs[name]
    return (
        name,
        plug.ip,
        "cut" if plug.port in cut else "ok",
        _process([server] if server else []),
        _process(daemon_processes(sandbox, name, "mmm_agentd")),
        "?" if facts.writable is None else "yes" if facts.writable else "no",
        _vips(sandbox, facts),
        _replica(sandbox, facts.replica),
    )


def _process(found: list[Process]) -> str:
    if not found:
        return "not running"
    return "frozen" if any(process.state == "T" for process in found) else "running"


def _vips(sandbox: Sandbox, facts: HostFacts) -> str:
    return (
        ", ".join(f"{vip.role}({vip.ip})" for vip in sandbox.layout.cluster.vips if vip.ip in facts.bound)
        or "-"
    )


def _replica(sandbox: Sandbox, replica: Replica | None) -> str:
    if replica is None:
        return "-"
    names = {host.ip: name for name, host in sandbox.layout.hosts.items()}
    lag = "lag unknown" if replica.behind is None else f"{replica.behind} s behind"
    threads = "ok" if replica.runs else f"IO {replica.io}, SQL {'Yes' if replica.sql else 'No'}"
    source = names.get(replica.source_ip, replica.source_ip)
    return f"detached from {source}" if replica.detached else f"from {source}: {threads}, {lag}"
