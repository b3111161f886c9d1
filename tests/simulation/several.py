"""Two monitors of one cluster in virtual time: their lead, the votes of agents, and all that one monitor decides.

The rounds, tokens and words are the real ones of `mmm.monitor.act`, in an event loop whose clock is that of the run; so
is what a monitor finds that comes to lead (`begin`), and the agents' votes with their files. An order is obeyed only as
its epoch and its token allow.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

from mmm.agent.act import promise_file
from mmm.agent.act.voting import Voting
from mmm.lease.lead import Lead
from mmm.monitor.act import begin, inheritance, journal, leading, rounds, status_file, tokens, word
from mmm.monitor.decide import startup
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.orders import Tell
from mmm.wire import voting
from mmm.wire.agent import Reply, Request
from tests.simulation.agent import Agent
from tests.simulation.books import ViolationError
from tests.simulation.cluster import Cluster
from tests.simulation.faults import ask, first_checks
from tests.simulation.inherits import Disk, Past, write
from tests.simulation.machine import Machine
from tests.simulation.monitor import Monitor
from tests.simulation.one_of import OneOf
from tests.simulation.scenario import Scenario

_UNASKED = "who came to lead could not ask it"


@dataclass(slots=True)
class Seat:
    """A monitor's machine: what outlives the daemon."""

    ip: str
    status: Disk
    history: Disk = field(default_factory=Disk)
    file_behind: bool = False
    file_lost_until: float = 0.0
    last_writer: str | None = None
    """Nobody asks: the history tells."""
    monitor: OneOf | None = None
    """The one that runs."""
    starts: int = 0

    @property
    def file(self) -> str:
        """Return what stands in its status file."""
        return self.status.text

    @file.setter
    def file(self, text: str) -> None:
        self.status.text = text


class Witness:
    """The agent of a host without a server: it votes."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.gone = machine, False
        self.began = machine.boottime

    @property
    def token(self) -> str:
        """Return what its answers carry."""
        return f"{self.machine.boot_name}.{self.machine.boottime:.9f}"

    def given(self, token: str) -> float | None:
        """Return when this start of the agent gave the token."""
        boot, _, moment = token.partition(".")
        return float(moment) if boot == self.machine.boot_name and float(moment) >= self.began else None


class Several(Cluster):
    """A cluster with two monitors; `monitor` is the one that leads, the last to have begun."""

    def __init__(self, scenario: Scenario, *, tell: bool = False) -> None:
        super().__init__(scenario, tell=tell)
        conf = scenario.conf
        self.seats = {ip: Seat(ip, Disk(self.file)) for ip in conf.monitors}
        self.files: dict[Path | None, str] = {}
        """What agents have written of their votes."""
        self.apart: float = 0.0
        """Until when the monitors do not reach each other."""
        self.witnesses = {
            name: Machine(conf, host, self.clock, starts_writable=False, gtid=True)
            for name, host in conf.witnesses.items()
        }
        self.voters: dict[str, Agent | Witness] = {**self.agents}
        self.voters |= {name: Witness(machine) for name, machine in self.witnesses.items()}
        self.votes: dict[str, Voting] = {}
        self.took: dict[Lead, float] = {}
        """When each epoch was agreed to by enough voters."""
        self.released: dict[Lead, float] = {}
        """When each said that it leads no more."""

    def begin(self) -> None:
        """Start the agents' votes and both monitors."""
        for name in self.voters:
            self._votes_anew(name)
        for seat in self.seats.values():
            self.start(seat)

    def machine(self, name: str) -> Machine:
        """Return the machine of a host or a witness."""
        return self.witnesses.get(name) or self.machines[name]

    # Monitors

    def start(self, seat: Seat) -> None:
        """Start a monitor as after its death: it checks, asks everybody, and stands by."""
        if seat.monitor is not None:
            return
        conf = self.scenario.conf
        assert conf.monitor is not None
        conf = replace(conf, monitor=replace(conf.monitor, ip=seat.ip))
        checks = {name: first_checks(self, machine, seat.ip) for name, machine in self.machines.items()}
        stored, _ = status_file.decode(seat.file)
        found = {
            name: ask(self, machine, stored.get(name), seat.ip, pings=not checks[name]["ping"].failed)
            for name, machine in self.machines.items()
        }
        started = startup.start(conf, checks, found, self.clock.now)
        world = replace(started.world, leadership=Leadership(Place.STANDS_BY))
        seat.starts += 1
        self.clock.say(f"{seat.ip}: the monitor starts")
        seat.monitor = OneOf(self, replace(started, world=world), seat, f"s{seat.starts}")

    def end(self, seat: Seat, until: float = inf) -> None:
        """Let a monitor die; it is back at `until`."""
        if seat.monitor is not None:
            seat.monitor.end()
            if self.monitor is seat.monitor:
                self.monitor = None
            seat.monitor = None
            if until < inf:
                self.clock.at(until, self.start, seat)

    def placed(self, monitor: OneOf, place: Place) -> None:
        """Note what a monitor is among the others now."""
        self.clock.say(f"{monitor.ip}: {place}")
        if place is Place.TAKES and monitor.lead is not None:
            self.took[monitor.lead] = self.clock.now
            self.watch.limits["the lead was taken"] += 1
        if place is Place.LEADS:
            self.monitor = monitor
        elif self.monitor is monitor:
            self.monitor = self._another_that_leads(monitor)

    def _another_that_leads(self, monitor: OneOf) -> OneOf | None:
        """Return one that has begun before this one has thawed, and noted late that it led."""
        others = (seat.monitor for seat in self.seats.values() if seat.monitor is not monitor)
        leads = (each for each in others if each and each.world.leadership.place is Place.LEADS)
        return next(leads, None)

    def begins(self, monitor: OneOf) -> None:
        """Begin the books of a monitor that has come to lead, by what it has found."""
        world, watch = monitor.world, self.watch
        watch.cut_off.starts()
        watch.first_start.begins(world)
        watch.losses.begins(world)
        for vip, names in watch.books.items():
            names.clear()
            names.update(name for name, host in world.hosts.items() if vip in host.agent.may_hold)
        for name, machine in self.machines.items():
            known = {vip.ip for vip in world.hosts[name].agent.may_hold} | watch.writer_ips
            if not machine.bound <= known:
                machine.excuse_until_told(_UNASKED)

    def meet(self, one: str, other: str) -> bool:
        """Tell whether two monitors reach each other, and both live."""
        return (
            self.clock.now >= self.apart
            and self.seats[one].monitor is not None is not self.seats[other].monitor
        )

    # Messages

    def carry(
        self, monitor: OneOf, name: str, answer: "Callable[[], object]", told: "asyncio.Future[object]"
    ) -> None:
        """Have an agent asked, and its answer heard: who is frozen answers later, who ends or boots never."""
        delay = 0.001 + 0.01 * self.clock.random()
        self.clock.after(delay, self._asked, monitor, name, self.voters[name], answer, told)

    def _asked(
        self,
        monitor: OneOf,
        name: str,
        agent: Agent | Witness,
        answer: "Callable[[], object]",
        told: "asyncio.Future[object]",
    ) -> None:
        machine = self.machine(name)
        if agent.gone or not machine.on:
            return
        held_up = max(
            machine.frozen_until,
            machine.agent_frozen_until,
            machine.cut_to_until,
            machine.unheard.get(monitor.ip, 0.0),
        )
        if held_up > self.clock.now:
            self.clock.at(held_up, self._asked, monitor, name, agent, answer, told)
            return
        if isinstance(agent, Agent):
            agent.reassert()
        said = answer()
        cut = max(machine.cut_from_until, machine.unheard.get(monitor.ip, 0.0))
        moment = max(self.clock.now + 0.001 + 0.01 * self.clock.random(), cut)
        self.clock.at(moment, monitor.hear, told, said, name, agent.token)

    def vote(self, name: str, request: Request) -> Reply:
        """Return what an agent answers to the question for the lead."""
        asked, own, machine = voting.asked(request), self.votes[name], self.machine(name)
        refused = own.asked(asked, self._given(name, asked.seen) if asked.seen else None)
        text, why = (f"ERROR: {refused}", voting.NOT_LED) if refused else ("OK", "")
        return Reply(text, voting.said_fields(own.said()), machine.uptime, self.voters[name].token, why)

    def _given(self, name: str, token: str) -> float | None:
        agent = self.voters[name]
        return agent.core.held.given(token) if isinstance(agent, Agent) else agent.given(token)

    def _refused(self, order: Tell, agent: Agent, by: Lead | None) -> Reply | None:
        if order.greet:
            return None
        token = agent.core.held.given(order.lease.token) if order.lease else None
        text = self.votes[order.host].refusal(by, token, needs_token=True)
        if text:
            return Reply(f"ERROR: {text}", why=voting.NOT_LED)
        self._obeyed(order.host, by)
        return None

    def _obeyed(self, name: str, by: Lead | None) -> None:
        """Check that no other monitor has taken the lead since from the one whose order is obeyed."""
        for other, taken in self.took.items():
            if by is not None and other > by and self.released.get(by, inf) > taken:
                raise ViolationError(f"{name} obeys {by}, and {other} has taken the lead at {taken:.3f}")

    def send(self, monitor: Monitor, order: Tell) -> None:
        """Send an order that has a connection, once an agent without a vote has agreed to who gives it."""
        send = partial(super().send, monitor, order)
        if order.greet or not isinstance(monitor, OneOf):
            send()
        else:
            monitor.once_bound(order.host, send)

    def ask_monitor(
        self, asker: OneOf, ip: str, answer: Callable[[OneOf], str], told: "asyncio.Future[object]"
    ) -> None:
        """Have another monitor asked."""
        self.clock.after(0.001 + 0.01 * self.clock.random(), self._asked_monitor, asker, ip, answer, told)

    def _asked_monitor(
        self, asker: OneOf, ip: str, answer: Callable[[OneOf], str], told: "asyncio.Future[object]"
    ) -> None:
        other = self.seats[ip].monitor
        if other is None or not self.meet(asker.ip, ip):
            return
        if other.frozen_until > self.clock.now:
            self.clock.at(other.frozen_until, self._asked_monitor, asker, ip, answer, told)
            return
        said = other.in_loop(partial(answer, other))
        self.clock.after(0.001 + 0.01 * self.clock.random(), asker.hear, told, said, "", "")

    # Agents

    def _votes_anew(self, name: str) -> None:
        machine = self.machine(name)
        self.votes[name] = Voting(self.scenario.conf, f"/votes/{name}", lambda: machine.boottime)

    def power_off(self, machine: Machine, until: float) -> None:
        """Switch a host off, to come back at `until`."""
        self.files.pop(Path(f"/votes/{machine.name}.lead"), None)
        super().power_off(machine, until)

    def end_agent(self, machine: Machine) -> None:
        """Let the agent die."""
        if machine.name not in self.witnesses:
            super().end_agent(machine)
        else:
            machine.agent_up, self.voters[machine.name].gone = False, True

    def start_agent(self, machine: Machine) -> None:
        """Start an agent that remembers nothing but what it has written, where none runs."""
        name = machine.name
        if not (machine.on and self.voters[name].gone):
            return
        if name in self.witnesses:
            machine.agent_up, self.voters[name] = True, Witness(machine)
        else:
            super().start_agent(machine)
            self.voters[name] = self.agents[name]
        self._votes_anew(name)

    def close(self) -> None:
        """End both monitors."""
        for seat in self.seats.values():
            self.end(seat)

    @contextmanager
    def time(self) -> Iterator[None]:
        """Have monitors go by the clock of their loops, chance by the seed, and agents write to memory."""
        clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time(), time=lambda: 0.0)

        of_run = SimpleNamespace(monotonic=lambda: self.clock.now)

        def store(file: Path | None, text: str, *, settled: bool = False) -> None:
            self.files[file] = text

        with (
            patch.object(leading, "time", clock),
            patch.object(rounds, "time", clock),
            patch.object(tokens, "time", clock),
            patch.object(word, "time", clock),
            patch.object(begin, "time", clock),
            patch.object(journal, "time", of_run),
            patch.object(inheritance, "time", of_run),
            patch.object(journal, "HistoryFile", Past),
            patch.object(status_file, "write", write),
            patch.object(leading, "random", Random(self.scenario.seed)),  # noqa: S311
            patch.object(promise_file, "store", store),
            patch.object(promise_file, "load", lambda file: self.files.get(file, "")),
            patch.object(promise_file, "boot", lambda: "boot"),
        ):
            yield
