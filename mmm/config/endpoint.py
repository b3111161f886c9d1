"""Where the monitor is, for a client that needs nothing else from the conf: it starts in half the time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmm.config.files import SEARCH, Disk, Unreadable
from mmm.config.keys import KEYS, SECTIONS
from mmm.config.kinds import suggestion
from mmm.config.settings import World
from mmm.config.tree import Block, ConfError
from mmm.config.validate import settings_as_far_as_read


class Endpoint(NamedTuple):
    """The monitor's address; `ip` is None where the conf names no monitor."""

    path: str
    """The conf file."""
    ip: str | None
    port: int
    socket: dict[str, Any]
    """The settings of the `<socket>` section."""
    key: str = ""
    """The auth_key."""
    monitors: tuple[str, ...] = ()
    """The addresses of all monitors, where the conf has more than one; `ip` is the first to ask then."""
    chosen: bool = False
    """`ip` is the one to ask, whether it leads or not."""
    faults: tuple[str, ...] = ()
    """What is wrong with the conf, a line each: a monitor that runs goes by the one that it has read before."""

    def at(self, ip: str) -> "Endpoint":
        """Return where one of the monitors is."""
        return self._replace(ip=ip, chosen=True)


def find_monitor(
    path: str | None, cluster: str | None, directories: Sequence[str] = SEARCH, *, strict: bool = False
) -> Endpoint:
    """Return where the monitor of a conf is, or of that of @`cluster`.

    Of a conf with errors too, unless `strict`, as long as these leave no doubt of that: else raises ConfError with all
    that is wrong.
    """
    world = settings_as_far_as_read(Disk(directories), path, "CONTROL", cluster, "mmm_mon")
    error = world.tree.error() if world.tree.problems else None
    if error and (strict or not _names_monitor(world)):
        raise error
    monitor = world["monitor"].get("")
    socket = {name: setting.value for name, setting in world["socket"].get("", {}).items()}
    ip, port = world.value("monitor", "", "ip"), world.value("monitor", "", "port")
    monitors = world.value("top", "", "monitors") or ()
    return Endpoint(
        world.tree.file,
        None if monitor is None else (monitors[0] if monitors else ip),
        port or 0,
        socket,
        world.value("top", "", "auth_key") or "",
        monitors,
        faults=error.errors if error else (),
    )


def agent_s_alone(error: ConfError, cluster: str | None, directories: Sequence[str] = SEARCH) -> str:
    """Return the agent's conf file where `error` is that there is none of the monitor; empty where it is another."""
    missing = [
        problem for problem in error.problems if problem.fault.code == "not_found" and not problem.line
    ]
    if not missing:
        return ""
    try:
        return Disk(directories).open(f"mmm_agent_{cluster}" if cluster else "mmm_agent", None)[0]
    except Unreadable as unreadable:
        return unreadable.path


def _names_monitor(world: World) -> bool:
    """Tell whether all that is needed to reach the monitor, as far as it is written, could be read."""
    settings = (world["top"][""].get("monitors"), *world["socket"].get("", {}).values())
    address = world.value("top", "", "monitors") or world.value("monitor", "", "ip")
    return bool(address) and all(each.value is not None for each in settings if each) and _tells_port(world)


def _tells_port(world: World) -> bool:
    """Tell whether the monitor's port could be read, or is the default because none is written.

    At the default port the monitor of another cluster may listen: what could not be read is not to be the port.
    """
    port, tree = world["monitor"].get("", {}).get("port"), world.tree
    if port is not None and port.source is not None:
        return port.value is not None
    if tree.incomplete or any(problem.fault.code in _LINES_LOST for problem in tree.problems):
        return False
    return not any(_is_like_port(word) for block in tree.blocks.values() for word in _misplaced(block))


_LINES_LOST = frozenset({"not_a_tag", "text_behind_tag"})


def _misplaced(block: Block) -> set[str]:
    """Return the words that may be meant as keys of the monitor's: where it should be, and in no section."""
    if block.type not in SECTIONS:
        return {block.type, *block.values}
    return set(block.values) - KEYS[block.type].keys() if block.type in {"top", "monitor"} else set()


def _is_like_port(word: str) -> bool:
    name = word.partition("=")[0].lower()
    return "port" in name or bool(suggestion(name, ("port", "bind_port")))  # the second is what 1.x calls it
