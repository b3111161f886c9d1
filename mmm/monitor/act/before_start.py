"""What a monitor answers while it waits for its network: that it is there, and what it waits for."""

import json
import logging
from collections.abc import Sequence

from mmm.config.model import Monitor
from mmm.monitor.act.control_port import Command, Lack
from mmm.monitor.command.texts import Verdict
from mmm.monitor.report.health import Health
from mmm.monitor.report.health import encoded as encoded_health
from mmm.monitor.report.structured import answered
from mmm.monitor.world.warnings import Level, Warned, encoded, text
from mmm.wire import control as wire
from mmm.wire import values
from mmm.wire.command import HELP, without_json

log = logging.getLogger(__name__)


class ReloadLater:
    """What SIGHUP does before the monitor has begun: `asked` tells whether it came, and the log what becomes of it."""

    asked = False

    def __call__(self) -> None:
        """Take note of it."""
        self.asked = True
        log.warning(
            "SIGHUP: not started yet; the conf is read again as soon as this monitor is; where `ping_ips` are wrong,"
            " restart it"
        )


def waits_for_network(monitor: Monitor) -> Command:
    """Return what answers the commands of mmm_control meanwhile."""

    async def command(words: Sequence[str], _: Lack) -> str | None:
        return answer(monitor, words)

    return command


def answer(monitor: Monitor, words: Sequence[str]) -> str:
    """Return the answer to a command; an ERROR to all that would need the hosts to be known."""
    waits = Warned("waits_for_network", fields={"ips": ", ".join(monitor.ping_ips)}, level=Level.CRITICAL)
    plain = without_json(words)
    as_values = plain is not words
    show = wire.Show((), warnings=(text(waits),))
    figures = (("hosts", 0), ("online", 0), ("critical", 1), ("warnings", 0))
    health = Health("CRITICAL", (waits,), figures, None)
    match list(plain):
        case ["help"]:
            return HELP
        case ["show"]:
            return json.dumps(values.of_show(show, [encoded(waits)])) if as_values else wire.encode_show(show)
        case ["health"]:
            return json.dumps(encoded_health(health)) if as_values else str(health)
        case ["ping"]:
            verdict = Verdict("pinged")
        case _:
            verdict = Verdict("waits_for_network", {"why": waits})
    return answered(verdict) if as_values else str(verdict)
