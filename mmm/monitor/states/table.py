"""The state rules: one table, of which the first rule that fits wins (rule 6.4).

Each row: the states it starts from, when it fits, where it leads (None: it stays), its name, the sentence
that the log and `mmm_control` print, and what follows from the change.
"""

from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import ClassVar

from mmm.monitor.assess import full_disk
from mmm.monitor.states.conditions import (
    ACTIVE_MASTER,
    ALIVE,
    ALL_GOOD,
    ALWAYS,
    BACKLOG_FAILED,
    BEING_COMPARED,
    CALM,
    COMPARED,
    DEAD,
    DISK_FULL,
    FLAPPING,
    FOLLOWS,
    HAS_EVERYTHING,
    HAS_SOURCE,
    JOB_OPEN,
    MAY_SETTLE,
    NO_ROOM,
    NOBODY_ELSE,
    OTHERS_AWAITED,
    PEER_ALIVE,
    PEER_IS_NEW,
    REACHED,
    REBUILT,
    REFUSES,
    REPLICATION_EXCUSED,
    SHORT,
    THREADS_FAILED,
    THREADS_GOOD,
    UNSHARED,
    WAITED,
    WRITABLE,
    Condition,
)
from mmm.monitor.states.figures import figures
from mmm.monitor.states.host_view import View
from mmm.monitor.world.host import Flaps, HostWorld, State
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import Mode, World


class Consequence(Flag):
    """What a change of state brings with it, passive mode apart (rule 10.23)."""

    NOTHING = 0
    TAKE_ROLES = auto()
    """Its roles go to others; not in manual and wait mode."""
    KILL_UNLESS_TOLD = auto()
    """Where its roles are taken, the host is killed if its agent cannot be told."""
    KILL_IN_ANY_MODE = auto()
    """It is killed if it cannot be told in manual and wait mode too."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: it fits when all facts of `when` hold. What `sentence` names is in `figures.FIGURES`."""

    name: str
    sources: tuple[State, ...]
    when: tuple[Condition, ...]
    to: State | None
    sentence: str
    follows: Consequence = Consequence.NOTHING


@dataclass(frozen=True, slots=True)
class Change:
    """A host that went from one state to another, and why (rule 10.38)."""

    host: str
    before: State
    after: State
    why: Said

    @property
    def rule(self) -> str:
        """Return the name of the rule, or of the order."""
        return self.why.code

    def __str__(self) -> str:
        return f"{self.host}: {self.before} -> {self.after} ({self.rule}): {self.why}"


ONLINE, ADMIN, HARD = State.ONLINE, State.ADMIN_OFFLINE, State.HARD_OFFLINE
AWAITING, FAIL, DELAY = State.AWAITING_RECOVERY, State.REPLICATION_FAIL, State.REPLICATION_DELAY
_LOST = Consequence.TAKE_ROLES | Consequence.KILL_UNLESS_TOLD


# fmt: off
RULES: tuple[Rule, ...] = (
    Rule("admin_offline", (ADMIN,), (ALWAYS,), None, "set offline by the admin"),
    Rule("being_rebuilt", (AWAITING, FAIL, DELAY, HARD), (JOB_OPEN,), None, "it {rebuilt}"),
    Rule("others_asked", (ONLINE,), (DEAD, OTHERS_AWAITED), None,
         "{failing}: the other hosts are being asked whether they reach it"),
    Rule("cut_off_from_monitor", (ONLINE,), (DEAD, REACHED), None,
         "only the monitor cannot reach it: its server answers {reached_by}. Nothing moves"),
    Rule("host_failed", (ONLINE,), (DEAD,), HARD, "{failing}", _LOST),
    Rule(full_disk.RULE, (ONLINE,), (DISK_FULL,), HARD,
         "its server has waited {waited_for_disk:.0f} s for space on its disk, disk_full_failover is"
         " {disk_full_failover:g} s", _LOST),
    Rule("not_read_only", (ONLINE,), (WRITABLE,), AWAITING,
         "its server takes writes without the writer role and stays writable", _LOST),
    Rule("active_master", (ONLINE,), (ACTIVE_MASTER,), None, "it is the active master"),
    Rule("refuses_to_follow", (ONLINE, DELAY), (ALIVE, REFUSES), FAIL, "{refuses_to_follow}", _LOST),
    Rule("peer_is_new", (ONLINE,), (PEER_IS_NEW, MAY_SETTLE), None,
         "its peer came ONLINE less than {peer_grace:g} s ago: replication may still be settling"),
    Rule("replication_failed", (ONLINE,), (THREADS_FAILED, PEER_ALIVE), FAIL, "{failing}", _LOST),
    Rule("replication_delayed", (ONLINE,), (BACKLOG_FAILED, THREADS_GOOD, PEER_ALIVE), DELAY, "{failing}", _LOST),
    Rule("failed_again", (AWAITING,), (DEAD,), HARD, "{failing}"),
    Rule("still_writable", (AWAITING,), (WRITABLE,), None,
         "its server takes writes without the writer role: it must be read_only first"),
    Rule("has_more_than_active_master", (AWAITING,), (UNSHARED,), None, "{extra}"),
    Rule("being_compared", (AWAITING,), (BEING_COMPARED,), None, "{comparing}"),
    Rule("calm_again", (AWAITING,), (ALL_GOOD, FLAPPING, CALM), ONLINE,
         "it was flapping, and no check has changed for {flap_duration:g} s"),
    Rule("flapping", (AWAITING,), (FLAPPING,), None,
         "it failed too often: it waits for set_online, or with auto_set_online for"
         " {flap_duration:g} s without a change"),
    Rule("short_outage", (AWAITING,), (ALL_GOOD, SHORT), ONLINE,
         "all checks are good, it was gone for only {outage:.0f} s and has not rebooted"),
    Rule("rebuilt", (AWAITING,), (ALL_GOOD, REBUILT), ONLINE, "all checks are good, and it was rebuilt by itself"),
    Rule("auto_set_online", (AWAITING,), (ALL_GOOD, WAITED), ONLINE,
         "all checks have been good for {waited:.0f} s, auto_set_online is {auto_set_online:g}"),
    Rule("has_everything", (AWAITING,), (ALIVE, NOBODY_ELSE, HAS_EVERYTHING), ONLINE,
         "no host is active master or can become it, and it is proved to have all transactions that the others have"),
    Rule("still_full", (HARD,), (ALIVE, NO_ROOM), None, "its server has no space on its disk: free some"),
    Rule("back_without_replication", (HARD,), (ALIVE, HAS_SOURCE, THREADS_FAILED), FAIL,
         "it answers again, but {failing}"),
    Rule("back_with_delay", (HARD,), (ALIVE, HAS_SOURCE, BACKLOG_FAILED), DELAY, "it answers again, but {failing}"),
    Rule("back", (HARD,), (ALIVE,), AWAITING, "it answers again"),
    Rule("back_with_extra_transactions", (FAIL, DELAY), (ALIVE, UNSHARED), AWAITING, "{extra}"),
    Rule("threads_run_again", (FAIL,), (ALIVE, FOLLOWS, THREADS_GOOD, BACKLOG_FAILED), DELAY, "{failing}"),
    Rule("threads_failed", (DELAY,), (ALIVE, THREADS_FAILED), FAIL, "{failing}"),
    Rule("flapping_replication", (FAIL, DELAY), (FLAPPING, ALIVE, FOLLOWS, REPLICATION_EXCUSED), AWAITING,
         "replication is good again or has no source to be judged by, but it failed too often"),
    Rule("replication_good", (FAIL, DELAY), (ALL_GOOD, FOLLOWS, COMPARED), ONLINE, "replication is good again"),
    Rule("peer_gone", (FAIL, DELAY), (ALIVE, FOLLOWS, REPLICATION_EXCUSED, COMPARED), ONLINE,
         "it answers, and its peer is not ONLINE: there is nothing to judge its replication by"),
    Rule("failed_without_replication", (FAIL, DELAY), (DEAD,), HARD,
         "{failing}", _LOST | Consequence.KILL_IN_ANY_MODE),
)
# fmt: on


class Judged(Said):
    """What a rule says of a host."""

    __slots__ = ()

    texts: ClassVar[Texts] = {rule.name: rule.sentence for rule in RULES}


def said(rule: Rule, view: View) -> Judged:
    """Return what the rule, which fits the host, says of it."""
    return Judged(rule.name, figures(rule.sentence, view))


class Missing(Said):
    """What keeps a condition from holding for a host."""

    __slots__ = ()

    texts: ClassVar[Texts] = {fact.name: fact.missing for rule in RULES for fact in rule.when}


def missing(fact: Condition, view: View) -> Missing:
    """Return what keeps the condition, which does not hold for the host, from holding."""
    return Missing(fact.name, figures(fact.missing, view))


_RULES_OF = {state: tuple(rule for rule in RULES if state in rule.sources) for state in State}


def rule_for(view: View) -> Rule | None:
    """Return the first rule that fits the host, None when nothing is to be said of it."""
    for rule in _RULES_OF[
        view.host.state
    ]:  # asked for every host at every event: faster than any() and all()
        for fact in rule.when:
            if not fact.holds(view):
                break
        else:
            return rule
    return None


def judge(world: World, now: float) -> tuple[World, tuple[Change, ...]]:
    """Return the world after every host went where its rule leads, and the changes.

    Without network nothing changes (rule 10.29).
    """
    changes: list[Change] = []
    if not world.network_up:
        return world, ()
    for name in world.hosts:
        view = View(world, name, now)
        rule = rule_for(view)
        if rule is not None and rule.to is not None:
            why = said(rule, view)
            changes.append(Change(name, view.host.state, rule.to, why))
            world = _follow(enter(world, name, rule.to, why, now), name, rule.follows)
    return world, tuple(changes)


def enter(world: World, name: str, state: State, why: Said, now: float) -> World:
    """Return the world with the host in `state` since now."""
    host = world.hosts[name]
    lost = state in (HARD, AWAITING) or (state is not ONLINE and host.is_lost)
    changed = replace(
        host,
        state=state,
        since=now,
        why=why,
        lost=lost,
        comparison=replace(host.comparison, looks=0),
    )
    if state is ONLINE:
        flaps = None if host.flapping else host.flaps
        changed = replace(changed, online_since=now, used=True, flaps=flaps)
    elif host.state is ONLINE and state is not ADMIN:
        changed = replace(changed, flaps=_flapped(host, world, now))
    return world.with_host(name, changed)


def _flapped(host: HostWorld, world: World, now: float) -> Flaps | None:
    """Return what it counts that the host goes out of use now (rule 10.26)."""
    monitor, flaps = world.conf.monitor, host.flaps
    if monitor is None or not monitor.flap_count:
        return flaps
    if flaps is None or now - flaps.since > monitor.flap_duration:
        return Flaps(now, 1, too_many=host.flapping)
    count = flaps.count + 1
    return Flaps(flaps.since, count, too_many=flaps.too_many or count > monitor.flap_count)


def _follow(world: World, name: str, follows: Consequence) -> World:
    if world.mode is Mode.PASSIVE:
        return world
    manual = world.mode is not Mode.ACTIVE
    if Consequence.TAKE_ROLES in follows and not manual:
        world = world.without_roles(name)
    kill = Consequence.KILL_IN_ANY_MODE in follows or (Consequence.KILL_UNLESS_TOLD in follows and not manual)
    return world.kill_unless_told(name) if kill else world
