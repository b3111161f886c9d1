"""The functions that place roles, each alone: roles.jsonl."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from mmm.config.model import Role
from mmm.monitor.assess import promotion
from mmm.monitor.decide import roles
from mmm.monitor.world.world import World
from tests.vectors.compare import fits
from tests.vectors.recordings import Json, cluster, vectors
from tests.vectors.replay import first_world
from tests.vectors.tally import Tally


def _all_home(world: World) -> World:
    """Return the world with all exclusive roles at home: one goes once the move of another has ended (rule 11.7)."""
    world = roles.move_to_preferred(world)
    return world if world.move is None else _all_home(replace(world, move=None))


STEPS: dict[str, Callable[[World], World]] = {
    "orphans_exclusive": lambda world: roles.assign_orphans(world, "exclusive"),
    "orphans_balanced": lambda world: roles.assign_orphans(world, "balanced"),
    "prefer": _all_home,
    "balance": roles.level,
}


def test_recorded(tally: Tally) -> None:
    own = Tally()
    for vector in vectors("roles"):
        world = first_world(cluster(vector["config"]), vector["start"])
        verdict = "agree"
        for step in vector["steps"]:
            world = STEPS[step["in"]["fn"]](world)
            wrong = _differences(world, step["out"])
            if wrong:
                verdict = "10.32" if all(_level(world, role) for role in wrong) else str(wrong)
                break
            if step["out"].get("tie"):
                break
        if verdict == "agree":
            own.agrees()
        elif verdict == "10.32":
            own.differs([verdict])
        else:
            own.wrong.append(f"{vector['id']}: {verdict}")
    tally.add(own)
    own.check("roles")


def _differences(world: World, recorded: Json) -> list[str]:
    """Return the roles whose VIPs are not where they are recorded, or not as many on each host."""
    wrong = []
    for name, role in world.conf.roles.items():
        ours = {vip.ip: world.owner[vip] or "" for vip in role.vips}
        if name in recorded.get("counts", {}):
            good = fits(recorded["counts"][name], dict(Counter(ours.values())))
        else:
            good = all(fits(recorded["owner"][ip], host) for ip, host in ours.items())
        if not good:
            wrong.append(name)
    return wrong


def _level(world: World, name: str) -> bool:
    """Tell whether a balanced role is as level as its hosts allow, no address of it being left over."""
    role: Role = world.conf.roles[name]
    hosts = promotion.eligible(world, role)
    if role.mode != "balanced" or not hosts:
        return False
    held = [sum(world.owner[vip] == host for vip in role.vips) for host in hosts]
    return max(held) - min(held) <= 1
