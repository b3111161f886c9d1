"""When the angel starts its worker again, as a pure decision (rule 1).

worker ended with 0            the angel ends too
worker killed by a signal      again at once
worker ended with another      again after 10 s
10 such failures in 5 minutes  give up, FATAL
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The angel's patience: `window` and `delay` in seconds."""

    failures: int = 10
    window: float = 300.0
    delay: float = 10.0


@dataclass(frozen=True, slots=True)
class Again:
    """Start the worker again after `delay` seconds; `failures` are the moments that count so far."""

    delay: float
    failures: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class End:
    """The worker is done, and so is the angel."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Too many failures: somebody must look."""

    failures: int


def after(status: int, failures: tuple[float, ...], now: float, policy: Policy) -> Again | End | GiveUp:
    """Return what follows the end of a worker at `now`.

    `status` is its exit status, negative for the number of the signal that killed it;
    `failures` are the moments of earlier failures, on the same clock as `now`.
    """
    if status == 0:
        return End()
    recent = (*(moment for moment in failures if now - moment < policy.window), now)
    if len(recent) >= policy.failures:
        return GiveUp(len(recent))
    return Again(0.0 if status < 0 else policy.delay, recent)
