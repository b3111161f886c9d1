"""Conf files of the sandbox's own cluster, in the 2.x dialect as the classic's manual shows them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mmm.sandbox.machines.machine import SandboxError

NET = "10.77.0."
MONITOR_IP = NET + "2"
MONITOR_IPS = (MONITOR_IP, NET + "3", NET + "70")
GATEWAY_IP = NET + "1"
WRITER_IP = NET + "80"
MOST_SLAVES = 60
_FIRST_MASTER = 4
_FIRST_SLAVE = 7
WITNESS_IPS = (NET + "71", NET + "72")
_FIRST_READER = 90

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Conf:
    """What the sandbox's own conf says; `Conf()` is the default conf, two masters and a slave.

    Each mapping adds keys, or other values for them: `check` to every check, `checks` to a single one by its
    name, `hosts` to a host by its name (or `default`), `roles` to a role. `extra` is text at the end of a file.
    """

    masters: int = 2
    slaves: int = 1
    monitors: int = 1
    witnesses: int = 0
    top: Values = field(default_factory=dict)
    monitor: Values = field(default_factory=dict)
    check: Values = field(default_factory=dict)
    checks: Mapping[str, Values] = field(default_factory=dict)
    hosts: Mapping[str, Values] = field(default_factory=dict)
    roles: Mapping[str, Values] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.masters not in {1, 2} or not 2 - self.masters <= self.slaves <= MOST_SLAVES:
            raise SandboxError(
                f"a cluster has 2 masters and 0 to {MOST_SLAVES} slaves, or a master and a slave"
            )

        if not 1 <= self.monitors <= len(MONITOR_IPS):
            raise SandboxError(f"a sandbox has 1 to {len(MONITOR_IPS)} monitors")
        if not 0 <= self.witnesses <= len(WITNESS_IPS):
            raise SandboxError(f"a sandbox has 0 to {len(WITNESS_IPS)} witnesses")
        if self.witnesses and self.monitors == 1:
            raise SandboxError("a witness votes on which of several monitors leads: write --monitors 2 too")

    @property
    def addresses(self) -> dict[str, str]:
        """Return the address of each host by its name: the masters first."""
        places = [_FIRST_MASTER + i for i in range(self.masters)] + [
            _FIRST_SLAVE + i for i in range(self.slaves)
        ]
        return {f"db{number}": f"{NET}{place}" for number, place in enumerate(places, 1)}

    def files(self) -> dict[str, str]:
        """Return the conf files by their names; the agent's is that of the first host."""
        made = {
            "mmm_common.conf": self._common(),
            "mmm_mon.conf": self._mon(),
            "mmm_agent.conf": self._agent(),
            "mmm_tools.conf": self._agent(),
        }
        return {name: text + self.extra.get(name, "") for name, text in made.items()}

    def _common(self) -> str:
        names = list(self.addresses)
        default = {
            "cluster_interface": "eth0",
            "pid_path": "/var/run/mmm_agentd.pid",
            "bin_path": "/usr/lib/mysql-mmm/",
            "replication_user": "replication",
            "replication_password": "replication-secret",
            "agent_user": "mmm_agent",
            "agent_password": "agent-secret",
            "tools_user": "mmm_tools",
            "tools_password": "tools-secret",
        }
        readers = [f"{NET}{_FIRST_READER + place}" for place in range(len(names))]
        writer = {"hosts": ", ".join(names[: self.masters]), "ips": WRITER_IP, "mode": "exclusive"}
        reader = {"hosts": ", ".join(names), "ips": ", ".join(readers), "mode": "balanced"}
        sections = [_section("host", "default", {**default, **self.hosts.get("default", {})})]
        sections += [_section("host", name, self._host(name)) for name in names]
        sections += [
            _section("host", f"witness{number if number > 1 else ''}", {"ip": ip, "mode": "witness"})
            for number, ip in enumerate(WITNESS_IPS[: self.witnesses], 1)
        ]
        sections.append(_section("role", "writer", {**writer, **self.roles.get("writer", {})}))
        sections.append(_section("role", "reader", {**reader, **self.roles.get("reader", {})}))
        allow = {} if "ip" in self.monitor else {"allow_from": MONITOR_IP}
        if self.monitors > 1:
            allow = {"monitors": ", ".join(MONITOR_IPS[: self.monitors])}
        top = {"active_master_role": "writer", "transfer": "plain", **allow, **self.top}
        return _lines(top, "") + "\n" + "\n".join(sections)

    def _host(self, name: str) -> dict[str, object]:
        names = list(self.addresses)
        place = names.index(name)
        values: dict[str, object] = {"ip": self.addresses[name], "mode": "slave"}
        if place < self.masters:
            values |= {"mode": "master", "peer": names[1 - place]}
        return {**values, **self.hosts.get(name, {})}

    def _mon(self) -> str:
        monitor: dict[str, object] = {
            **({"ip": MONITOR_IP} if self.monitors == 1 else {}),
            "pid_path": "/var/run/mmm_mond.pid",
            "bin_path": "/usr/lib/mysql-mmm/",
            "status_path": "/var/lib/misc/mmm_mond.status",
            "ping_ips": GATEWAY_IP,
            **self.monitor,
        }
        user = {"monitor_user": "mmm_monitor", "monitor_password": "monitor-secret"}
        sections = [_section("monitor", "", monitor), _section("host", "default", user)]
        if self.check:
            sections.append(_section("check", "default", self.check))
        sections += [_section("check", name, values) for name, values in self.checks.items()]
        return "include mmm_common.conf\n\n" + "\n".join(sections) + "\ndebug 0\n"

    @staticmethod
    def _agent() -> str:
        return "include mmm_common.conf\n\nthis db1\n"


def fast(conf: Conf, seconds: float = 1) -> Conf:
    """Return `conf` with every check's period, trap and time-out set to `seconds`, and a lease of two seconds."""
    check = {"check_period": seconds, "trap_period": seconds, "timeout": seconds, **conf.check}
    return replace(conf, check=check, top={"vip_lease": 2, **conf.top})


def by_itself(conf: Conf) -> Conf:
    """Return `conf` with what makes the cluster whole again without hands."""
    monitor = {"auto_rejoin": "rewind, clone", "auto_set_online": 1, **conf.monitor}
    return replace(conf, top={"allow_rebuild": "yes", **conf.top}, monitor=monitor)


def hosts(text: str) -> tuple[int, int]:
    """Return the numbers of masters and slaves in a text such as 2m1s; raises SandboxError."""
    match = re.fullmatch(r"(\d{1,2})m(?:(\d{1,2})s)?", text)
    if match is None:
        raise SandboxError(f"--hosts {text}: write masters and slaves as in 2m1s or 2m")
    return int(match[1]), int(match[2] or 0)


def _section(kind: str, name: str, values: Values) -> str:
    return f"<{kind} {name}>".replace(" >", ">") + f"\n{_lines(values, '    ')}</{kind}>\n"


def _lines(values: Values, indent: str) -> str:
    return "".join(f"{indent}{key:<24}{value}\n" for key, value in values.items())
