"""The effective conf as text of the 2.x dialect: what `--print-conf` shows, and a fingerprint of it."""

from collections.abc import Iterator
from dataclasses import replace

from mmm.config.agreement import digest
from mmm.config.keys import KEYS, SECTIONS
from mmm.config.model import Cluster, Host, Web
from mmm.config.names import NEED_MONITORS, WITNESS, WITNESS_KEYS
from mmm.config.shown import HIDDEN, shown

_FINGERPRINT = "fingerprint"


def effective(cluster: Cluster) -> str:
    """Return all settings of `cluster`, defaults included, in the 2.x dialect with passwords hidden."""
    return "\n".join(_lines(cluster)) + "\n"


def fingerprint(cluster: Cluster) -> str:
    """Return 12 hexadecimal digits that are the same where two monitors' confs say the same, wherever they are read.

    Passwords are left out, so that nobody can try them; so are logs, `<web>`, and the monitor's own address. Worked out
    once for each conf: every `status` has it.
    """
    if _FINGERPRINT not in cluster.worked_out:
        shared = replace(cluster, web=Web(), monitor=cluster.monitor and replace(cluster.monitor, ip=""))
        cluster.worked_out[_FINGERPRINT] = digest("\n".join(_settings_of(shared)))
    return cluster.worked_out[_FINGERPRINT]


def _lines(cluster: Cluster) -> Iterator[str]:
    yield f"# {cluster.program} conf, dialect {cluster.dialect}.x, from {', '.join(map(str, cluster.files))}"
    yield from (f"# WARN {warning}" for warning in cluster.warnings)
    yield from (f"# log {log.name}: {log.level} and above to {log.file}" for log in cluster.logs)
    yield from _settings_of(cluster)


def _settings_of(cluster: Cluster) -> Iterator[str]:
    without = () if cluster.monitors else NEED_MONITORS
    yield from (line for line in _settings("top", cluster, "") if not line.startswith(without))
    if cluster.monitor:
        yield from _section("monitor", "", cluster.monitor)
    yield from _section("socket", "", cluster.socket)
    yield from _section("web", "", cluster.web)
    for kind, sections in (
        ("host", cluster.agents),
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
    witness = isinstance(section, Host) and section.mode == WITNESS
    for key in KEYS[kind].values():
        if witness and key.name not in WITNESS_KEYS:
            continue
        value = shown(getattr(section, key.name, None))
        if value:
            yield f"{indent}{key.name} {HIDDEN if key.secret else value}"
