"""Which of several monitors is asked: the one that leads, or this machine's (rule 14.2)."""

import queue
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple

from mmm.config.endpoint import Endpoint
from mmm.control.connection import GLANCE, NoAnswerError, NotAddressedError, Wrap, ask
from mmm.control.json_answer import values_of
from mmm.wire.command import JSON, LEADS, TAKE_LEAD, is_unknown

OF_THIS_MACHINE = frozenset({LEADS, TAKE_LEAD})
"""Commands about the monitor of the machine that they are typed on."""


class _Said(NamedTuple):
    """What the monitor at an address has said."""

    ip: str
    leads: bool | None
    """None: it has not answered."""
    leader: str = ""
    """Which one leads, as far as it knows."""


class Found(NamedTuple):
    """Where a command goes."""

    monitor: Endpoint
    note: str = ""
    """What its user has to know: that it stands by, and whether another one leads."""
    silent: str = ""
    """The address of the one that leads as it says, and does not answer."""


def addressed(monitor: Endpoint, wrap: Wrap, command: Sequence[str]) -> Found:
    """Return the monitor that a command goes to; raises NotAddressedError.

    `monitor` itself where the conf has one monitor. Where none says that it leads it is one that answers, first that of
    this machine.
    """
    if not monitor.monitors or monitor.chosen:
        return Found(monitor)
    here = own(monitor.monitors)
    if command[0] in OF_THIS_MACHINE:
        if not here:
            listed = ", ".join(monitor.monitors)
            raise NotAddressedError(
                f"{command[0]} is for a monitor's machine: none of {listed} is this one's address"
            )
        return Found(monitor.at(here))
    return leading(monitor, wrap, here)


def leading(monitor: Endpoint, wrap: Wrap, here: str = "") -> Found:
    """Return the monitor that says it leads, without waiting for those that do not answer."""
    if not monitor.monitors or monitor.chosen:
        return Found(monitor)
    order = sorted(monitor.monitors, key=lambda ip: ip != here)
    said: queue.SimpleQueue[_Said] = queue.SimpleQueue()
    for ip in order:
        threading.Thread(target=_ask, args=(monitor.at(ip), wrap, said), daemon=True).start()
    standing: dict[str, str] = {}
    for _ in order:
        each = said.get()
        if each.leads:
            return Found(monitor.at(each.ip))
        if each.leads is not None:
            standing[each.ip] = each.leader
    if not standing:
        return Found(monitor.at(order[0]))
    chosen = min(standing, key=order.index)
    silent = next((standing[ip] for ip in order if standing.get(ip, "") not in {"", *standing}), "")
    why = f"the monitor at {silent} leads and does not answer" if silent else "no monitor leads"
    return Found(monitor.at(chosen), f"{why}; {chosen}, which stands by, answers", silent)


def own(ips: Sequence[str]) -> str:
    """Return the first of some addresses that is this machine's, empty where none is.

    The kernel says which address it would send from: to itself a machine sends from the very address.
    """
    for ip in ips:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                asked.connect((ip, 9))
                if asked.getsockname()[0] == ip:
                    return ip
        except OSError:
            continue
    return ""


def _ask(monitor: Endpoint, wrap: Wrap, said: "queue.SimpleQueue[_Said]") -> None:
    """Put whether the monitor leads, and which one does. One that does not know the question leads."""
    told = _Said(monitor.ip or "", None)
    try:
        answer = ask(monitor, wrap, [JSON, LEADS], GLANCE)
        values = values_of(answer) or {}
        fields = values.get("fields")
        leader = fields.get("leader") if isinstance(fields, dict) else None
        told = told._replace(leads=is_unknown(answer) or bool(values.get("ok")), leader=str(leader or ""))
    except NoAnswerError:
        pass
    finally:
        said.put(told)
