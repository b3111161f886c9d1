"""What `mmm_control watch` shows of a status, as rich draws it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmm.clock import local_time

RECENT = 600.0
"""Seconds for which a change is shown, and how many of them."""
_CHANGES = 12
_STATES = {"ONLINE": "green", "HARD_OFFLINE": "bold red", "REPLICATION_FAIL": "red"}
_LEVELS = {"OK": "bold green", "WARNING": "bold yellow", "CRITICAL": "bold red"}
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def picture(status: Mapping[str, Any] | None, now: float, away: str) -> RenderableType:
    """Return the screen; `now` is seconds since 1970, `away` why the monitor does not answer, empty where it does."""
    parts: list[RenderableType] = []
    if away:
        since = f"as of {local_time(status['at'])}: " if status else ""
        parts.append(Text(f"{since}{away}", style="bold white on red"))
    if status is not None:
        parts += [_head(status), "", _hosts(status, now), *_nobody(status), *_reasons(status)]
        parts += _changes(status, now)
    return Group(*parts)


def span(seconds: float) -> str:
    """Return how long something takes, in one unit."""
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{int(seconds / size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _head(status: Mapping[str, Any]) -> RenderableType:
    health, monitor = status["health"], status["monitor"]
    figures = health["figures"]
    head = Text("MMM ")
    head.append(health["status"], _LEVELS.get(health["status"], ""))
    head.append(f"   mode {monitor['mode']}", "" if monitor["mode"] == "ACTIVE" else "bold yellow")
    head.append(f"   writer on {health['writer'] or 'no host'}", "" if health["writer"] else "bold red")
    return head.append(f"   {figures['online']} of {figures['hosts']} hosts ONLINE")


def _hosts(status: Mapping[str, Any], now: float) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("host", "state", "for", "lag", "roles", "what is wrong"):
        table.add_column(title, justify="right" if title in ("for", "lag") else "left")
    for host in status["hosts"]:
        roles = Text(", ".join(f"{role['role']}({role['ip']})" for role in host["roles"]))
        state = Text(host["state"], _STATES.get(host["state"], "yellow"))
        lag = "?" if host["lag"] is None else f"{host['lag']:g} s"
        name = Text(f"{host['name']} {host['mode']}")
        table.add_row(name, state, span(now - host["since"]), lag, roles, Text("; ".join(_wrong(host))))
    return table


def _wrong(host: Mapping[str, Any]) -> Iterator[str]:
    failed = [name for name, check in host["checks"].items() if check["failed"]]
    if failed:
        yield f"{', '.join(failed)} failed"
    if host["agent"]["unreachable"]:
        yield "agent not reachable"
    if host["diagnosis"]:
        yield host["diagnosis"]["code"]
    if host["job"]:
        yield host["job"]["text"]


def _nobody(status: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the IPs that nobody holds, or that are on their way."""
    for role in status["roles"]:
        for ip in role["ips"]:
            vip = f"{role['name']}({ip['ip']})"
            if ip["holder"] is None:
                yield Text(f"{vip}: nobody: {ip['why']['text'] if ip['why'] else '?'}", style="bold red")
            elif ip["waits_for"]:
                yield Text(f"{vip}: {ip['holder']} gets it from {', '.join(ip['waits_for'])}", style="yellow")


def _reasons(status: Mapping[str, Any]) -> Iterator[RenderableType]:
    for place, reason in enumerate(status["health"]["reasons"]):
        if not place:
            yield ""
        yield Text(f"{reason['level']}: {reason['text']}", style=_LEVELS.get(reason["level"], ""))


def _changes(status: Mapping[str, Any], now: float) -> Iterator[RenderableType]:
    recent = [change for change in status["history"] if now - change["at"] <= RECENT]
    if recent:
        yield Text(f"\nlast {span(RECENT)}", style="dim")
    for change in recent[: -_CHANGES - 1 : -1]:
        took = "" if change["took"] is None else f", {1e3 * change['took']:.0f} ms"
        cause = f": {change['cause']}" if change["cause"] else ""
        yield Text(
            f"{local_time(change['at'])[11:]}  {change['text']}{took}{cause}",
            no_wrap=True,
            overflow="ellipsis",
        )
