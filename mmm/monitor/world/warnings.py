"""What an admin is warned of, as values with a code; the words are made here and nowhere else. Pure.

What there is to warn of is found by `mmm.monitor.report.concerns`; `show`, `health`, the log and JSON are made of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mmm.monitor.world.said import Said, plain

Value = str | int | float | bool | None | Said


class Level(StrEnum):
    """How bad it is."""

    WARNING = "WARNING"
    """Clients are served; something is broken, or would fail at the next failover."""
    CRITICAL = "CRITICAL"
    """Clients are not served, or nobody watches."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something to be warned of. `hosts` are those that it is about; `fields` is what its sentence names."""

    code: str
    hosts: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)
    level: Level = Level.WARNING

    def __str__(self) -> str:
        return text(self)


SENTENCES: Mapping[str, str] = {
    "network_down": "the monitor reaches {reached}: no check counts, nothing is sent",
    "waits_for_network": "the monitor has not started yet: it waits for one of its ping_ips to answer ({ips})",
    "failover_blocked": "no host holds {role}{ips}: {why}",
    "not_promoted": "no host holds {role}{ips}: {why}",
    "role_waits": "{said}",
    "writer_without_agent": "{said}",
    "no_holder": "no host holds {role}{ips}: {why}",
    "transactions_lost": "{said}",
    "not_watched": "{names} {are} not watched: {checks} unknown: {reason.detail}",
    "missing_grant": "the monitor may not see the replication of {names}: run {grant}",
    "out_of_use": "{names} is {state}: {why}; see explain {names}",
    "left_out": "{role} is kept away from {names} by the admin: include_role {role} {names} ends that",
    "ping_ignored": "host {names} does not answer ping, but its server does: ping is ignored",
    "extra_transactions": (
        "host {names} has {extra} that {master} lacked when it went on without it: see explain {names}"
    ),
    "being_rebuilt": "{names} {said}",
    "not_rebuilt": "{names} would be rebuilt by itself, but {said}",
    "rows_skipped": (
        "host {names} may lack rows: its agent, one of MMM 2.x, went on at the end of {master}'s binary log when"
        " {master} took writes already; compare its data or rebuild it, then set it offline and online"
    ),
    "silent_lag": "host {said}",
    "agent_unreachable": "agent on host {names} is not reachable",
    "second_monitor": (
        "another monitor, at {address}, gives orders to the agent of {names}, which refuses them: stop that monitor"
    ),
    "conf_differs": (
        "the conf of {names} differs from the monitor's in {keys}: {names} cannot be the writer; make them the same"
    ),
    "confs_apart": (
        "the conf of {names} is not the monitor's: mmm_control doctor says in what; make mmm_common.conf the same, then"
        " have the daemons reload it"
    ),
    "would_bind": (
        "the agent of {names} is one of MMM 2.x, which would bind the IPs of {role} (vip_via {via}): {names} does not"
        " get that role; replace the agent"
    ),
    "no_leader": ("no monitor leads, so nothing fails over: this one stands by; {said}"),
    "stands_by": (
        "this monitor stands by, and its states are of when it led or started: ask the one at {leader}, which leads"
    ),
    "takes_lead": "this monitor is about to take the lead, and its states are of before: ask again",
    "no_successor": (
        "another monitor could not take the lead: {answering} of {voters} voters answer, {needed} must; see that the"
        " agents of {names} run"
    ),
    "witness_silent": "the witness {names} does not answer, so it does not vote: see that mmm_agentd runs there",
    "monitor_silent": "the monitor at {address} does not answer: it could not take the lead",
    "gives_way": "agents obey another monitor, the one at {address}: this one gives no orders",
    "agent_error": "agent on host {names} answered: {answer}",
    "diagnosis": "{diagnosis}: {said}",
    "agents_apart": (
        "the agent of {names}, which holds the writer role, does not reach that of {others}: when the monitor is silent"
        " the role is given up; open TCP {ports} between the hosts, both ways"
    ),
    "doctor": "the doctor finds {number} that the next failover would meet: run mmm_control doctor",
    "certificate_ends": (
        "the certificate {path} of {whose} is good until {date}: put another one in its place, see docs/install.md"
    ),
    "certificate_ended": (
        "the certificate {path} of {whose} was good until {date}, no new connection is made with it: put another one in"
        " its place, see docs/install.md"
    ),
    "not_replicating": "{names} does not replicate from {sources} ({now}): set up replication in both directions",
    "increment_differs": "auto_increment_increment differs: {first} on {one}, {second} on {two}",
    "increment_too_small": "auto_increment_increment is {increment} on {names}: two masters need at least 2",
    "offset_too_big": "auto_increment_offset is {offset} on {names}, more than the increment {increment}",
    "no_binlog": "{names} writes no binary log (log_bin): once it is the writer nobody can replicate from it",
    "log_slave_updates_off": (
        "{names} does not log what it replicates (log_slave_updates): as the writer it gives slaves its own writes only"
    ),
    "delayed": "replication of {names} is set to stay {seconds} s behind (MASTER_DELAY): a failover sets that to 0",
    "same_server_id": "{names} have the same server_id {server_id}: they end each other's replication",
    "exit_not_told": (
        "the end of the server's process on {names} is not told at once, though server_exit is failover: {why}"
    ),
    "slaves_not_followed": (
        "the agent of {names} is one of MMM 2.x: where {names} may have more of a lost writer than the next one, that"
        " one gets nothing of any slave"
    ),
    "disk_full": "the server of {names} has waited {seconds} s for disk space: free some{move}",
    "events_enabled": "MySQL events are ENABLED on {names}, which is not the writer: see docs/moving.md",
    "admin_offline": "{names} set offline by the admin",
    "passive": "the monitor is passive and does nothing: {cause}",
    "not_active": "mode is {mode}: roles are not taken from failed hosts",
    "disk_low": "{names}: {said}",
    "grants": "{names}: {said}",
    "grants_wanted": "{names}: {said}",
    "not_listening": "{names}: {said}",
    "claimed": "{names}: {said}",
    "replication_login": "{names} could not replicate: {said}",
    "offsets_equal": "auto_increment_offset is {offset} on both {one} and {two}: they must differ",
}
"""What is said of each kind, formatted with its fields, and with the hosts as `names`."""


def text(warned: Warned) -> str:
    """Return the sentence, one line."""
    names = ", ".join(warned.hosts)
    said = SENTENCES[warned.code].format(names=names, **warned.fields)
    return " ".join(said.split())


def encoded(warned: Warned) -> dict[str, Any]:
    """Return the warning as JSON has it."""
    return {
        "code": warned.code,
        "level": str(warned.level),
        "hosts": list(warned.hosts),
        "fields": plain(warned.fields),
        "text": text(warned),
    }
