"""Replays recorded steps on the functions that decide in the monitor, agents answering as recorded.

One recorded cycle is the parts of one turn in their order: states, end of wait mode, the admin's commands, roles.
After each part orders are carried out and answered at once, until nothing is left to say. In the daemon the parts
follow each other at once and again on every event; here, as in the classic, each comes once in a cycle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from mmm.config.model import Cluster, Vip
from mmm.config.names import CHECK_NAMES
from mmm.lease.lead import HEARTBEAT
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import asking
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.dispatch import ordered
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import failover_block, reconcile
from mmm.monitor.decide.turn import end_wait
from mmm.monitor.report import answers
from mmm.monitor.states import table
from mmm.monitor.world.checks import CheckStatus, Outcome
from mmm.monitor.world.events import Answer, Answered, Killed, VipLooked
from mmm.monitor.world.host import Flaps, HostWorld, State, System
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.link import AgentLink, Silence
from mmm.monitor.world.orders import KillHost, LookForVip, Order, Tell
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.said import Texts
from mmm.monitor.world.world import Mode, World
from mmm.wire.control import decode_command, invalid_command
from mmm.wire.status import Status
from tests.unit.worlds import CLOCK, finds
from tests.vectors.recordings import Json

_MOST_ROUNDS = 60


@dataclass
class Heard:
    """What agents and the kill hook heard during a step."""

    told: list[tuple[Tell, Answer]] = field(default_factory=list)
    kills: set[tuple[str, int]] = field(default_factory=set)
    pings: list[tuple[str, int]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    verdicts: list[Verdict | None] = field(default_factory=list)
    """What each reply was made of; None for answers to questions."""


class RecordedCause(PassiveCause):
    """Why the monitor is passive, in the recording's words."""

    __slots__ = ()

    texts: ClassVar[Texts] = {"recorded": "{text}"}


def first_world(conf: Cluster, start: Json) -> World:
    """Return the world that a recording starts with: every host was last told exactly what `owner` says."""
    owner = {vip: start["owner"][vip.ip] or None for vip in conf.vips}
    hosts = {name: _host(name, start, owner) for name in conf.hosts}
    text = start.get("passive_info")
    cause = RecordedCause("recorded", {"text": text}) if text else None
    return World(conf, Mode(start["mode"]), Hosts(hosts), Owners(owner), passive_cause=cause)


def _host(name: str, start: Json, owner: Mapping[Vip, str | None]) -> HostWorld:
    given = start["hosts"][name]
    good = given.get("checks", [1, 1, 1, 1])
    changed = given.get("changed", 0)
    moments = changed if isinstance(changed, list) else [changed] * 4
    vips = tuple(sorted(vip for vip, host in owner.items() if host == name))
    master = next((host for vip, host in owner.items() if vip.role == "writer" and host), "")
    return HostWorld(
        state=State(given["state"]),
        since=given.get("since", 0),
        online_since=given.get("online_since"),
        checks={
            check: CheckStatus(
                not ok,
                finds(Outcome.OK) if ok else finds(Outcome.ERROR, "failed"),
                moment,
                None if ok else moment,
            )
            for check, ok, moment in zip(CHECK_NAMES, good, moments, strict=True)
        },
        system=System(given.get("uptime", 0), given.get("last_uptime", 0)),
        flaps=_flaps(given),
        agent=AgentLink(
            told=Status(given["state"], vips, master),
            may_hold=frozenset(vips),
            failure=Silence("", None, unreachable=True) if given.get("down") else None,
            clear=False,
        ),
    )


def _flaps(given: Json) -> Flaps | None:
    since, too_many = given.get("flapstart"), bool(given.get("flapping"))
    if since is None and not too_many:
        return None
    return Flaps(float("-inf") if since is None else since, given.get("flapcount", 0), too_many)


class Replay:
    """A world under replay."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.agents: dict[str, int | str] = {}

    def step(self, given: Json) -> Heard:
        """Carry out one recorded step: states, the admin's commands, roles, and a word to everybody."""
        now = given["t"]
        self.agents.update(given.get("agents", {}))
        self.world = replace(self.world, network_up=bool(given.get("net", 1)))
        self._check(given.get("checks", {}), now)
        heard = Heard()
        self._heartbeats(now)
        if given.get("do") == "cmd":
            self._command(given["cmd"], now, heard)
            self._exchange(heard, now)
            return heard
        if self.world.network_up:
            self.world, _ = table.judge(self.world, now)
            self.world, _ = end_wait(self.world, now)
            self._exchange(heard, now)
        for line in given.get("cmds", ()):
            self._command(line, now, heard)
            self._exchange(heard, now)
        self._heartbeats(now - HEARTBEAT)
        if self.world.network_up:
            self.world = failover_block.assign(self.world, now)
        self._exchange(heard, now)
        return heard

    def _heartbeats(self, last: float) -> None:
        """Let every agent have been told at `last`."""
        for name in self.world.hosts:
            link = self.world.hosts[name].agent
            self.world = self.world.with_agent(name, replace(link, orders=replace(link.orders, ended=last)))

    def _check(self, results: Json, now: float) -> None:
        for name, found in results.items():
            for check, ok in found.items():
                host = self.world.hosts[name]
                if host.checks[check].failed == bool(ok):
                    status = CheckStatus(
                        not ok,
                        finds(Outcome.OK) if ok else finds(Outcome.ERROR, "failed"),
                        now,
                        None if ok else now,
                    )
                    self.world = self.world.with_host(
                        name, replace(host, checks={**host.checks, check: status})
                    )

    def _command(self, line: str, now: float, heard: Heard) -> None:
        words = decode_command(line.encode())
        if words is None:
            heard.replies.append(invalid_command(line.encode()))
            heard.verdicts.append(None)
            return
        text, verdict = answers.answer(self.world, words, now, CLOCK), None
        if text is None:
            command = ordered(words)
            if command is not None:
                result = self._carried(command(self.world, now), now, heard)
                self.world, text, verdict = result.world, result.text, result.answer
        heard.replies.append(invalid_command(line.encode()) if text is None else text)
        heard.verdicts.append(verdict)

    def _carried(self, command: asking.Asking[Result], now: float, heard: Heard) -> Result:
        try:
            ask = next(command)
            while True:
                pinged = isinstance(ask, asking.Ping) and self._ping(ask.host, heard)
                ask = command.send(asking.Heard(self.world, now, pinged))
        except StopIteration as ended:
            result: Result = ended.value
            return result

    def _ping(self, name: str, heard: Heard) -> bool:
        if self.world.is_silent(name):
            return False
        how, _ = self.answer_of(name)
        heard.pings.append((name, 0 if how in (Answer.REFUSED, Answer.SILENT) else 1))
        return how is Answer.OK

    def answer_of(self, name: str) -> tuple[Answer, float | None]:
        """Return how the host's agent answers, and the uptime it tells."""
        how = self.agents.get(name, "down")
        if isinstance(how, int):
            return Answer.OK, float(how)
        if how.startswith("error:"):
            return Answer.ERROR, float(how.removeprefix("error:"))
        return (Answer.REFUSED if how == "down" else Answer.SILENT), None

    def _exchange(self, heard: Heard, now: float) -> None:
        """Carry orders out until none is left."""
        for _ in range(_MOST_ROUNDS):
            self.world, orders = reconcile.orders(self.world, now)
            if not orders:
                return
            for order in orders:
                self.world = self._carried_out(self.world, order, heard, now)
        raise AssertionError(f"does not come to rest: {orders}")

    def _carried_out(self, world: World, order: Order, heard: Heard, now: float) -> World:
        if isinstance(order, KillHost):
            heard.kills.add((order.host, int(order.pings)))
            return apply(world, Killed(order.host), now)
        if isinstance(order, LookForVip):
            return apply(world, VipLooked(order.host, order.vip, absent=True), now)
        assert isinstance(order, Tell), "the classic asks nobody"
        how, uptime = self.answer_of(order.host)
        heard.told.append((order, how))
        return apply(world, Answered(order.host, order.number, how, "ERROR: recorded", uptime), now)
