"""The one checked, frozen model of a cluster that every program works with.

Both conf dialects end here (rules 2, 3). Durations are seconds as float.
Mappings keep the order of the conf files: ties anywhere in MMM go in conf order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from mmm.config.names import Program
from mmm.config.tree import Problem

SslMode = Literal["disabled", "required", "verify_ca", "verify_identity"]
MonitorMode = Literal["active", "manual", "wait", "passive"]
Via = Literal["arp", "health", "script"]


class Vip(NamedTuple):
    """One virtual IP of a role, written `role(ip)` on the wire and in the status file."""

    role: str
    ip: str

    def __str__(self) -> str:
        return f"{self.role}({self.ip})"


@dataclass(frozen=True, slots=True)
class Host:
    """A MySQL server with an agent, or the agent of a witness: `<host NAME>`."""

    name: str
    ip: str
    mode: Literal["master", "slave", "witness"]
    peer: str | None = None
    cluster_interface: str = ""
    agent_port: int = 9989
    health_port: int | None = None
    """Where load balancers ask for the host's health; None: nowhere."""
    mysql_port: int = 3306
    mysql_host: str = ""
    """Where the tools reach the server; empty: at `ip`."""
    mysql_ssl_mode: SslMode = "disabled"
    mysql_ssl_ca: str = ""
    mysql_ssl_cert: str = ""
    mysql_ssl_key: str = ""
    pid_path: str = ""
    bin_path: str = ""
    mysql_pidfile: str = "/var/run/mysqld/mysqld.pid"
    mysql_rcscript: str = "/etc/init.d/mysql"
    mysqlbinlog: str = ""
    mysql_cnf: str = "/etc/my.cnf"
    agent_user: str = ""
    agent_password: str = field(default="", repr=False)
    monitor_user: str = ""
    monitor_password: str = field(default="", repr=False)
    replication_user: str = ""
    replication_password: str = field(default="", repr=False)
    ssh_user: str = ""
    ssh_port: int = 22
    ssh_parameters: str = ""
    tools_user: str = ""
    tools_password: str = field(default="", repr=False)
    tools_socket: str = ""
    backup_dir: str = ""
    restore_dir: str = ""
    lvm_bin_lvcreate: str = "lvcreate"
    lvm_bin_lvremove: str = "lvremove"
    lvm_snapshot_size: str = ""
    lvm_logical_volume: str = ""
    lvm_volume_group: str = ""
    lvm_mount_dir: str = ""
    lvm_mount_opts: str = ""
    snapshot_command: str = ""
    snapshot_remove_command: str = ""


@dataclass(frozen=True)  # without slots, for what is worked out once
class Role:
    """A name with one or more virtual IPs that `hosts` may hold: `<role NAME>`."""

    name: str
    mode: Literal["exclusive", "balanced"]
    hosts: tuple[str, ...]
    ips: tuple[str, ...]
    prefer: str | None = None
    vip_via: Via = "arp"
    """How clients come to who holds it: `arp`, its IPs are bound there; `health`, a load balancer asks who it is;
    `script`, `vip_script` moves its IPs."""
    vip_script: str = ""
    """The program, with arguments."""

    @cached_property
    def vips(self) -> tuple[Vip, ...]:
        """Return the role's virtual IPs in conf order."""
        return tuple(Vip(self.name, ip) for ip in self.ips)


@dataclass(frozen=True, slots=True)
class Check:
    """How one of the four checks is run: `<check NAME>`."""

    name: str
    check_period: float = 5.0
    trap_period: float = 10.0
    timeout: float = 2.0
    max_backlog: float = 60.0
    connect_grace: float = 60.0
    restart_after: int = 10000


@dataclass(frozen=True, slots=True)
class Monitor:
    """The `<monitor>` section."""

    ip: str
    port: int = 9988
    pid_path: str = ""
    bin_path: str = ""
    status_path: str = ""
    ping_interval: float = 1.0
    ping_ips: tuple[str, ...] = ()
    flap_duration: float = 3600.0
    flap_count: int = 3
    auto_set_online: float = 0.0
    auto_rejoin: tuple[str, ...] = ()
    """Of `rewind` and `clone`, in the order in which they are tried; empty: no."""
    kill_host_bin: str = "kill_host"
    careful_startup: bool = True
    mode: MonitorMode = "active"
    wait_for_other_master: float = 120.0
    ping_alone_kills: bool = False
    server_exit: Literal["trap", "failover"] = "trap"
    failover_block: float = 60.0
    peer_grace: float = 60.0
    dead_when_silent: bool = False
    agent_failover: float = 10.0
    disk_full_failover: float = 0.0
    max_lag_on_failover: float | None = None
    """None: as rep_backlog's max_backlog; infinite: no limit."""
    split_brain_guard: bool = True


@dataclass(frozen=True, slots=True)
class Web:
    """The `<web>` section: where mmm_web answers, and whom."""

    ip: str = "127.0.0.1"
    port: int = 9990
    pid_path: str = "/var/run/mmm_web.pid"
    cert_file: str = ""
    key_file: str = ""
    user: str = "mmm"
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told what happens, a `<notify NAME>` section: a program, mail addresses, or a webhook."""

    name: str
    command: str = ""
    mail_to: tuple[str, ...] = ()
    webhook: str = field(default="", repr=False)
    events: tuple[str, ...] = ("*",)
    after: float = 0.0
    timeout: float = 10.0
    mail_from: str = ""
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_tls: Literal["no", "starttls", "tls"] = "no"
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Socket:
    """The `<socket>` section: plain TCP, or TLS with certificates demanded on both ends."""

    type: Literal["plain", "ssl"] = "plain"
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class CopyMethod:
    """How `mmm_backup` and `mmm_clone` copy files: `<copy_method NAME>`."""

    name: str
    backup_command: str = ""
    restore_command: str = ""
    incremental: bool = False
    incremental_command: str = ""
    single_run: bool = False
    true_copy: bool = False


@dataclass(frozen=True, slots=True)
class LogFile:
    """A `log NAME` block of the 1.x dialect."""

    name: str
    file: str
    level: str = "INFO"


@dataclass(frozen=True)  # without slots, for what is worked out once
class Cluster:
    """The effective conf of one program. Values that the program does not need may be empty."""

    program: Program
    dialect: Literal[1, 2]
    path: Path
    """The conf file that was named; its includes are in `files`."""
    files: tuple[Path, ...]
    hosts: Mapping[str, Host]
    """Those with a server, which checks, orders and tools are about."""
    roles: Mapping[str, Role]
    checks: Mapping[str, Check]
    """Always all four, in the order of `CHECK_NAMES`."""
    monitor: Monitor | None
    """None only where the program does not need one (agent, tools) and none is written."""
    active_master_role: str = ""
    this: str = ""
    debug: bool = False
    max_kill_retries: int = 10
    blocking_type: Literal["hard", "soft"] = "soft"
    iptables_block_cmd: str = "iptables -A INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT"
    iptables_unblock_cmd: str = "iptables -D INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT"
    allow_from: tuple[str, ...] = ()
    """Addresses and networks that may connect besides the cluster's own (rule 10.21)."""
    health_from: tuple[str, ...] = ()
    """Addresses and networks that may ask for a host's health besides those who may connect to its agent."""
    health_plain: bool = False
    """The health port has no TLS, whatever the agent's has."""
    monitors: tuple[str, ...] = ()
    """The addresses of all monitors (rule 14.2); empty: there is one, that of `monitor`."""
    voters: tuple[str, ...] = ()
    """The hosts whose agents decide which monitor leads, the default filled in; empty without `monitors`."""
    lead_lease: float = 0.0
    """Seconds for which they agree to a monitor, the default filled in; 0 without `monitors`."""
    auth_key: str = ""
    """By which requests to agents and commands to the monitor are signed; empty: they are not."""
    keep_users: tuple[str, ...] = ()
    """Users whose sessions are never ended (rule 10.12)."""
    sync_timeout: float = 10.0
    """Longest wait for a replica to catch up (rule 10.2)."""
    salvage: bool = True
    """A new writer gets what only the old one's binary log has (rule 10.10)."""
    salvage_timeout: float = 5.0
    """Seconds that this may take."""
    kill_frozen_server: bool = False
    """A server that does not answer is killed when the active master role leaves its host."""
    vip_lease: float = 10.0
    """Length of a lease (rule 11.1); 0: there is no lease, VIPs are bound for good."""
    providers: tuple[str, ...] = ()
    """Ways to bring a host back, the best first; empty: all that there are, in their own order."""
    rewind_limit: int = 64
    """MB of the binary log that are undone at most."""
    transfer: Literal["auto", "tls", "ssh", "plain"] = "auto"
    transfer_rate: int = 0
    """MB/s that a donor sends at most; 0: no limit."""
    compress: Literal["zstd", "no"] = "zstd"
    allow_rebuild: bool = False
    """An order to rebuild this host is obeyed though neither TLS nor a signature shows where it comes from."""
    keep_old_data: int = 7
    """Days for which is kept what a rebuild has replaced; 0: for good."""
    catch_up_limit: float = 3600.0
    """Seconds that a host may take to get what was written since its copy was made."""
    backup_keep: int = 0
    """How many backups of a host are kept; 0: all."""
    backup_keep_days: int = 0
    """How many days they are kept; 0: for good."""
    saved_dir: str = "/var/lib/mysql-mmm/saved"
    """Where transactions are kept that only a host had which was rebuilt."""
    default_copy_method: str = ""
    clone_dirs: tuple[str, ...] = ()
    socket: Socket = Socket()
    copy_methods: Mapping[str, CopyMethod] = field(default_factory=dict)
    witnesses: Mapping[str, Host] = field(default_factory=dict)
    """Those of `mode witness`, without server and roles: their agents only vote on which monitor leads."""
    web: Web = Web()
    notify: Mapping[str, Notify] = field(default_factory=dict)
    logs: tuple[LogFile, ...] = ()
    roles_by_order: bool = False
    """The files name no roles, as those of an agent of MMM 1.x: they come to be known by the monitor's orders.

    In `roles` are the active master role, with the masters as its hosts, and what was learned."""
    warnings: tuple[Problem, ...] = ()
    """Sentences to log once at start: what was accepted but is worth a look."""

    @property
    def max_lag_on_failover(self) -> float:
        """Return how many seconds a master may be behind to be promoted by itself (rule 10.10)."""
        own = self.monitor.max_lag_on_failover if self.monitor else None
        return self.checks["rep_backlog"].max_backlog if own is None else own

    @cached_property
    def worked_out(self) -> dict[str, str]:
        """Return what others have worked out from this conf, by its name: of another conf nothing yet."""
        return {}

    @cached_property
    def agents(self) -> Mapping[str, Host]:
        """Return all that have an agent: the hosts in conf order, then the witnesses."""
        return {**self.hosts, **self.witnesses}

    @property
    def here(self) -> Host:
        """Return the host that this conf is on; raises KeyError where it names none."""
        return self.agents[self.this]

    @property
    def is_witness(self) -> bool:
        """Tell whether this conf is on a witness."""
        return self.this in self.witnesses

    @cached_property
    def masters(self) -> tuple[Host, ...]:
        """Return the hosts that may be active master, in conf order."""
        role = self.roles.get(self.active_master_role)
        return () if role is None else tuple(host for name, host in self.hosts.items() if name in role.hosts)

    @cached_property
    def master_vip(self) -> Vip | None:
        """Return the virtual IP of the active master role, None where there is no such role."""
        role = self.roles.get(self.active_master_role)
        return role.vips[0] if role is not None and role.vips else None

    @cached_property
    def master_vips(self) -> tuple[Vip, ...]:
        """Return every virtual IP of the active master role in conf order."""
        return tuple(vip for vip in self.vips if vip.role == self.active_master_role)

    @cached_property
    def vips(self) -> tuple[Vip, ...]:
        """Return every virtual IP of the cluster in conf order."""
        return tuple(vip for role in self.roles.values() for vip in role.vips)

    @cached_property
    def bound_vips(self) -> tuple[Vip, ...]:
        """Return those of them that are bound on an interface and announced there, in conf order."""
        return tuple(vip for vip in self.vips if self.via(vip.role) == "arp")

    @cached_property
    def asked_vips(self) -> frozenset[Vip]:
        """Return those that are bound nowhere: load balancers ask who holds them, clients come to the host itself."""
        return frozenset(vip for vip in self.vips if self.via(vip.role) == "health")

    @cached_property
    def scripts(self) -> dict[Vip, str]:
        """Return those that a program moves, each with its program."""
        return {vip: self.roles[vip.role].vip_script for vip in self.vips if self.via(vip.role) == "script"}

    def via(self, role: str) -> Via:
        """Return how clients come to who holds a role."""
        return self.roles[role].vip_via
