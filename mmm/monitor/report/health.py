"""What `mmm_control health` answers: the state of the cluster, as a Nagios plugin reports it. Pure.

OK        every host is in use, and nothing is to be warned of
WARNING   clients are served; something is broken, off, or would fail at the next failover
CRITICAL  clients are not served, or nobody watches
"""

from dataclasses import dataclass
from typing import Any

from mmm.monitor.report.clock import Clock
from mmm.monitor.report.concerns import found
from mmm.monitor.world import warnings
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import Level, Warned, text
from mmm.monitor.world.world import Mode, World

_MOST_SAID = 4


@dataclass(frozen=True, slots=True)
class Health:
    """The state in one word, what it comes from, and figures."""

    status: str
    reasons: tuple[Warned, ...]
    figures: tuple[tuple[str, int], ...]
    writer: str | None

    def __str__(self) -> str:
        said = [text(reason) for reason in self.reasons[:_MOST_SAID]]
        if len(self.reasons) > _MOST_SAID:
            said.append(f"and {len(self.reasons) - _MOST_SAID} more, see mmm_control show")
        hosts = dict(self.figures)
        good = f"writer on {self.writer}, {hosts['online']} of {hosts['hosts']} hosts ONLINE"
        shown = "; ".join(said) or good
        figures = " ".join(f"{name}={value}" for name, value in self.figures)
        return f"MMM {self.status}: {shown.replace('|', '/')} | {figures}\n"


def health(world: World, now: float, clock: Clock) -> Health:
    """Return how the cluster is."""
    reasons = (*found(world, now, clock), *_by_order(world))
    critical = sum(reason.level is Level.CRITICAL for reason in reasons)
    status = "CRITICAL" if critical else "WARNING" if reasons else "OK"
    figures = (
        ("hosts", len(world.hosts)),
        ("online", sum(host.state is State.ONLINE for host in world.hosts.values())),
        ("critical", critical),
        ("warnings", len(reasons) - critical),
    )
    return Health(status, reasons, figures, world.active_master)


def encoded(found: Health) -> dict[str, Any]:
    """Return it as JSON has it."""
    return {
        "status": found.status,
        "writer": found.writer,
        "figures": dict(found.figures),
        "reasons": [warnings.encoded(reason) for reason in found.reasons],
    }


def _by_order(world: World) -> tuple[Warned, ...]:
    """Return what the admin has ordered, and should not forget."""
    off = tuple(name for name, host in world.hosts.items() if host.state is State.ADMIN_OFFLINE)
    ordered = [Warned("admin_offline", off)] if off else []
    if world.mode is Mode.PASSIVE:
        ordered.append(Warned("passive", fields={"cause": world.passive_cause or "the conf says so"}))
    elif world.mode is not Mode.ACTIVE:
        ordered.append(Warned("not_active", fields={"mode": str(world.mode)}))
    return tuple(ordered)
