"""Everything that the doctor can find, by its code: how bad it is, what is said, what to do. Pure.

`docs/doctor.md` is made from this table. Words in braces are the fields of a finding.
"""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad a finding is."""

    OK = "OK"
    """Nothing to do; worth knowing at most."""
    WARNING = "WARNING"
    ERROR = "ERROR"


class Code(NamedTuple):
    """A row of the table."""

    level: Level
    says: str
    todo: str = ""
    failover: bool = False
    """The next failover or move would meet it."""


_OK, _W, _E = Level.OK, Level.WARNING, Level.ERROR

CODES: dict[str, Code] = {
    "fine": Code(_OK, "{what}"),
    # --- who can be asked
    "monitor_not_running": Code(
        _W, "mmm_mond does not answer: {why}", "start it: /etc/init.d/mysql-mmm-monitor start"
    ),
    "agent_not_running": Code(
        _W,
        "the agent does not answer ({why}): nothing was looked at from there",
        "start it, or open TCP {port} from the monitor",
    ),
    "agent_silent": Code(
        _E,
        "the agent does not answer ({why}), though the monitor runs",
        "start it, open TCP {port} from the monitor, or add the monitor to its allow_from",
        failover=True,
    ),
    "classic_agent": Code(
        _W, "its agent is a Perl one: nothing was looked at from there", "replace it when you can"
    ),
    "classic_agent_binds": Code(
        _E,
        "its agent is a Perl one, which would bind the IPs of {role} (vip_via {via}): it does not get that role",
        "replace the agent, or have it by vip_via arp",
        failover=True,
    ),
    "no_ping": Code(_W, "does not answer ping from the monitor", "let ping in from the monitor"),
    "clock_apart": Code(
        _W, "its clock is {seconds} s {way} the monitor's", "set both by NTP: logs are read by their times"
    ),
    "conf_differs": Code(
        _E,
        "its conf has {part} {here}, the monitor's {there}",
        "make mmm_common.conf the same on all hosts, then restart the agent",
        failover=True,
    ),
    "sections_differ": Code(
        _E,
        "its conf has other <{section} …> sections than the monitor's",
        "make mmm_common.conf the same on all hosts, then have both daemons reload it",
        failover=True,
    ),
    # --- accounts
    "login_refused": Code(
        _E,
        "the {account} account cannot log in at {to}: {why}",
        "see the accounts of README step 3; user and password in the conf",
        failover=True,
    ),
    "server_silent": Code(
        _E,
        "the {account} account does not reach the server of {to}: {why}",
        "start it, see its bind-address, or open its port",
        failover=True,
    ),
    "grant_missing": Code(
        _E, "the {account} account lacks {privilege} at {to}", "run there: {statement}", failover=True
    ),
    "tools_login_refused": Code(
        _W,
        "the tools account cannot log in at {to}: {why}: mmm_rejoin would be refused",
        "make the account of docs/rejoin.md there; tools_user and tools_password in the conf",
    ),
    "tools_grant_missing": Code(
        _W, "the tools account lacks {privilege} at {to}: mmm_rejoin would fail", "run there: {statement}"
    ),
    "no_tools_programs": Code(
        _W,
        "has no {programs}: it cannot give a copy of its data to mmm_rejoin, nor take one",
        "apt-get install {programs}",
    ),
    "health_port_silent": Code(
        _W,
        "its health port {port} does not answer ({why}), though its agent does",
        "restart the agent; its log says why: is the port another program's?",
    ),
    # --- servers
    "old_version": Code(
        _W, "{version} is older than what is supported", "MariaDB 10.5 or later, MySQL 5.7 or later"
    ),
    "families_differ": Code(
        _E, "runs {here}, {other} runs {there}", "run one kind of server on all hosts", failover=True
    ),
    "source_is_newer": Code(
        _W,
        "runs {here}, older than {there} of {other}, from which it may have to replicate",
        "bring it up to date",
    ),
    "server_ids_equal": Code(
        _E,
        "has server_id {id}, as {other} has",
        "give each server another server_id in my.cnf",
        failover=True,
    ),
    "writable": Code(
        _W,
        "read_only is off, and it does not hold the writer role",
        "SET GLOBAL read_only=1, and read_only=1 in my.cnf",
    ),
    "no_binary_log": Code(
        _E,
        "writes no binary log: nobody could replicate from it",
        "log_bin in my.cnf, restart",
        failover=True,
    ),
    "no_replicated_log": Code(
        _E,
        "log_slave_updates is off: its replicas would lack what it replicated",
        "log_slave_updates=1 in my.cnf, restart",
        failover=True,
    ),
    "not_row": Code(
        _W,
        "binlog_format is {format}: a slave that is switched loses temporary tables, and of a lost writer's log only"
        " rows can be got without more grants",
        "binlog_format=ROW in my.cnf",
    ),
    "names_resolved": Code(
        _W,
        "skip_name_resolve is off: while a name server hangs so does each login, and the host looks dead",
        "skip_name_resolve=1 in my.cnf, restart; accounts are then known by addresses, not by host names",
    ),
    "errors_skipped": Code(
        _W,
        "{name} is {value}: replication goes on where rows differ, and nobody is told",
        "take it out of my.cnf, restart, and compare the data of this host with the active master's",
    ),
    "filtered": Code(
        _W,
        "replication filters ({filters}): what they leave out is missing where another host takes over",
        "take them out of my.cnf and rebuild the hosts that lack something, unless nobody needs it there",
    ),
    "statements_left": Code(
        _OK,
        "the agent account lacks {privilege}: a CREATE or ALTER that only a lost writer's log has is not got, nor what"
        " stands behind it",
        "if it is to be: {statement}",
    ),
    "statements_left_too": Code(
        _W,
        "the agent account lacks {privilege}, and {others} logs statements: what only its log has when it is lost is"
        " not got",
        "binlog_format=ROW in my.cnf of {others}, or run here: {statement}",
    ),
    "gtid_off": Code(_W, "gtid_mode is {value}", "gtid_mode=ON in my.cnf, see README step 2"),
    "gtid_not_enforced": Code(
        _W,
        "enforce_gtid_consistency is {value}: it takes statements that cannot be replicated by GTID",
        "enforce_gtid_consistency=ON in my.cnf, see README step 2: gtid_mode=ON needs it",
    ),
    "gtid_not_strict": Code(
        _OK,
        "gtid_strict_mode is off: transactions that are only here do not stop replication",
        "gtid_strict_mode=ON in my.cnf, see README step 2",
    ),
    "increment_too_small": Code(
        _W,
        "auto_increment_increment is {value}: two masters need at least 2",
        "auto_increment_increment=2 in my.cnf",
    ),
    "increments_differ": Code(
        _W, "auto_increment_increment is {here}, {there} on {other}", "make them equal in my.cnf"
    ),
    "offsets_equal": Code(
        _W, "auto_increment_offset is {value}, as on {other}", "auto_increment_offset=1 and 2 in my.cnf"
    ),
    "not_listening": Code(
        _E,
        "the server does not listen on {ips}, only on {where}: clients there are refused",
        "bind-address=* in my.cnf, restart",
        failover=True,
    ),
    # --- replication
    "replication_unseen": Code(
        _W, "its replication cannot be looked at: {why}", "see the accounts of README step 3"
    ),
    "not_replicating": Code(
        _E, "does not replicate from {wanted}, but {now}", "set it up, see README step 4", failover=True
    ),
    "replication_stopped": Code(
        _E,
        "replication from {source} does not run: {why}",
        "fix what it complains about, else see the server's error log; then {start}",
        failover=True,
    ),
    "replication_detached": Code(
        _W,
        "replication from {source}, which was lost, is suspended until that is back in use",
        "bring {source} back",
    ),
    "other_replication_user": Code(
        _W,
        "replicates as {now}, the conf says {wanted}: it will be {wanted} after the next switch",
        "make the account and replication_user agree",
    ),
    "replication_without_gtid": Code(
        _W, "replicates by file and position", "use GTID, see README step 4: switches are safer and faster"
    ),
    "delayed": Code(_W, "is to stay {seconds} s behind", "to end that: {undelay}", failover=True),
    # --- the machine
    "not_this_host": Code(
        _E,
        "its address {ip} is not on the machine that it runs on ({here})",
        "correct `this`, or the ip of the host",
        failover=True,
    ),
    "no_interface": Code(
        _E,
        "cluster_interface {name} does not exist",
        "correct it in the conf: VIPs cannot be bound",
        failover=True,
    ),
    "other_interface": Code(
        _W,
        "{vip} belongs to the network of {interface}, not of cluster_interface {name}: clients may not reach it",
        "correct cluster_interface in the conf, unless this is intended",
    ),
    "wrong_interface": Code(
        _E,
        "{vip} is on {interface}, not on cluster_interface {wanted}",
        "ip address del {vip} dev {interface}",
        failover=True,
    ),
    "misplaced_vip": Code(
        _E, "{vip} is bound here, but this host may not hold the role", "ip address del {vip} dev {interface}"
    ),
    "vip_twice": Code(
        _E, "{vip} is bound on {hosts}", "mmm_control show says who holds it: remove it elsewhere"
    ),
    "vip_claimed": Code(
        _E, "{vip} is bound here, and {mac} has it too", "find that machine and remove the address there"
    ),
    "no_block_command": Code(
        _OK,
        "{name} is not installed: the agent does as with blocking_type hard",
        "install it if writers should get a grace period",
    ),
    "unwritable": Code(
        _E,
        "{folder} cannot be written",
        "create it, or fix its permissions or its file system",
        failover=True,
    ),
    "certificate_ends": Code(
        _W,
        "{key} {path} is good until {date}, for {days} days",
        "put another one in its place: the daemons take it by themselves; see TLS in docs/install.md",
    ),
    "certificate_ended": Code(
        _E,
        "{key} {path} was good until {date}: no new connection is made with it",
        "put another one in its place: the daemons take it by themselves; see TLS in docs/install.md",
        failover=True,
    ),
    "tls_files_unusable": Code(
        _E,
        "{why}: daemons that run go by what they have read before, one that is restarted does not come up",
        "correct the files of <socket>: the daemons take them by themselves",
        failover=True,
    ),
    "disk_low": Code(_W, "the disk of {folder} has {free} MB left ({holds})", "make room"),
    "disk_full": Code(
        _E,
        "the disk of {folder} has {free} MB left ({holds})",
        "make room: a server waits for space, its clients with it, and daemons cannot write down what they promise",
        failover=True,
    ),
    "old_data": Code(
        _OK,
        "{folder} holds {size} MB of data that a rebuild has replaced, and is kept {left}",
        "add to the end of its name to keep it; `mmm_rejoin --expire --keep-days 0` on that host removes it now",
    ),
    "old_data_fill_disk": Code(
        _W,
        "a disk of this host is nearly full, and {folder} holds {size} MB of data that a rebuild has replaced,"
        " kept {left}",
        "once you no longer want to look into it: `mmm_rejoin --expire --keep-days 0` on that host",
    ),
    "old_data_late": Code(
        _W,
        "{folder} holds {size} MB of data that a rebuild has replaced, and is still there after {days} days"
        " (keep_old_data)",
        "`mmm_rejoin --expire` on that host says what keeps it",
    ),
    # --- between the hosts
    "no_way_to_agent": Code(
        _E,
        "does not reach the agent of {other}: {why}",
        "open TCP {port} between the hosts, both ways, and see allow_from of {other}",
        failover=True,
    ),
    "no_ping_between": Code(_W, "{other} does not answer its ping", "let ping in between the hosts"),
    # --- the monitor's machine
    "no_kill_host": Code(
        _OK,
        "{why}; a host that is cut off loses its VIPs by its lease",
        "put a kill_host there to switch it off too",
    ),
    "cannot_kill": Code(
        _W, "{why}, and without {what} nothing else ends a host that cannot be told", "put a kill_host there"
    ),
    "ping_ip_silent": Code(_W, "{ip} of ping_ips does not answer", "use an address that answers ping"),
    "ping_ips_silent": Code(
        _E,
        "none of the ping_ips answers: should no host answer either, the monitor takes its own network to be down",
        "use addresses that answer ping",
    ),
}
