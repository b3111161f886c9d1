"""The effective conf as text of the 2.x dialect: what `--print-conf` shows."""

from collections.abc import Iterator

from mmm.config.keys import KEYS, SECTIONS
from mmm.config.kinds import UNLIMITED
from mmm.config.model import Cluster

HIDDEN = "********"
"""Stands for every password that is set."""


def effective(cluster: Cluster) -> str:
    """Return all settings of `cluster`, defaults included, in the 2.x dialect with passwords hidden."""
    return "\n".join(_lines(cluster)) + "\n"


def _lines(cluster: Cluster) -> Iterator[str]:
    yield f"# {cluster.program} conf, dialect {cluster.dialect}.x, from {', '.join(map(str, cluster.files))}"
    yield from (f"# WARN {warning}" for warning in cluster.warnings)
    yield from (f"# log {log.name}: {log.level} and above to {log.file}" for log in cluster.logs)
    yield from _settings("top", cluster, "")
    if cluster.monitor:
        yield from _section("monitor", "", cluster.monitor)
    yield from _section("socket", "", cluster.socket)
    yield from _section("web", "", cluster.web)
    for kind, sections in (
        ("host", cluster.hosts),
        ("role", cluster.roles),
        ("check", cluster.checks),
        ("notify", cluster.notify),
        ("copy_method", cluster.copy_methods),
    ):
        for name, section in sections.items():
            yield from _section(kind, name, section)


def _section(kind: str, name: str, section: object) -> Iterator[str]:
    yield ""
    yield f"<{kind} {name}>" if SECTIONS[kind].named else f"<{kind}>"
    yield from _settings(kind, section, "    ")
    yield f"</{kind}>"


def _settings(kind: str, section: object, indent: str) -> Iterator[str]:
    for key in KEYS[kind].values():
        value = _text(getattr(section, key.name, None))
        if value:
            yield f"{indent}{key.name} {HIDDEN if key.secret else value}"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if value == float("inf"):
        return UNLIMITED
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)
