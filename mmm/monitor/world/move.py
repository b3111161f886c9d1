"""A planned move of a role, and what holds a failover up, as frozen values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mmm.config.model import Vip
from mmm.monitor.world.said import Said, Texts


class Phase(StrEnum):
    """How far a planned move is (rule 11.7)."""

    FREEZING = "FREEZING"
    """The old holder is to let go; until it confirms, it keeps the role if anything fails."""
    PROMOTING = "PROMOTING"
    """The old holder has let go, the new one is to take the role; if it cannot, the old one gets it back."""
    RETURNING = "RETURNING"
    """The move has failed: the old holder is to have the role as before."""


class Unfit(Said):
    """Why a host cannot be given a VIP."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "state": "{host} is {state}",
        "halts": "{host} is being stopped: its machine, or its agent",
        "no_agent": "{host} is ONLINE but its agent cannot be reached",
        "other_conf": "the conf of {host} differs from the monitor's in {keys}",
        "unconfirmed": "{host} is ONLINE but has not confirmed it",
        "would_bind": "the agent of {host} is one of MMM 2.x, which would bind the IP of {role}",
        "stands_back": "{host} stands back for {other}, which wrote last",
        "lacks": "{host} is not promoted: {lack}",
        "can_take": "{host} can take it",
    }


class Failed(Said):
    """Why a planned move has failed."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "agent_error": "the agent of {host} answered '{answer}'",
        "agent_silent": "the agent of {host} did not answer: {why}",
        "agent_busy": "the agent of {host} was busy for {seconds:g} s",
        "unfit": "{unfit}",
        "unwritten": "the monitor's disk hangs: {file} was not written in time",
    }


@dataclass(frozen=True, slots=True)
class Move:
    """A planned move of an exclusive role that is under way."""

    vip: Vip
    source: str
    target: str
    phase: Phase = Phase.FREEZING
    since: float = 0.0
    """When the phase began; not known of the first."""
    cause: Failed | None = None
    """Why it has failed."""

    @property
    def goal(self) -> str:
        """Return the host that the role is assigned to while the move is in this phase."""
        return self.source if self.phase is Phase.RETURNING else self.target


@dataclass(frozen=True, slots=True)
class Hold:
    """The active master role stays with `host`, or with nobody, for another `left` seconds (rule 10.18)."""

    host: str
    left: int
    returning: bool = False
    """It wrote last, is back, and only has to confirm it."""
