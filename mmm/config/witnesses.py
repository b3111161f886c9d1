"""What a conf says of witnesses: hosts without a server, whose agents only vote on which monitor leads (rule 14.2)."""

from mmm.config.monitors import default_voters
from mmm.config.names import WITNESS_KEYS
from mmm.config.settings import World, each_of
from mmm.config.tree import Fault, Problem

NEED_SERVER = "R"
"""The programs that work on the server of the host that they run on."""


def witnesses(world: World) -> None:
    """Refuse a witness where only a host with a server can be, and one that has nothing to vote on."""
    for name in world["host"]:
        if world.is_witness(name):
            _witness(world, name)
        else:
            _named(world, "host", name, "peer", "witness_is_peer")
    for role in world["role"]:
        for key in ("hosts", "prefer"):
            _named(world, "role", role, key, "witness_in_role")


def _witness(world: World, name: str) -> None:
    """See that there is something to vote on, and warn of what has no effect."""
    file, line = world.places.get(("host", name), (world.tree.file, 0))
    voters = each_of(world["top"].get("", {}).get("voters")) or default_voters(world)
    if not world.value("top", "", "monitors"):
        world.tree.problems.append(Problem(file, line, Fault("witness_without_monitors", {"name": name})))
    elif name not in voters:
        world.warnings.append(
            Problem(file, line, Fault("witness_no_voter", {"name": name, "voters": voters}))
        )
    for value in world.tree.values("host", name).values():
        if value.key not in WITNESS_KEYS:
            world.warn(value, Fault("witness_has_no", {"key": value.key, "name": name}))
    this = world["top"].get("", {}).get("this")
    if world.letter in NEED_SERVER and this and this.value == name:
        world.wrong(this.source, Fault("witness_is_here", {"name": name}))


def _named(world: World, kind: str, name: str, key: str, code: str) -> None:
    """Refuse a witness among those that a key names."""
    setting = world[kind][name].get(key)
    for each in each_of(setting):
        if setting and world.is_witness(each):
            written = setting.source.key if setting.source else key
            world.wrong(setting.source, Fault(code, {"name": each, "key": written, "of": name}))
