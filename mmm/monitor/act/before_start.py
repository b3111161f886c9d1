"""What a monitor answers while it waits for its network: that it is there, and what it waits for."""

from collections.abc import Callable, Sequence

from mmm.config.model import Monitor
from mmm.monitor.act.control_port import Command
from mmm.monitor.report.health import Health
from mmm.monitor.world.warnings import Level, Warned, text
from mmm.wire import control as wire
from mmm.wire.command import HELP


def waits_for_network(monitor: Monitor) -> Command:
    """Return what answers the commands of mmm_control meanwhile."""

    async def command(words: Sequence[str], _: Callable[[], str]) -> str | None:
        return answer(monitor, words)

    return command


def answer(monitor: Monitor, words: Sequence[str]) -> str:
    """Return the answer to a command; an ERROR to all that would need the hosts to be known."""
    waits = Warned("waits_for_network", fields={"ips": ", ".join(monitor.ping_ips)}, level=Level.CRITICAL)
    match list(words):
        case ["help"]:
            return HELP
        case ["ping"]:
            return "OK: Pinged successfully!"
        case ["show"]:
            return wire.encode_show(wire.Show((), warnings=(text(waits),)))
        case ["health"]:
            return str(
                Health(
                    "CRITICAL",
                    (waits,),
                    (("hosts", 0), ("online", 0), ("critical", 1), ("warnings", 0)),
                    None,
                )
            )
        case _:
            return f"ERROR: {text(waits)}"
