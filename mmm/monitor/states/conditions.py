"""The conditions of the state rules, each with its words (rule 6.4).

A condition has a name, says what it means, for the page of states, and what is missing where it does not hold, with
figures, for `mmm_control explain`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mmm.monitor.assess.divergence import LOOKS
from mmm.monitor.states.host_view import SHORT_OUTAGE, WRITABLE_GRACE, View


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: `text` says it, `missing` is said where it does not hold; `figures.FIGURES` has what that names."""

    name: str
    text: str
    holds: Callable[[View], bool]
    missing: str


DEAD = Condition("dead", "it is dead", lambda v: v.dead, "it is not dead")
OTHERS_AWAITED = Condition(
    "others_awaited",
    "its server fell silent and did not refuse, and other agents are asked whether they reach it",
    lambda v: v.others_awaited,
    "no other agent is being asked about it",
)
REACHED = Condition(
    "reached",
    "its server fell silent and did not refuse, and another host reaches it",
    lambda v: bool(v.reached_by),
    "no other host says that it reaches its server",
)
DISK_FULL = Condition(
    "disk_full",
    "it is the active master, its server has waited for space on its disk for `disk_full_failover` seconds, and another"
    " host can take the role",
    lambda v: v.disk_failed,
    "its server does not wait for space on its disk, or disk_full_failover keeps the role here",
)
NO_ROOM = Condition(
    "no_room",
    "`disk_full_failover` is set, and its server waits for space on its disk, or next to none is left",
    lambda v: v.no_room,
    "there is room on its server's disk",
)
JOB_OPEN = Condition(
    "job_open",
    "a job that gives it other data has not ended, as its agent says",
    lambda v: v.host.job is not None,
    "no job gives it other data",
)
ALIVE = Condition("alive", "it is not dead", lambda v: not v.dead, "its server must answer")
ALL_GOOD = Condition(
    "all_good",
    "it is not dead, both replication checks are good",
    lambda v: v.all_good,
    "{failing_checks} must be good",
)
THREADS_FAILED = Condition(
    "threads_failed", "rep_threads has failed", lambda v: v.threads_failed, "rep_threads is good"
)
THREADS_GOOD = Condition(
    "threads_good", "rep_threads is good", lambda v: not v.threads_failed, "rep_threads must be good"
)
BACKLOG_FAILED = Condition(
    "backlog_failed", "rep_backlog has failed", lambda v: v.backlog_failed, "rep_backlog is good"
)
ACTIVE_MASTER = Condition(
    "active_master", "it is the active master", lambda v: v.is_active_master, "it is not the active master"
)
PEER_IS_NEW = Condition(
    "peer_is_new",
    "its peer came ONLINE less than `peer_grace` seconds ago",
    lambda v: v.peer_is_new,
    "its peer is not ONLINE, or came ONLINE more than `peer_grace` seconds ago",
)
MAY_SETTLE = Condition(
    "may_settle",
    "its source neither refuses the replication account nor lacks the binary log that it asks for",
    lambda v: not v.beyond_settling,
    "{failing}",
)
PEER_ALIVE = Condition(
    "peer_alive",
    "its peer is ONLINE and not dead",
    lambda v: v.peer_alive,
    "its peer is not ONLINE or does not answer, so that broken replication of this host is ignored",
)
REPLICATION_EXCUSED = Condition(
    "replication_excused",
    "both replication checks are good, or its peer is not ONLINE",
    lambda v: v.all_good or not v.peer_online,
    "{failing_checks} must be good",
)
HAS_SOURCE = Condition(
    "has_source",
    "there is an active master, or it cannot be one itself",
    lambda v: v.has_source,
    "there is no active master to replicate from",
)
REFUSES = Condition(
    "refuses",
    "its agent refuses to follow the active master, because transactions would be lost or repeated",
    lambda v: bool(v.refuses_to_follow),
    "its agent has not refused to follow the active master",
)
FOLLOWS = Condition(
    "follows",
    "its agent does not refuse to follow the active master",
    lambda v: not v.refuses_to_follow,
    "its agent must follow the active master",
)
UNSHARED = Condition(
    "unshared",
    "it can be active master, was lost, and has transactions that the active master lacked at the time of the failover",
    lambda v: v.unshared is not None,
    "it is not known to have transactions that the active master lacks",
)
BEING_COMPARED = Condition(
    "being_compared",
    "it can be active master, was lost, and its transactions are not compared with the active master's yet;"
    f" without GTIDs and without a known position it waits for {LOOKS} runs of rep_threads at most",
    lambda v: v.being_compared,
    "its transactions were compared with the active master's, or cannot be",
)
COMPARED = Condition(
    "compared",
    "its transactions have been compared with the active master's, or need not be",
    lambda v: not v.being_compared,
    "{comparing}",
)
NOBODY_ELSE = Condition(
    "nobody_else",
    "it can be active master, and there is no active master and no other ONLINE host that may be promoted",
    lambda v: v.nobody_else,
    "there is an active master, or another host that can become it, or it cannot be one itself",
)
HAS_EVERYTHING = Condition(
    "has_everything",
    "it was in use before, the masters replicate from each other, and by GTID it is proved to have all transactions"
    " that the others have",
    lambda v: v.unproved is None,
    "{unproved}",
)
WRITABLE = Condition(
    "writable",
    f"its server has been writable without the writer role for {WRITABLE_GRACE:g} s, not counting passive mode, nor a"
    " move that waits for it to let go",
    lambda v: v.writable_unasked,
    "its server is read_only, or it has the writer role",
)
FLAPPING = Condition("flapping", "it is flapping", lambda v: v.host.flapping, "it is not flapping")
CALM = Condition(
    "calm",
    "auto_set_online is set and no check has changed for flap_duration",
    lambda v: v.calm,
    "auto_set_online is {auto_set_online:g}, a check changed {calm_for:.0f} s ago, flap_duration is"
    " {flap_duration:g} s",
)
SHORT = Condition(
    "short",
    f"its system's uptime has grown by less than {SHORT_OUTAGE:g} s since it was last seen ONLINE",
    lambda v: v.short_outage,
    "it was gone for too long, or has rebooted: its uptime is {uptime:.0f} s, and was"
    " {last_uptime:.0f} s when it was last seen ONLINE",
)
REBUILT = Condition(
    "rebuilt",
    "`auto_rejoin` is set, and a job that rebuilt it has ended well since it is in this state",
    lambda v: v.rebuilt_by_itself,
    "no job has rebuilt it",
)
WAITED = Condition(
    "waited",
    "it has been in this state for auto_set_online seconds",
    lambda v: v.waited_enough,
    "auto_set_online is {auto_set_online:g} (0: off), it has waited for {waited:.0f} s",
)
ALWAYS = Condition("always", "always", lambda _: True, "")
