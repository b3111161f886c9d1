"""Commands as they are run in tests: what they ask for is known beforehand."""

from collections.abc import Sequence

from mmm.monitor.command.asking import Ask, Heard
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.dispatch import ordered
from mmm.monitor.command.preflight import Looked
from mmm.monitor.command.sign import Sign
from mmm.monitor.world.world import World


def run(
    world: World,
    words: Sequence[str],
    now: float,
    *,
    pinged: bool = True,
    looked: Looked | None = None,
    sign: Sign | None = None,
) -> Result | None:
    """Return what a command comes to, None where there is no such command; nothing changes while it asks."""
    return asked(world, words, now, pinged=pinged, looked=looked, sign=sign)[1]


def asked(
    world: World,
    words: Sequence[str],
    now: float,
    *,
    pinged: bool = True,
    looked: Looked | None = None,
    sign: Sign | None = None,
) -> tuple[list[Ask], Result | None]:
    """Return what a command asks for in its order, and what it comes to."""
    command, asks = ordered(words), list[Ask]()
    if command is None:
        return asks, None
    asking = command(world, now)
    try:
        asks.append(next(asking))
        while True:
            asks.append(asking.send(Heard(world, now, pinged, looked, sign)))
    except StopIteration as ended:
        result: Result = ended.value
        return asks, result
