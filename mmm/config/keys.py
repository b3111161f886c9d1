"""Every section and key of the conf files in one table (rules 2, 3).

From it come the reader's checks, the defaults, `--print-conf`, "did you mean" and docs/configuration.md.
A new key is one row here and one field of the same name in `mmm.config.model`.
Defaults stand as they would be written in a file; an empty default is "not set".
"""

from mmm.config.key import EVERY, Key, Old, Section
from mmm.config.names import CHECK_NAMES


def _top(name: str, programs: str = EVERY) -> tuple[Old, ...]:
    return (Old("top", name, programs),)


TOP = Section("top", named=False, text="Outside of all sections.", keys=(
    Key("this", "host",
        "The host that this conf file is on. In mmm_tools.conf it may name a machine that is no host, where backups are"
        " kept, or be left out there.", "AR"),
    Key("debug", "bool", "Stay in the foreground and log DEBUG to the terminal too.", default="0"),
    Key("active_master_role", "role", "The role whose holder is the active master.", "AMR", old_default=""),
    Key("max_kill_retries", "int",
        "Seconds that sessions which are writing get to finish before a master gives up the role.",
        default="10"),
    Key("blocking_type", "choice",
        "`soft` keeps new connections out while writing sessions have `max_kill_retries` to finish; `hard` does not.",
        default="soft", choices=("hard", "soft")),
    Key("iptables_block_cmd", "text",
        "Keeps new connections out, for `blocking_type soft`. The default has its `mysql_port`, and goes by `--syn`.",
        default="iptables -A INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT"),
    Key("iptables_unblock_cmd", "text", "Lets them in again; its default likewise.",
        default="iptables -D INPUT -p tcp --dport 3306 -m state --state NEW -j REJECT"),
    Key("allow_from", "networks",
        "Who may connect to the agents and to the control port, besides the hosts and the monitor that the conf"
        " names: addresses and networks. See docs/security.md."),
    Key("health_from", "networks",
        "Who may ask for the health of a host at its `health_port`, besides those who may connect to the agent:"
        " addresses and networks of load balancers. Whoever is named here may give no orders. See docs/health.md."),
    Key("health_plain", "bool",
        "The health port answers without TLS though `<socket> type ssl`, for load balancers that have no certificate.",
        default="0"),
    Key("monitors", "vips",
        "The addresses of all monitors, where there is more than one; the same line on all hosts. One of them leads,"
        " the others stand by. Each finds its address on its machine. Agents and control ports let them in, as"
        " `allow_from` does. See docs/monitors.md."),
    Key("voters", "hosts",
        "The hosts whose agents decide which of the `monitors` leads, the same on all hosts. Default: all, up to seven:"
        " the masters first, the slaves, then those with `mode witness`."),
    Key("lead_lease", "seconds",
        "A monitor that is dead or cut off has lost the lead this long, and some tenths of a second, after it was last"
        " agreed to; another takes it then. At most `vip_lease`. Default: `vip_lease`.", least=1),
    Key("auth_key", "text",
        "The cluster's secret, the same on all hosts and for mmm_control. It signs orders, promises, their answers and"
        " commands; anything unsigned is refused. See docs/security.md.",
        secret=True),
    Key("keep_users", "list", "MySQL users, besides those of MMM itself, whose sessions are never ended."),
    Key("sync_timeout", "seconds", "Longest wait for a replica to catch up.", default="10"),
    Key("salvage", "bool",
        "A new writer first gets the transactions that it lacks out of the binary log of the old writer's dead server:"
        " docs/salvage.md.",
        default="1"),
    Key("salvage_timeout", "seconds", "Longest time that this may take; then the new writer goes on without them.",
        default="5"),
    Key("kill_frozen_server", "bool",
        "Kill a server that does not answer (SIGKILL) when the writer role leaves its host. What it was doing is then"
        " not finished when it thaws, so the host comes back without an admin. See docs/salvage.md.",
        default="0"),
    Key("vip_lease", "seconds",
        "VIPs are bound for this long, and every message of the monitor renews them: a host that is cut off loses them"
        " when the time is over. The failover of a host that cannot be told waits for that and a second more (with 1 s:"
        " 0.75 s). Whole seconds, the same on all hosts; 0: VIPs are bound for good, as in MMM 2.x.",
        default="10"),
    Key("providers", "list",
        "Ways to give a host the cluster's data again: `rewind` undoes what only it has, before any other;"
        " `clone-plugin`, `mariadb-backup`, `dump` copy all data. The first that fits is used. Default: in this order,"
        " `dump` for up to 5 GB."),
    Key("rewind_limit", "int",
        "How much of the binary log `rewind` undoes at most, in MB; the program that does it needs as much memory.",
        default="64"),
    Key("transfer", "choice",
        "How such a copy comes from the donor. `tls`: from its agent, with `<socket> type ssl`; `ssh`: from"
        " `mmm_stream` there, as `ssh_user`; `auto`: by TLS where agents have that, else by ssh; `plain`: from its"
        " agent without TLS, readable by anybody on the network, so the confs of both hosts must say so.",
        default="auto", choices=("auto", "tls", "ssh", "plain")),
    Key("transfer_rate", "int", "Rate at which a donor sends it at most, in MB/s; 0: as fast as it can.", default="0"),
    Key("compress", "choice", "Compression on the way.", default="zstd", choices=("zstd", "no")),
    Key("allow_rebuild", "bool",
        "This host obeys `mmm_control rejoin` though nothing shows that the order comes from the cluster. With TLS or"
        " `auth_key` it obeys anyway. Such an order costs a rebuild; the old data are kept for `keep_old_data` days.",
        default="0"),
    Key("keep_old_data", "int",
        "How many days to keep the data folder that a rebuild, a restore or a clone replaced, and the binary log that a"
        " rewind replaced. After that this host's agent removes them, or the next copy does. 0: never.", default="7"),
    Key("catch_up_limit", "seconds",
        "How long a rebuilt host may take to get what was written meanwhile; then its job stays half done.",
        default="3600", least=1),
    Key("backup_keep", "int", "How many backups of a host `mmm_backup` keeps, where it is not told; 0: all.",
        default="0"),
    Key("backup_keep_days", "int", "How many days it keeps them, likewise; the newest one stays. 0: for good.",
        default="0"),
    Key("saved_dir", "path", "Where transactions are kept that only a rebuilt host had.",
        default="/var/lib/mysql-mmm/saved"),
    Key("default_copy_method", "copy method",
        "The copy method by which `mmm_backup` copies, where `providers` is not set and the conf has what a snapshot"
        " needs: docs/backups.md."),
    Key("clone_dirs", "list", "Directories below the mount point of a snapshot to copy."),
))  # fmt: skip

MONITOR = Section("monitor", named=False, text="The monitor host.", required="MC", keys=(
    Key("ip", "ip", "Address of the control port.", "MC", old=_top("monitor_ip"), old_default="127.0.0.1"),
    Key("port", "port", "Control port.", default="9988", old=_top("bind_port", "MC")),
    Key("pid_path", "path", "Pid file of mmm_mond.", "M", old=_top("pid_path", "MC"),
        old_default="/var/run/mmm_mond{_cluster}.pid"),
    Key("bin_path", "path", "`kill_host_bin` is looked up in its `monitor` folder.", "M",
        old=_top("bin_path", "MC"),
        old_default=""),
    Key("status_path", "path", "File in which states and roles are kept.", "M", old=_top("status_path", "MC"),
        old_default="/var/lib/misc/mmm_mond{_cluster}.status"),
    Key("ping_interval", "seconds", "How often the network check pings.", default="1", least=0.01,
        old=_top("ping_interval")),
    Key("ping_ips", "ips",
        "When no host answers, one of these must, or the monitor takes its own network to be down. Use two or more"
        " routers, no address of the monitor or of a host.", "M",
        old=_top("ping_ips"), old_default=""),
    Key("flap_duration", "seconds", "Time over which `flap_count` is counted.", default="3600",
        old=_top("flap_duration")),
    Key("flap_count", "int", "A host that leaves ONLINE more often than this is flapping; 0: never.",
        default="3",
        old=_top("flap_count")),
    Key("auto_set_online", "seconds",
        "A recovered host becomes ONLINE by itself after this time; 0: the admin does it.",
        default="0", old=_top("auto_set_online")),
    Key("auto_rejoin", "ways",
        "What the monitor does by itself with a host whose data cannot join any more: `rewind` undoes what only that"
        " host has, `clone` gives it a full copy; `rewind, clone`: the first of them that is possible. What only it had"
        " is saved first. The host obeys as with `mmm_control rejoin`. See docs/rejoin.md.",
        "", "no", choices=("no", "rewind", "clone")),
    Key("kill_host_bin", "text", "Program that kills a host that has lost its roles and cannot be told.",
        default="kill_host",
        old=_top("kill_host_bin")),
    Key("careful_startup", "bool", "Start passive when two hosts hold the active master role.", default="1",
        old=_top("careful_startup")),
    Key("mode", "choice", "Mode at start-up.", default="active",
        choices=("active", "manual", "wait", "passive"),
        old=(Old("top", "failover_method",
                 values=(("auto", "active"), ("manual", "manual"), ("wait", "wait"))),)),
    Key("wait_for_other_master", "seconds",
        "Wait mode ends when one master has been ONLINE this long; 0: never.",
        default="120", old=_top("wait_for_other_master")),
    Key("ping_alone_kills", "bool",
        "A host that does not answer ping counts as dead though its server answers, as in MMM 2.x.",
        default="0", old=_top("ping_alone_kills")),
    Key("server_exit", "choice",
        "What to do when an agent reports that its server's process has ended. `trap`: run the mysql check at once; it"
        " has failed after its `trap_period`, as a supervisor may restart the server. `failover`: it has failed as soon"
        " as nothing answers at the server's port, even if an admin or an upgrade is restarting the server."
        " See docs/moving.md.",
        default="trap", choices=("trap", "failover")),
    Key("failover_block", "seconds",
        "After an automatic move of the active master role the next one waits this long, unless the old host has"
        " confirmed that it let go; 0: never.",
        default="60", old=_top("failover_block")),
    Key("peer_grace", "seconds",
        "For this long after its peer came ONLINE a host stays ONLINE though its replication fails: it may settle yet.",
        default="60", old=_top("peer_grace")),
    Key("dead_when_silent", "bool",
        "A host whose lease has no end counts as off when, for as long as a lease lasts, neither the monitor nor any"
        " other host gets an ARP answer for its address and its VIP. docs/safety.md says what that risks.",
        default="0", old=_top("dead_when_silent")),
    Key("agent_failover", "seconds",
        "When nobody reaches the agent of the active master, though its server works, the role moves this long after"
        " the lease has run out, from when on nobody can write; 0: it stays.",
        default="10", old=_top("agent_failover")),
    Key("disk_full_failover", "seconds",
        "When the active master's server has waited this long for space on its disk, the role moves if another host can"
        " take it. Such a server passes all checks, but nobody can write; 0: it stays.",
        default="0", old=_top("disk_full_failover")),
    Key("max_lag_on_failover", "limit",
        "A master that was further behind than this when the writer was lost, or whose replication was broken, is not"
        " promoted automatically; `unlimited`: it is, as in MMM 2.x. Default: `max_backlog` of rep_backlog.",
        old=_top("max_lag_on_failover")),
    Key("split_brain_guard", "bool",
        "The active master role goes to another host only when the last holder has let it go, was killed, or has lost"
        " its lease; off: also when that host cannot be told, as in MMM 2.x.",
        default="1", old=_top("split_brain_guard")),
))  # fmt: skip

HOST = Section("host", named=True, text="A server with its agent.", required=EVERY, template=True, keys=(
    Key("ip", "ip", "Address of server and agent.", "AMTR"),
    Key("mode", "choice",
        "`master`: it can be the active master; `slave`: it cannot; `witness`: it has no server and no roles, its agent"
        " only votes on which of the `monitors` leads. Of the other keys it has `ip`, `pid_path` and `agent_port`."
        " See docs/monitors.md.",
        "AM", choices=("master", "slave", "witness"),
        old=(Old("top", "mode", this_host=True),)),
    Key("peer", "host", "The other master.", needed_if=("mode", "master"),
        old=(Old("top", "peer", this_host=True),)),
    Key("pid_path", "path", "Pid file of mmm_agentd.", "A", old=_top("pid_path", "A"),
        old_default="/var/run/mmm_agentd{_cluster}.pid"),
    Key("bin_path", "path", "Accepted for compatibility, no effect.", "A",
        old=(*_top("bin_path", "AT"), Old("host", "mmm_dir", "T")), old_default=""),
    Key("agent_port", "port", "Port of mmm_agentd.", default="9989",
        old=(*_top("agent_port"), Old("host", "agent_port"), Old("top", "bind_port", "A", this_host=True))),
    Key("health_port", "port",
        "Port at which mmm_agentd answers load balancers over HTTP whether this host holds a role: docs/health.md."
        " Without it there is no such port."),
    Key("cluster_interface", "word", "Network interface that gets the virtual IPs.", "A",
        old=_top("cluster_interface")),
    Key("mysql_port", "port", "Port of the MySQL server.", default="3306", old=(Old("host", "port"),)),
    Key("mysql_host", "ip", "Address at which the tools reach the server, where that is another than `ip`."),
    Key("mysql_ssl_mode", "choice",
        "TLS to the MySQL server, in the words of MySQL's `--ssl-mode`: `required` encrypts, `verify_ca` also checks"
        " who signed the server's certificate, `verify_identity` also that it names the host's `ip`. Replication"
        " between the servers is configured separately: docs/servers.md.",
        default="disabled", choices=("disabled", "required", "verify_ca", "verify_identity")),
    Key("mysql_ssl_ca", "file", "CA certificates that must have signed the server's (PEM); for the `verify_` modes."),
    Key("mysql_ssl_cert", "file", "Client certificate (PEM), for accounts that require one."),
    Key("mysql_ssl_key", "file", "Its key (PEM)."),
    Key("mysql_pidfile", "path", "Pid file of the MySQL server, for the tools.",
        default="/var/run/mysqld/mysqld.pid", old=(Old("host", "pid_file", "T"),)),
    Key("mysql_rcscript", "text", "Script that starts and stops the MySQL server, for the tools.",
        default="/etc/init.d/mysql", old=(Old("host", "rc_script", "T"),)),
    Key("mysqlbinlog", "text",
        "Program that reads the server's binary log. Default: `mariadb-binlog` or `mysqlbinlog`, to match the server,"
        " in the PATH of mmm_agentd."),
    Key("mysql_cnf", "path", "Option file of the MySQL server, for the tools.", default="/etc/my.cnf",
        old=(Old("host", "my_cnf", "T"),)),
    Key("agent_user", "user", "MySQL user of the agent.", "A", old=(Old("host", "user", "AT"),)),
    Key("agent_password", "text", "Its password.", "A", secret=True, old=(Old("host", "password", "AT"),)),
    Key("monitor_user", "user", "MySQL user of the monitor.", "M", old=(Old("host", "user", "MC"),)),
    Key("monitor_password", "text", "Its password.", "M", secret=True, old=(Old("host", "password", "MC"),)),
    Key("replication_user", "user", "MySQL user of replication.", "ATR", old=_top("replication_user"),
        old_default=""),
    Key("replication_password", "text", "Its password.", "ATR", secret=True, old=_top("replication_password"),
        old_default=""),
    Key("ssh_user", "user", "User the tools log in as."),
    Key("ssh_port", "port", "Port of the SSH server.", default="22"),
    Key("ssh_parameters", "text", "Further arguments for ssh."),
    Key("tools_user", "user", "MySQL user of the tools.", "TR", old=(Old("host", "mysql_user", "T"),)),
    Key("tools_password", "text", "Its password.", "TR", secret=True, old=(Old("host", "mysql_password", "T"),)),
    Key("tools_socket", "path", "Socket of the MySQL server, by which mariadb-backup logs in. Without it: by TCP."),
    Key("backup_dir", "path", "Where backups of this host are kept.", old=_top("dest_dir", "T")),
    Key("restore_dir", "path", "Where backups are restored to with mode `data-only`."),
    Key("lvm_bin_lvcreate", "text", "The lvcreate program.", default="lvcreate", old=_top("bin_lvcreate", "T")),
    Key("lvm_bin_lvremove", "text", "The lvremove program.", default="lvremove", old=_top("bin_lvremove", "T")),
    Key("lvm_snapshot_size", "text", "Size of a snapshot."),
    Key("lvm_logical_volume", "text", "Volume with the data directory.", old=(Old("host", "lvm_data_volume", "T"),)),
    Key("lvm_volume_group", "text", "Its volume group."),
    Key("lvm_mount_dir", "path", "Where snapshots are mounted."),
    Key("lvm_mount_opts", "text", "Options of mount."),
    Key("snapshot_command", "text",
        "Command that makes a snapshot at `lvm_mount_dir` (`%SNAPSHOT%`) in place of LVM: for btrfs, or ZFS."),
    Key("snapshot_remove_command", "text", "Command that removes it."),
))  # fmt: skip

ROLE = Section("role", named=True, text="One or more virtual IPs that hosts may hold.", required="AMR", keys=(
    Key("mode", "choice", "`exclusive`: one IP on one host; `balanced`: IPs spread over the hosts.", "M",
        choices=("exclusive", "balanced")),
    Key("hosts", "hosts", "The hosts that may hold it.", "M", old=(Old("role", "servers"),)),
    Key("ips", "vips", "The virtual IPs, IPv4 or IPv6.", "AMR", old=(Old("role", "ip"),)),
    Key("prefer", "host", "The host that gets it whenever possible (exclusive roles)."),
    Key("vip_via", "choice",
        "How clients come to who holds it. `arp`: the IPs are bound on that host and announced. `health`: nothing is"
        " bound; a load balancer asks the hosts' `health_port` who holds the role, and `ips` are only names for it,"
        " such as the load balancer's address. `script`: `vip_script` moves the IPs, by a cloud's API say. The same on"
        " all hosts. See docs/networks.md.",
        default="arp", choices=("arp", "health", "script")),
    Key("vip_script", "text",
        "Program, with arguments, that moves the role's IPs for `vip_via script`; it is called with `add`, `remove` or"
        " `status`, role, IP and interface.", needed_if=("vip_via", "script")),
    Key("parent_role", "ignored", "", old=(Old("role", "parent_role"),)),
))  # fmt: skip

CHECK = Section(
    "check", named=True, text="How a check is run. Every check exists, also when it is not in the file.",
    template=True, names=CHECK_NAMES, keys=(
        Key("check_period", "seconds", "How often each host is checked.", default="5", least=0.01),
        Key("trap_period", "seconds", "A check has failed when it has not been good for this long.",
            default="10"),
        Key("timeout", "seconds", "How long a server may take to answer.", default="2", least=0.01),
        Key("max_backlog", "seconds", "Lag beyond which rep_backlog is ERROR.", default="60"),
        Key("connect_grace", "seconds",
            "How long a replica may try to connect to a working source (rep_threads).", default="60"),
        Key("restart_after", "int", "Accepted for compatibility, no effect.", default="10000"),
        Key("bin_path", "ignored", "", old=(Old("check", "bin_path"),)),
    ),
)  # fmt: skip

SOCKET = Section("socket", named=False, text="Connections to monitor and agents.", keys=(
    Key("type", "choice", "`ssl`: TLS, with certificates on both ends.", default="plain",
        choices=("plain", "ssl")),
    Key("cert_file", "file", "Own certificate (PEM).", needed_if=("type", "ssl")),
    Key("key_file", "file", "Its key (PEM).", needed_if=("type", "ssl")),
    Key("ca_file", "file", "CA certificates that must have signed the other end's (PEM).",
        needed_if=("type", "ssl")),
))  # fmt: skip

NOTIFY = Section("notify", named=True, text="Who is told what happens: docs/monitoring.md. One of `command`,"
    " `mail_to` and `webhook`.", keys=(
    Key("command", "text", "Program that is run, with arguments."),
    Key("mail_to", "list", "Addresses that get a mail."),
    Key("webhook", "text", "URL that JSON is posted to; often it has a secret in it.", secret=True),
    Key("events", "list", "Events, states and rules that are told, with wildcards.", default="*"),
    Key("after", "seconds",
        "Report only what has lasted this long; a host that is back in use sooner is not reported.", default="0"),
    Key("timeout", "seconds", "Longest time for one try.", default="10", least=0.1),
    Key("mail_from", "text", "Sender of the mails. Default: `mmm@` and the name of the monitor host."),
    Key("smtp_host", "word", "Mail server.", default="localhost"),
    Key("smtp_port", "port", "Its port.", default="25"),
    Key("smtp_tls", "choice", "`starttls`: TLS from the first command on; `tls`: from the connection on.",
        default="no", choices=("no", "starttls", "tls")),
    Key("smtp_user", "user", "User to log in as; without one there is no login."),
    Key("smtp_password", "text", "Its password.", secret=True),
))  # fmt: skip

WEB = Section("web", named=False, text="Where mmm_web answers: docs/web.md.", keys=(
    Key("ip", "ip", "Its address. One that others reach needs TLS and a password.", default="127.0.0.1"),
    Key("port", "port", "Its port.", default="9990"),
    Key("pid_path", "path", "Pid file of mmm_web.", default="/var/run/mmm_web.pid"),
    Key("cert_file", "file", "Certificate (PEM), with those of its issuers."),
    Key("key_file", "file", "Its key (PEM)."),
    Key("user", "user", "User to log in as.", default="mmm"),
    Key("password", "text", "Its password.", secret=True),
))  # fmt: skip

COPY_METHOD = Section(
    "copy_method", named=True, text="How the tools copy files.", template=True, keys=(
        Key("backup_command", "text", "Command that fetches a backup.", "T", old=(Old("copy_method", "command", "T"),)),
        Key("restore_command", "text", "Command that puts it back.", "T"),
        Key("incremental", "bool", "Whether it can copy only what has changed.", default="0"),
        Key("incremental_command", "text", "Command that lists the versions.", needed_if=("incremental", "1"),
            old_default=""),
        Key("single_run", "bool", "One command for all `clone_dirs`.", default="0"),
        Key("true_copy", "bool", "The copy is one a server can run on.", default="0"),
    ),
)  # fmt: skip

LOG = Section("log", named=True, text="A log file.", old_only=True, keys=(
    Key("file", "path", "Its path.", EVERY, old=(Old("log", "file"),)),
    Key("level", "choice", "The lowest level that is written to it.", default="INFO",
        choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"),
        old=(Old("log", "level", values=(
            ("debug", "DEBUG"), ("info", "INFO"), ("notice", "INFO"), ("warn", "WARN"), ("warning", "WARN"),
            ("trap", "WARN"), ("error", "ERROR"), ("fatal", "FATAL"))),)),
    Key("email", "ignored", "", old=(Old("log", "email"),)),
))  # fmt: skip

SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        TOP,
        MONITOR,
        HOST,
        ROLE,
        CHECK,
        SOCKET,
        NOTIFY,
        WEB,
        COPY_METHOD,
        LOG,
        Section("email", named=True, text="The sender of mails.", old_only=True, keys=()),
        Section("service", named=True, text="Accepted, no effect.", old_only=True, keys=()),
    )
}
KEYS: dict[str, dict[str, Key]] = {name: {key.name: key for key in s.keys} for name, s in SECTIONS.items()}
OLD_IGNORED = ("admin_email",)
"""Global keys of the 1.x dialect that are accepted and have no effect."""

OLD_BLOCKS = ("host", "role", "check", "log", "email", "copy_method", "service")
OLD: dict[tuple[str, str], list[tuple[Old, Section, Key]]] = {}
"""All that may be written in the 1.x dialect, by (where, name), and where it goes."""

for _section in SECTIONS.values():
    for _key in _section.keys:
        for _old in _key.old:
            OLD.setdefault((_old.where, _old.name), []).append((_old, _section, _key))
for _section in SECTIONS.values():
    if _section.name == "top" or _section.name in OLD_BLOCKS:
        for _key in _section.keys:
            OLD.setdefault((_section.name, _key.name), [(Old(_section.name, _key.name), _section, _key)])
for _key in HOST.keys:
    if all(_old.programs == "T" for _old in _key.old) and _key.name != "ip":
        OLD.setdefault(("top", _key.name), [(Old("top", _key.name), HOST, _key)])


def only_global(where: str) -> frozenset[str]:
    """Return the keys of the sections `where` that the 1.x dialect has outside of blocks, and not in those blocks."""
    section = SECTIONS.get(where)
    return frozenset(
        key.name
        for key in (section.keys if section else ())
        if any((old.where, old.name, old.this_host) == ("top", key.name, False) for old in key.old)
        and all((old.where, old.name) != (where, key.name) for old in key.old)
    )


def old_names(where: str) -> list[str]:
    """Return the keys of the 1.x dialect that may stand in blocks of type `where`, or globally ("top")."""
    ignored = list(OLD_IGNORED) if where == "top" else []
    return [name for place, name in OLD if place == where] + ignored
