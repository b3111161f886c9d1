"""Compares what a step came to with what was recorded."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmm.monitor.command.texts import DONE, Verdict
from mmm.monitor.world.events import Answer
from mmm.monitor.world.world import World
from tests.vectors.recordings import Json
from tests.vectors.replay import Heard, Replay

CODES = {
    "already": {"already_online", "unblocked", "already_offline", "same_mode", "already_there"},
    "done": set(DONE),
    "unknown_host": {"unknown_host"},
    "unknown_role": {"unknown_role"},
    "unknown_ip": {"unknown_ip"},
    "wrong_state": {"not_switchable", "not_in_use", "not_online", "cannot_assign", "cannot_force"},
    "checks_not_ok": {"checks_failed"},
    "peer_replication": {"peer_failed"},
    "agent_unreachable": {"no_agent"},
    "only_in_passive": {"not_passive"},
    "not_in_passive": {"passive"},
    "cannot_handle": {"not_of_the_role"},
    "preferred": {"preferred"},
    "only_active_master_role": {"only_the_writer"},
}
"""Our codes for the neutral reasons of recorded answers."""
WORDS = {
    "done": "OK",
    "pong": "Pinged",
    "help": "Valid commands",
    "invalid_command": "Invalid command",
    "unknown_host": "Unknown host",
    "unknown_check": "Unknown check",
}
"""Words of ours for those of answers to questions, which are the classic's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as recorded: `key` is the host, address or command concerned."""

    what: str
    key: str
    recorded: Any
    ours: Any


def fits(recorded: Any, ours: Any) -> bool:
    """Tell whether a value is the recorded one, or one of the recorded ones."""
    if isinstance(recorded, dict) and "any" in recorded:
        return ours in recorded["any"]
    return bool(recorded == ours)


class Expected:
    """What is recorded, filled up with what a step leaves out because it did not change."""

    def __init__(self, start: Json) -> None:
        self.owner: Json = dict(start.get("owner", {}))
        self.mode: str = start.get("mode", "")
        self._learnt: set[str] = set()
        """Hosts that ours has spoken to since the classic has: it tells everybody at once."""

    def begin(self, world: World) -> None:
        """Go on from the world after a start."""
        self.owner = {vip.ip: owner or "" for vip, owner in world.owner.items()}
        self.mode = str(world.mode)

    def of_start(self, recorded: Json, world: World, conflict: bool) -> Iterator[Difference]:  # noqa: FBT001
        """Return how the world after a start differs from the recorded one."""
        for name, state in recorded["state"].items():
            if not fits(state, str(world.hosts[name].state)):
                yield Difference("state", name, state, str(world.hosts[name].state))
        for vip, owner in world.owner.items():
            if not fits(recorded["owner"][vip.ip], owner or ""):
                yield Difference("owner", vip.ip, recorded["owner"][vip.ip], owner or "")
        if (str(world.mode), conflict) != (recorded["mode"], bool(recorded["conflict"])):
            yield Difference(
                "mode", "", (recorded["mode"], recorded["conflict"]), (str(world.mode), conflict)
            )

    def differences(self, recorded: Json, replay: Replay, heard: Heard) -> Iterator[Difference]:
        """Return everything that is not as recorded."""
        world = replay.world
        self.owner.update(recorded.get("owner", {}))
        self.mode = recorded.get("mode", self.mode)
        for name, state in recorded["state"].items():
            if not fits(state, str(world.hosts[name].state)):
                yield Difference("state", name, state, str(world.hosts[name].state))
        if not fits(self.mode, str(world.mode)):
            yield Difference("mode", "", self.mode, str(world.mode))
        yield from self._owners(recorded, world)
        talked_to = {act[1] for batch in recorded.get("acts") or () for act in batch} | set(
            recorded.get("send", ())
        )
        self._learnt = (self._learnt | {order.host for order, _ in heard.told}) - talked_to
        yield from _flags(recorded, world, self._learnt)
        yield from _acts(recorded, heard)
        yield from _sent(recorded, replay)
        yield from _replies(recorded, heard)
        self._take_over(world)

    def _owners(self, recorded: Json, world: World) -> Iterator[Difference]:
        counts = recorded.get("counts", {})
        for vip, owner in world.owner.items():
            if vip.role not in counts and not fits(self.owner[vip.ip], owner or ""):
                yield Difference("owner", vip.ip, self.owner[vip.ip], owner or "")
        for role, expected in counts.items():
            ours = Counter(owner or "" for vip, owner in world.owner.items() if vip.role == role)
            if not fits(expected, dict(ours)):
                yield Difference("counts", role, expected, dict(ours))

    def _take_over(self, world: World) -> None:
        """Go on from ours where several outcomes are possible."""
        ours = {vip.ip: owner or "" for vip, owner in world.owner.items()}
        self.owner = {ip: ours[ip] if isinstance(owner, dict) else owner for ip, owner in self.owner.items()}


def _flags(recorded: Json, world: World, learnt: set[str]) -> Iterator[Difference]:
    ours = {
        "down": {name for name, host in world.hosts.items() if host.agent.unreachable},
        "flap": {name for name, host in world.hosts.items() if host.flapping},
    }
    for what, names in ours.items():
        maybe = set(recorded.get(f"{what}_maybe", ())) | (learnt if what == "down" else set())
        for name in sorted((set(recorded.get(what, ())) ^ names) - maybe):
            yield Difference(what, name, name in recorded.get(what, ()), name in names)


def _acts(recorded: Json, heard: Heard) -> Iterator[Difference]:
    if "acts" in recorded and recorded["acts"] is None:
        return
    acts = [act for batch in recorded.get("acts", ()) for act in batch]
    kills = {(act[1], act[3]) for act in acts if act[2] == "KILL"}
    for host, pings in sorted(kills ^ heard.kills):
        yield Difference("kill", host, (host, pings) in kills, (host, pings) in heard.kills)
    pings = [(act[1], act[3]) for act in acts if act[2] == "PING"]
    if pings != heard.pings:
        yield Difference("ping", "", pings, heard.pings)


def _sent(recorded: Json, replay: Replay) -> Iterator[Difference]:
    """The recorded broadcast tells each host its state, its VIPs of `owner`, and the active master."""
    for name, answered in recorded.get("send", {}).items():
        host = replay.world.hosts[name]
        if not answered or replay.answer_of(name)[0] is not Answer.OK:
            continue
        told, vips = host.agent.told, tuple(sorted(replay.world.vips_of(name)))
        if told is None or (told.state, told.vips) != (str(host.state), vips):
            yield Difference("send", name, (str(host.state), vips), told)
    for name in set(replay.world.hosts) - set(recorded.get("send", replay.world.hosts)):
        if replay.world.hosts[name].agent.in_flight is not None:
            yield Difference("send", name, None, replay.world.hosts[name].agent.in_flight)


def _replies(recorded: Json, heard: Heard) -> Iterator[Difference]:
    replies = zip(recorded.get("replies", ()), heard.replies, heard.verdicts, strict=False)
    for reply, ours, verdict in replies:
        if not _same_reply(reply, ours, verdict):
            yield Difference("reply", reply.get("why", ""), reply, ours)


def _classic(reply: str) -> str:
    """Return an answer without the warnings that the classic does not have."""
    lines = reply.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("# Warning: ") or "reachable" in line)


def _same_reply(reply: Json, ours: str, verdict: Verdict | None) -> bool:
    ours = _classic(ours)
    if reply["class"] in ("OK", "ERROR") and not ours.startswith(reply["class"]):
        return False
    if reply.get("text_varies") or reply["class"] == "none":
        return bool(reply["class"] != "none")
    if "text" in reply:
        return bool(ours == reply["text"])
    if "text_head" in reply:
        blocks = sorted(reply["any_order"])
        rest = ours.removeprefix(reply["text_head"]).removesuffix(reply["text_tail"])
        begins = ours.startswith(reply["text_head"])
        expected = "".join(blocks).splitlines()
        return bool(begins and sorted(rest.splitlines()) == sorted(expected))
    why = reply.get("why", "")
    return WORDS.get(why, "") in ours if verdict is None else why not in CODES or verdict.code in CODES[why]
