"""An unchecked tree to the frozen model, or all errors at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmm.config.model import (
    Check,
    Cluster,
    CopyMethod,
    Host,
    LogFile,
    Monitor,
    Notify,
    Role,
    Socket,
    Web,
)
from mmm.config.monitors import fill_in
from mmm.config.names import CHECK_NAMES, Program
from mmm.config.resolve import Resolve
from mmm.config.settings import Settings, World
from mmm.config.tree import Fault, Tree
from mmm.config.validate import verified


def check(
    tree: Tree,
    program: Program,
    cluster: str,
    unreadable: Callable[[str], Fault | str],
    resolve: Resolve | None = None,
) -> Cluster:
    """Return the model of what `tree` says; raises ConfError with all that is wrong.

    `cluster` is the name behind the @, or empty. `unreadable` says why a file cannot be read, or nothing. Without
    `resolve` names are not taken for addresses.
    """
    return modelled(verified(tree, program, cluster, unreadable, resolve))


def modelled(world: World) -> Cluster:
    """Return the model of settings that are checked."""
    tree = world.tree
    top = _values(world["top"][""])
    if world.tree.dialect == 1 and "active_master_role" not in top:
        top["active_master_role"] = "writer"
    _default_port(world, top)
    fill_in(world, top)
    monitor = world["monitor"].get("")
    by_order = world.lacks_roles
    return Cluster(
        program=world.program,
        dialect=tree.dialect,
        path=Path(tree.file),
        files=tuple(Path(file) for file in tree.files),
        hosts={name: _host(name, world["host"][name]) for name in world.servers},
        witnesses={
            name: _host(name, settings) for name, settings in world["host"].items() if world.is_witness(name)
        },
        roles=_to_learn(world, top)
        if by_order
        else {name: _role(name, settings) for name, settings in world["role"].items()},
        checks={name: Check(name, **_values(world["check"][name])) for name in CHECK_NAMES},
        monitor=_monitor(monitor, top) if monitor is not None else None,
        socket=Socket(**_values(world["socket"].get("", {}))),
        copy_methods={name: CopyMethod(name, **_values(s)) for name, s in world["copy_method"].items()},
        web=Web(**_values(world["web"].get("", {}))),
        notify={name: Notify(name, **_values(s)) for name, s in world["notify"].items()},
        logs=tuple(LogFile(name, **_values(s)) for name, s in world["log"].items()),
        roles_by_order=by_order,
        warnings=tuple(world.warnings),
        **top,
    )


def _default_port(world: World, top: dict[str, Any]) -> None:
    """Have the commands that are not written keep clients from the port of this host's server."""
    port = world.value("host", top.get("this", ""), "mysql_port")
    for key in ("iptables_block_cmd", "iptables_unblock_cmd"):
        if port and world["top"][""][key].source is None:
            top[key] = top[key].replace("--dport 3306", f"--dport {port}")


def _values(settings: Settings) -> dict[str, Any]:
    return {name: setting.value for name, setting in settings.items()}


def _host(name: str, settings: Settings) -> Host:
    """Return a host; in the files of mmm_control it may be no more than a name."""
    return Host(name, **{"ip": "", "mode": "slave", **_values(settings)})


def _monitor(settings: Settings, top: dict[str, Any]) -> Monitor:
    """Return the monitor; with `monitors` it has no address by default, but finds it."""
    values = {"ip": "", **_values(settings)}
    if top.get("monitors") and "ip" in settings and settings["ip"].source is None:
        values["ip"] = ""
    return Monitor(**values)


def _role(name: str, settings: Settings) -> Role:
    values = _values(settings)
    ips = values.get("ips", ())
    mode = "exclusive" if len(ips) == 1 else "balanced"
    return Role(name, **{"mode": mode, "hosts": (), "ips": (), **values})


def _to_learn(world: World, top: dict[str, Any]) -> dict[str, Role]:
    """Return the active master role without IPs: the masters take it, and more is learned from orders."""
    name = top["active_master_role"]
    masters = tuple(host for host in world.servers if world.value("host", host, "mode") == "master")
    return {name: Role(name, "exclusive", masters, ())}
