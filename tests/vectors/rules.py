"""Where ours is meant to differ, by rules 10.1 to 10.38, and how each changes a recorded outcome.

A rule explains a difference or it does not, by what it says and by what happened in the recording, never by the
recording's name. What no rule explains is wrong.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from mmm.config.model import Cluster
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import reconcile
from mmm.monitor.world.world import World
from tests.vectors.compare import Difference
from tests.vectors.recordings import Json
from tests.vectors.replay import Heard, Replay

PLACES = frozenset({"owner", "counts", "send"})
"""Differences in where VIPs are."""


@dataclass
class Story:
    """What has happened in a recording up to the difference."""

    given: Json
    recorded: Json
    before: World
    replay: Replay
    heard: Heard
    dumb: frozenset[str]
    """Hosts whose agent has refused a connection or not answered, in this step or an earlier one."""
    wrong: frozenset[str]
    """Hosts whose agent has answered ERROR or garbage."""
    calm: frozenset[str]
    """Hosts that came back by themselves though they were flapping."""
    commands: tuple[str, ...] = field(default_factory=tuple)

    @property
    def after(self) -> World:
        """Return the world after the step."""
        return self.replay.world


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of section 10: `explains` tells whether it makes this difference."""

    number: str
    sentence: str
    explains: Callable[[Difference, Story], bool]


KEYS: Mapping[str, Mapping[str, bool | float]] = {
    "10.9": {"ping_alone_kills": True},
    "10.10": {"max_lag_on_failover": float("inf")},
    "10.18": {"failover_block": 0.0},
}
"""Rules that a conf key turns off: it explains a difference if turning it off takes that difference away."""


def classic(conf: Cluster, *numbers: str) -> Cluster:
    """Return the conf with these rules of KEYS turned off, as in the classic."""
    assert conf.monitor is not None
    monitor = conf.monitor
    for number in numbers:
        monitor = replace(monitor, **KEYS[number])  # type: ignore[arg-type]
    return replace(conf, monitor=monitor)


CRASH: tuple[Difference, str | None] = (Difference("crash", "", "ended", "went on"), "10.25")
"""The classic died in a step that ours has taken."""


def explain(difference: Difference, story: Story) -> str | None:
    """Return the number of the rule that makes the difference, None if there is none."""
    return next((rule.number for rule in RULES if rule.explains(difference, story)), None)


def _passive(difference: Difference, story: Story) -> bool:
    if str(story.before.mode) != "PASSIVE":
        return False
    if str(story.after.mode) != "PASSIVE":  # what was left alone is put in order when the mode ends
        host = difference.recorded if difference.what == "owner" else difference.key
        offline = host in story.after.hosts and str(story.after.hosts[host].state) != "ONLINE"
        return difference.what in ("owner", "kill") and offline
    if difference.what == "kill":
        return bool(difference.recorded) and not difference.ours
    return difference.what == "owner" and difference.recorded == "" and difference.ours != ""


def _no_success(difference: Difference, story: Story) -> bool:
    if difference.what in ("down", "kill", "state", "flap"):
        return difference.key in story.wrong
    if difference.what in ("reply", "ping"):
        return bool(story.wrong)
    return difference.what in PLACES and bool(story.wrong)


def _unconfirmed(difference: Difference, story: Story) -> bool:
    if difference.what == "reply":
        return "show" in " ".join(story.commands) and bool(story.dumb)
    return difference.what in PLACES and bool(story.dumb)


def _killed_first(difference: Difference, story: Story) -> bool:
    if difference.what != "kill" or difference.recorded or not difference.ours:
        return False
    moved = any(command.startswith("move_role") for command in story.commands)
    left = reconcile.left_behind(story.before, difference.key) - reconcile.left_behind(
        story.after, difference.key
    )
    return moved or bool(left)


def _no_crash(difference: Difference, _: Story) -> bool:
    return difference.what == "reply" and difference.recorded.get("class") == "none"


def _calm_again(difference: Difference, story: Story) -> bool:
    return difference.what == "flap" and difference.recorded and difference.key in story.calm


def _no_network(difference: Difference, story: Story) -> bool:
    return difference.what in PLACES and not story.given.get("net", 1)


def _level(difference: Difference, story: Story) -> bool:
    """Each balanced role is level in ours, among the hosts that can hold it."""
    if difference.what not in ("owner", "counts"):
        return False
    world = story.after
    vips = {vip.ip: vip.role for vip in world.owner}
    name = vips.get(difference.key, difference.key)
    role = world.conf.roles[name]
    if (
        role.mode != "balanced"
        or sum(each.mode == "balanced" or len(each.ips) == 1 for each in world.conf.roles.values()) < 3
    ):
        return False
    online = [host for host in role.hosts if str(world.hosts[host].state) == "ONLINE"]
    held = Counter(world.owner[vip] for vip in role.vips)
    return max(held[host] for host in online) - min(held[host] for host in online) <= 1


def _manual_from_wait(difference: Difference, story: Story) -> bool:
    waited = str(story.before.mode) == "WAIT" and "set_manual" in story.commands
    return waited and difference.what in ("reply", "mode")


def _elsewhere(difference: Difference, story: Story) -> bool:
    """A balanced role was moved off a host; ours has given it to another, or moved another address there."""
    vips = {vip.ip: vip.role for vip in story.after.owner}
    role = vips.get(difference.key, difference.key)
    moves = [command.split() for command in story.commands if command.startswith("move_role")]
    return difference.what in ("owner", "counts") and any(move[1:2] == [role] for move in moves)


def _not_ready(difference: Difference, story: Story) -> bool:
    """A move was refused, or had to be forced, because replication of one of the two hosts, or both, has failed."""
    moved = any(command.startswith("move_role") for command in story.commands)
    broken = any(not host.good("rep_threads", "rep_backlog") for host in story.after.hosts.values())
    said = any(verdict.code == "objections" or verdict.fields.get("against") for verdict in _verdicts(story))
    return moved and broken and said and difference.what in ("reply", "state", "kill", "ping", *PLACES)


def _stays_stopped(difference: Difference, story: Story) -> bool:
    """A host whose replication has failed was to be set ONLINE; ours wants it to run first."""
    said = any(verdict.code == "not_replicating" for verdict in _verdicts(story))
    return said and difference.what in ("reply", "state", "ping", *PLACES)


def _not_home(difference: Difference, story: Story) -> bool:
    """The preferred host of the active master role has failed replication checks; ours leaves the role where it is."""
    role = story.after.conf.roles[story.after.conf.active_master_role]
    if role.prefer is None or difference.what not in PLACES | {"reply"}:
        return False
    return not story.after.hosts[role.prefer].good("rep_threads", "rep_backlog")


def _verdicts(story: Story) -> list[Verdict]:
    return [verdict for verdict in story.heard.verdicts if verdict is not None]


RULES: tuple[Rule, ...] = (
    Rule("10.23", "in passive mode roles and kill host are left alone until it ends", _passive),
    Rule("10.24", "only OK is success: ERROR and garbage leave a role unconfirmed", _no_success),
    Rule("10.34", "set_manual in wait mode becomes manual", _manual_from_wait),
    Rule("10.25", "an answer where the classic ended or hung", _no_crash),
    Rule("10.26", "the automatic return ends flapping", _calm_again),
    Rule("10.29", "without network nothing changes", _no_network),
    Rule(
        "10.14", "a writer that cannot be told is made sure of before it is granted elsewhere", _killed_first
    ),
    Rule(
        "10.3", "a role counts as held only where that is confirmed, as gone only where that is", _unconfirmed
    ),
    Rule("10.17", "the preferred host gets its role only when its replication is good", _not_home),
    Rule("10.30", "a role moved off a host goes to another", _elsewhere),
    Rule(
        "11.7",
        "a planned move is not begun where a host is not ready for it; then it can be forced",
        _not_ready,
    ),
    Rule("11.7", "set_online is refused where replication would stay stopped", _stays_stopped),
    Rule("10.32", "each balanced role is level by itself", _level),
)
