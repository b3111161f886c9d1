"""What a monitor remembers of its own orders to rebuild a host (`auto_rejoin`), as values. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """How far an order is."""

    ASKED = "asked"
    """Its answer is awaited."""
    BEGUN = "begun"
    """A job has begun on the host."""
    REFUSED = "refused"
    """The tool there has not begun for a reason that may pass, or the agent has not answered."""
    NOT_ALLOWED = "not_allowed"
    """The agent does not obey such an order, or does not know it."""
    FAILED = "failed"
    """The job was taken back."""
    DONE = "done"
    """The job has ended well."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last order to rebuild a host by itself."""

    step: Step
    at: float
    """When that was, in monotonic seconds."""
    why: str = ""
    """Why it has not begun, or was not done; in words of the tool, the agent, or the network."""
    codes: tuple[str, ...] = ()
    """The codes of that."""
    again: bool = False
    """It was to go on with a job that was broken off."""
