"""What of another conf a running daemon takes, and what it refuses: one table of all keys. Pure.

changes  what is not the same in two confs
refused  what of it no reload takes: then nothing of that conf is taken
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from mmm.config.keys import KEYS, SECTIONS
from mmm.config.model import Cluster
from mmm.config.names import Program
from mmm.config.shown import HIDDEN, shown
from mmm.config.tree import Fault


class Taken(StrEnum):
    """When a daemon goes by the new value of a key; docs/configuration.md has the words."""

    AT_ONCE = "at once"
    NEXT = "next connection"
    START = "next start"
    """It says how to start, and so nothing to a daemon that runs."""
    RESTART = "refused"
    LEASE = "refused: lease"
    """Leases rest on it: for a while the monitor and the agents would go by different ones."""
    OTHERS = "tools"
    """No daemon goes by it, but tools, mmm_control or mmm_web do, which read the conf when they are started."""


TAKEN: Mapping[str, Mapping[Taken, str]] = {
    "top": {
        Taken.AT_ONCE: "max_kill_retries blocking_type iptables_block_cmd iptables_unblock_cmd allow_from keep_users"
        " health_from sync_timeout salvage salvage_timeout kill_frozen_server transfer transfer_rate compress"
        " allow_rebuild keep_old_data",
        Taken.RESTART: "this debug auth_key health_plain",
        Taken.LEASE: "active_master_role vip_lease monitors voters lead_lease",
        Taken.OTHERS: "providers rewind_limit catch_up_limit backup_keep backup_keep_days saved_dir default_copy_method"
        " clone_dirs",
    },
    "monitor": {
        Taken.AT_ONCE: "bin_path ping_interval ping_ips flap_duration flap_count auto_set_online auto_rejoin"
        " kill_host_bin wait_for_other_master ping_alone_kills server_exit failover_block peer_grace dead_when_silent"
        " agent_failover disk_full_failover max_lag_on_failover",
        Taken.START: "careful_startup mode",
        Taken.RESTART: "ip port pid_path status_path",
        Taken.LEASE: "split_brain_guard",
    },
    "host": {
        Taken.AT_ONCE: "mysql_pidfile mysqlbinlog",
        Taken.NEXT: "mysql_ssl_mode mysql_ssl_ca mysql_ssl_cert mysql_ssl_key agent_user agent_password monitor_user"
        " monitor_password replication_user replication_password",
        Taken.RESTART: "ip mode peer agent_port health_port mysql_port pid_path cluster_interface",
        Taken.OTHERS: "bin_path mysql_host mysql_rcscript mysql_cnf ssh_user ssh_port ssh_parameters tools_user"
        " tools_password tools_socket backup_dir restore_dir lvm_bin_lvcreate lvm_bin_lvremove lvm_snapshot_size"
        " lvm_logical_volume lvm_volume_group lvm_mount_dir lvm_mount_opts snapshot_command snapshot_remove_command",
    },
    "role": {Taken.AT_ONCE: "mode hosts ips prefer vip_via vip_script", Taken.OTHERS: "parent_role"},
    "check": {
        Taken.AT_ONCE: "check_period trap_period timeout max_backlog connect_grace",
        Taken.OTHERS: "restart_after bin_path",
    },
    "socket": {Taken.RESTART: "type cert_file key_file ca_file"},
    "notify": {
        Taken.AT_ONCE: "command mail_to webhook events after timeout mail_from smtp_host smtp_port smtp_tls smtp_user"
        " smtp_password",
    },
    "web": {Taken.OTHERS: "ip port pid_path cert_file key_file user password"},
    "copy_method": {
        Taken.OTHERS: "backup_command restore_command incremental incremental_command single_run true_copy",
    },
    "log": {Taken.RESTART: "file level", Taken.OTHERS: "email"},
}  # fmt: skip
"""All keys, by section: when they are taken. The active master role's `hosts`, `ips` and `vip_via` are LEASE."""

_WHOLE = {"copy_method": Taken.OTHERS, "log": Taken.RESTART}
"""The same of a whole section that comes or goes; AT_ONCE where it is not named."""
_AGENTS_OWN = ("pid_path", "cluster_interface", "health_port")
_OF_KEY = {
    (section, key): taken
    for section, sorts in TAKEN.items()
    for taken, keys in sorts.items()
    for key in keys.split()
}


def taken(section: str, key: str) -> Taken:
    """Return when a key is taken, of any host and role; raises KeyError for one that is not in the table."""
    return _OF_KEY[section, key]


class Change(NamedTuple):
    """A key that has another value; a whole section that comes or goes has no key."""

    section: str
    name: str
    key: str
    before: str
    after: str
    taken: Taken

    def __str__(self) -> str:
        tag = f"<{self.section} {self.name}".rstrip() + ">"
        if not self.key:
            return f"{tag} {'added' if self.after else 'removed'}"
        place = self.key if self.section == "top" else f"{tag} {self.key}"
        if KEYS[self.section][self.key].secret:
            return f"{place} changed"
        return f"{place}: {self.before or 'not set'} -> {self.after or 'not set'}"


def changes(old: Cluster, new: Cluster) -> tuple[Change, ...]:
    """Return what is not the same in two confs of one program, section by section in the order of the table."""
    return tuple(change for kind in SECTIONS for change in _of_sections(kind, old, new))


def refused(changes: Iterable[Change]) -> tuple[Fault, ...]:
    """Return what no reload takes, each with what to do."""
    code = {Taken.RESTART: "not_by_reload", Taken.LEASE: "lease_not_by_reload"}
    return tuple(Fault(code[change.taken], {"change": change}) for change in changes if change.taken in code)


def _of_sections(kind: str, old: Cluster, new: Cluster) -> Iterator[Change]:
    before, after = _sections(kind, old), _sections(kind, new)
    whole = _WHOLE.get(kind, Taken.AT_ONCE)
    for name in [*before, *(name for name in after if name not in before)]:
        if name in before and name in after:
            yield from _of_keys(kind, name, before[name], after[name], old)
        else:
            had, has = (kind if name in sections else "" for sections in (before, after))
            yield Change(kind, name, "", had, has, whole)


def _of_keys(kind: str, name: str, before: object, after: object, conf: Cluster) -> Iterator[Change]:
    for key in KEYS[kind].values():
        was, now = (getattr(section, key.name, None) for section in (before, after))
        if was != now:
            was_text, now_text = (HIDDEN if key.secret else shown(value) for value in (was, now))
            yield Change(kind, name, key.name, was_text, now_text, _taken(kind, name, key.name, conf))


def _taken(kind: str, name: str, key: str, conf: Cluster) -> Taken:
    """Return when a key is taken by the program whose conf it is: what is another's business is no reason to refuse."""
    program: Program = conf.program
    if kind == "role" and name == conf.active_master_role and key in {"hosts", "ips", "vip_via"}:
        return Taken.LEASE
    agents = kind == "host" and key in _AGENTS_OWN
    if agents and (program != "AGENT" or name != conf.this):
        return Taken.OTHERS
    monitors = kind == "monitor" and key not in {"ip", "split_brain_guard"}
    return Taken.OTHERS if monitors and program != "MONITOR" else _OF_KEY[kind, key]


def _sections(kind: str, conf: Cluster) -> Mapping[str, object]:
    """Return the sections of a kind by name; the ones without a name have an empty one."""
    match kind:
        case "top":
            return {"": conf}
        case "monitor":
            return {"": conf.monitor} if conf.monitor else {}
        case "host":
            return conf.agents
        case "role":
            return conf.roles
        case "check":
            return conf.checks
        case "socket":
            return {"": conf.socket}
        case "notify":
            return conf.notify
        case "log":
            return {log.name: log for log in conf.logs}
        case _:
            return {}  # no daemon goes by them
