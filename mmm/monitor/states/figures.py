"""What the sentences of state rules and of their conditions name, taken from a host's View as values."""

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from mmm.monitor.states.host_view import View
from mmm.monitor.world.said import Fields, Several

FIGURES: Mapping[str, Callable[[View], Any]] = {
    "failing": lambda v: v.failing,
    "failing_checks": lambda v: Several(v.failing_checks),
    "reached_by": lambda v: Several(v.reached_by),
    "refuses_to_follow": lambda v: v.refuses_to_follow,
    "extra": lambda v: v.extra,
    "comparing": lambda v: v.comparing,
    "rebuilt": lambda v: v.rebuilt,
    "unproved": lambda v: v.unproved,
    "outage": lambda v: v.outage,
    "waited": lambda v: v.waited,
    "calm_for": lambda v: v.calm_for,
    "uptime": lambda v: v.host.system.uptime,
    "last_uptime": lambda v: v.host.system.last_uptime,
    "waited_for_disk": lambda v: v.waited_for_disk,
    "disk_full_failover": lambda v: v.monitor.disk_full_failover,
    "peer_grace": lambda v: v.monitor.peer_grace,
    "flap_duration": lambda v: v.monitor.flap_duration,
    "auto_set_online": lambda v: v.monitor.auto_set_online,
}
"""Times are seconds."""


def figures(sentence: str, view: View) -> Fields:
    """Return the values that the sentence names."""
    return {name: FIGURES[name](view) for _, name, _, _ in Formatter().parse(sentence) if name}
