"""What a command has to know that the world does not tell, and how it asks for it.

A command is a generator: it yields what it wants to know, is sent the findings with the world and the time by then, and
returns its result. It decides; its caller finds out. See also `mmm.mysql.session.question`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from mmm.config.model import Cluster, Vip
from mmm.monitor.command.command_result import Result, no_agent
from mmm.monitor.command.preflight import Looked
from mmm.monitor.command.sign import Sign
from mmm.monitor.world.world import World
from mmm.wire.rejoin import Came, Wanted


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks whether the host's agent answers."""

    host: str


@dataclass(frozen=True, slots=True)
class LookAt:
    """Asks what is to be seen before the active master role goes from a host, or from nobody, to another one.

    The checks of both are run anew, and their results are in the world by then.
    """

    source: str | None
    target: str


@dataclass(frozen=True, slots=True)
class LookForLife:
    """Asks whether anything of the host answers."""

    host: str


@dataclass(frozen=True, slots=True)
class OrderRejoin:
    """Asks the host's agent to have it rebuilt."""

    host: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Answered:
    """What an agent has answered to that: what it came to, and the code of an ERROR."""

    came: Came
    why: str = ""


@dataclass(frozen=True, slots=True)
class ReadConf:
    """Asks for the conf as it is written now."""


@dataclass(frozen=True, slots=True)
class MoveEnds:
    """Asks that no role is being moved; it is waited for that, but not for ever."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """Asks that no host has the VIPs bound; it is waited for that, but not for ever."""

    vips: frozenset[Vip]


Ask = Ping | LookAt | LookForLife | OrderRejoin | ReadConf | MoveEnds | LetGo


class Heard(NamedTuple):
    """What was found, and when."""

    world: World
    now: float
    pinged: bool = False
    """Ping: it answers."""
    looked: Looked | None = None
    """LookAt: what no check finds; None where nobody could look."""
    sign: Sign | None = None
    """LookForLife: what answers; None where nothing does."""
    rejoin: Answered | None = None
    """OrderRejoin: the agent's answer; None where it has not answered."""
    conf: Cluster | None = None
    """ReadConf: the conf; None where it cannot be used."""
    errors: tuple[str, ...] = ()
    """ReadConf: why it cannot be used, a line each."""


T = TypeVar("T")
Asking = Generator[Ask, Heard, T]
Command = Callable[[World, float], Asking[Result]]
"""Takes the world and the time at its begin."""


class Moment(NamedTuple):
    """The world at a time."""

    world: World
    now: float


def answering(
    world: World, now: float, host: str, refusal: Callable[[World, float], Result | None]
) -> Asking[Moment | Result]:
    """Ask the host's agent for an answer, unless the command is refused anyway; `refusal` says so, before and after.

    Returns the world and the time after the answer, or the refusal.
    """
    if refused := refusal(world, now):
        return refused
    heard = yield Ping(host)
    if refused := refusal(heard.world, heard.now):
        return refused
    return Moment(heard.world, heard.now) if heard.pinged else no_agent(heard.world, host)
