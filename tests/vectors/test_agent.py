"""The agent's answers and what it does to its machine: agent.jsonl.

The agent is ours; the machine under it is made up here, for recorded machines have helpers that fail at will.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mmm.agent.act import change, questions
from mmm.agent.act.agent import Agent
from mmm.agent.act.steps import Done
from mmm.agent.decide import core
from mmm.agent.decide.failure import Failure
from mmm.agent.decide.seen import Seen, Server, Source
from mmm.agent.decide.steps import (
    AllowWrites,
    Bind,
    DenyWrites,
    Follow,
    Plan,
    StartReplication,
    Step,
    StopReplication,
    Sync,
    Unbind,
)
from mmm.config.model import Cluster, Host, Role, Vip
from mmm.network.line_server import GarbageError
from mmm.network.listener import Peer
from mmm.wire.agent import decode_reply, encode_vips
from tests.vectors.recordings import Json, vectors
from tests.vectors.tally import Tally

HELPERS: dict[type[Step], str] = {
    AllowWrites: "mysql_allow_write",
    DenyWrites: "mysql_deny_write",
    Bind: "configure_ip",
    Unbind: "clear_ip",
    Sync: "sync_with_master",
    Follow: "set_active_master",
    StartReplication: "turn_on_slave",
    StopReplication: "turn_off_slave",
}


@dataclass
class Machine:
    """Interface and server of a recorded host."""

    ips: set[str]
    writable: bool
    mysql: bool
    slave_of: str | None
    running: bool = True
    fail: Json = field(default_factory=dict)
    did: list[str] = field(default_factory=list)

    def seen(self, ips: tuple[str, ...]) -> Seen:
        """What the agent sees on it."""
        bound = frozenset(self.ips & set(ips))
        if not self.mysql:
            return Seen(bound, server=Server.DEAD, writable=None, problem="connection refused")
        source = Source(self.slave_of, 3306, self.running) if self.slave_of else None
        return Seen(bound, writable=self.writable, source=source)

    def prepare(self) -> None:
        """Have nothing to open."""

    def carry_out(self, plan: Plan, _: object) -> Done:
        """Do the steps; a helper that fails does nothing."""
        done: list[Step] = []
        failed: list[Failure] = []
        unfinished = []
        for chain in plan.chains:
            for step in chain:
                if self._fails(step):
                    failed.append(Failure("failed", step=str(step)))
                    unfinished.append(chain)
                    break
                self._do(step)
                done.append(step)
        return Done(tuple(done), tuple(failed), tuple(unfinished))

    def _fails(self, step: Step) -> bool:
        name = HELPERS[type(step)]
        known = {helper for helper in self.fail if name in helper or helper in name}
        needs_server = not isinstance(step, Bind | Unbind)
        return bool(known) or (needs_server and not self.mysql)

    def _do(self, step: Step) -> None:
        self.did.append(HELPERS[type(step)])
        match step:
            case Bind(vip):
                self.ips.add(vip.ip)
            case Unbind(vip):
                self.ips.discard(vip.ip)
            case DenyWrites():
                self.writable = False
            case AllowWrites():
                self.writable = True
            case StartReplication() | StopReplication():
                self.running = isinstance(step, StartReplication)
            case _:
                pass


class Quiet:
    """An interface that is not looked at, and an announcer with nobody to talk to."""

    name = "quiet0"

    def bound(self, _ips: object) -> dict[str, tuple[int, ...]]:
        """Have nothing bound."""
        return {}

    def hold(self, ips: object) -> None:
        """Hear what is held."""

    def confirm(self) -> None:
        """Hear that it is meant to be."""

    def claimed(self) -> tuple[()]:
        """Have nobody else hold anything."""
        return ()


def test_recorded(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Tally()
    monkeypatch.setattr(core, "LOOK_AGAIN", 0.0)
    for vector in vectors("agent"):
        rules = asyncio.run(_play(vector, monkeypatch))
        if rules is None or "" in rules:
            own.wrong.append(f"{vector['id']}: {rules}")
        elif rules:
            own.differs(rules)
        else:
            own.agrees()
    tally.add(own)
    own.check("agent")


async def _play(vector: Json, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the rules that make the first differences; one that no rule makes is the empty text."""
    conf = _conf(vector["config"])
    start = vector["start"]
    machine = Machine(set(start["ips"]), bool(start["writable"]), bool(start["mysql"]), start.get("slave_of"))
    for where in (questions, change):
        monkeypatch.setattr(where, "look", lambda _interface, ips, _session: machine.seen(ips))
    interface: Any = Quiet()
    agent = Agent(conf, interface, interface)
    monkeypatch.setattr(agent._shell._changes, "_steps", machine)
    try:
        for step in vector["steps"]:
            given, recorded = step["in"], step["out"]
            if "crash" in recorded:
                return {"10.25"}
            for key, value in given.get("system", {}).items():
                setattr(machine, key, set(value) if key == "ips" else value)
            machine.fail, machine.did = given.get("fail", {}), []
            answer = b""
            if given["do"] == "line":
                try:
                    answer = await agent.answer(
                        given["line"].encode(), Peer("10.0.0.250", 1000, "10.0.0.1", 9989)
                    )
                except GarbageError as garbage:
                    answer = garbage.answer
            else:
                await agent.reassert()
                await agent._shell.ending.at_rest()
            found = set(_differences(step, agent, machine, answer, conf))
            if found:
                return found
    finally:
        await agent.close()
    return set()


def _conf(recorded: Json) -> Cluster:
    hosts = {
        name: Host(name, host["ip"], host["mode"], cluster_interface="eth0")
        for name, host in recorded["hosts"].items()
    }
    return Cluster(
        program="AGENT",
        dialect=2,
        path=Path("recorded.conf"),
        files=(),
        hosts=hosts,
        roles={
            name: Role(name, "exclusive" if len(ips) == 1 else "balanced", tuple(hosts), tuple(ips))
            for name, ips in recorded["roles"].items()
        },
        checks={},
        monitor=None,
        active_master_role=recorded["active_master_role"],
        this=recorded["this"],
        vip_lease=0.0,
    )


def _differences(step: Json, agent: Agent, machine: Machine, answer: bytes, conf: Cluster) -> Iterator[str]:
    """Return for everything that is not as recorded the rule that makes it, empty where there is none."""
    given, recorded = step["in"], step["out"]
    failed = bool(given.get("fail")) or not machine.mysql
    words = given.get("line", "").split("|")
    if "reply" in recorded:
        yield from _reply(recorded["reply"], answer, words, conf, failed=failed)
    status = agent._shell.core.status
    ours = (status.state, sorted(map(str, status.vips)))
    if ours != (recorded["state"], sorted(recorded["roles"])):
        yield _status_rule(words, conf)
    if set(recorded["ips"]) != machine.ips:
        yield (
            "10.3"
            if failed
            else "10.4"
            if _as_assigned(machine, status.vips, conf)
            else _status_rule(words, conf)
        )
    if bool(recorded["writable"]) != machine.writable:
        holds = any(vip.role == conf.active_master_role for vip in status.vips)
        yield "10.3" if failed else "10.36" if not holds and not machine.writable else ""


def _reply(recorded: Json, answer: bytes, words: list[str], conf: Cluster, *, failed: bool) -> Iterator[str]:
    reply = decode_reply(answer)
    if reply.ok != (recorded["class"] == "OK"):
        yield "10.3" if failed and not reply.ok else _status_rule(words, conf)
    elif reply.ok and list(reply.fields) != recorded.get("fields", []):
        yield "10.3"
    elif "removed" in recorded and f"Removed {recorded['removed']} " not in reply.text:
        yield "10.4"


def _status_rule(words: list[str], conf: Cluster) -> str:
    """Return the rule for orders that the classic takes unchecked: what the conf does not know, what is no order."""
    named = words[4].split(",") if len(words) > 4 and words[4] else []
    unknown = any(name not in map(str, conf.vips) for name in named)
    doubled = len(named) != len(set(named))
    if len(words) > 3 and not words[3]:
        return "10.25"
    masters = words[5:6]
    stranger = bool(masters and masters[0] and masters[0] not in conf.hosts)
    return "10.3" if unknown or doubled or stranger or len(words) < 6 else ""


def _as_assigned(machine: Machine, vips: tuple[Vip, ...], conf: Cluster) -> bool:
    """Tell whether the interface holds just what is assigned: an order sees to that, in the classic it does not."""
    return machine.ips & {vip.ip for vip in conf.vips} == {vip.ip for vip in vips}


def test_the_made_up_machine_fails_as_it_is_told() -> None:
    machine = Machine(set(), writable=False, mysql=True, slave_of=None, fail={"configure_ip": "error"})
    step = Bind(next(iter(Role("reader", "balanced", (), ("10.0.0.9",)).vips)))
    assert machine.carry_out(Plan(((step,),)), None).failures
    assert encode_vips(()) == ""
    assert replace(machine, fail={}).carry_out(Plan(((step,),)), None).steps == (step,)
