"""The settings of a server that count once it is the active master, as values. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What a possible master's server is set to; these change seldom."""

    increment: int
    """auto_increment_increment."""
    offset: int
    """auto_increment_offset."""
    logs: bool = True
    """It writes a binary log, so that others can replicate from it."""
    logs_replicated: bool = True
    """It writes into that also what it replicates (log_slave_updates)."""
