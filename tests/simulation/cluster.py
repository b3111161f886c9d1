"""The simulated cluster: its machines and agents, and the messages between them and the monitor."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from mmm.lease.lead import Lead
from mmm.monitor.command.preflight import Looked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.orders import Tell
from mmm.wire.agent import Reply
from mmm.wire.questions import Clients
from tests.simulation.agent import Agent, Order
from tests.simulation.clock import Clock
from tests.simulation.machine import Machine
from tests.simulation.monitor import CONNECT_TIMEOUT, Monitor
from tests.simulation.scenario import Kind, Scenario
from tests.simulation.watch import Watch

WRITES_EVERY = 0.25
"""Seconds between two transactions of the clients: far less than between two looks of the monitor."""
PROMPT = 0.8
"""Share of the moments at which a replica receives what there is: at others it is behind those that do."""
BOOT = 10.0
"""Seconds after which a host that kill_host switched off is back."""


class Cluster:
    """All that is real in a run."""

    def __init__(self, scenario: Scenario, *, tell: bool = False) -> None:
        conf = scenario.conf
        self.scenario = scenario
        self.clock = Clock(scenario.seed ^ 0x5EED, tell=tell)
        self.watch = Watch(conf, first_start=scenario.first_start)
        self.machines = {
            name: Machine(
                conf, host, self.clock, starts_writable=scenario.starts_writable, gtid=scenario.gtid
            )
            for name, host in conf.hosts.items()
        }
        for machine in self.machines.values():
            machine.others = self.machines
        self.watch.machines.update(self.machines)
        self.agents: dict[str, Agent] = {}
        self.agents |= {
            name: Agent(conf, machine, self.clock, self.watch, self.agents)
            for name, machine in self.machines.items()
        }
        self.file_behind = False
        """The status file is not what the last monitor wanted to write."""
        self.file = "" if scenario.first_start else "".join(f"{name}|ONLINE|\n" for name in conf.hosts)
        self.monitor: Monitor | None = None
        self.last_writer: str | None = None
        """What the history of the monitor tells of it."""
        self.kill_fails_until = self.kill_missing_until = self.file_lost_until = 0.0
        self.ping_ips_lost_until = 0.0
        self.late_checks: dict[tuple[str, str], float] = {}
        self.armed: dict[tuple[str, Kind], float] = {}
        """Faults that strike the next message of a host."""
        self.by_hand = 0
        self.counted: Counter[str] = Counter()
        self._clients_write()

    def _clients_write(self) -> None:
        """Let a transaction be written and replicated."""
        for machine in self.machines.values():
            if machine.serve(self.watch.writer_ips):
                by_hand = bool(machine.hand & self.watch.writer_ips)
                self.watch.losses.wrote(machine.name, excused=by_hand or bool(machine.excuse))
        for machine in self.machines.values():
            if self.clock.random() < PROMPT:
                machine.receive()
        self.watch.losses.look()
        self.watch.one_writer()
        self.clock.after(WRITES_EVERY, self._clients_write)

    # Messages

    def send(self, monitor: Monitor, order: Tell) -> None:
        """Send an order that has a connection."""
        host = order.host
        if self.armed.pop((host, Kind.ORDER_LOST), None) is not None:
            return
        message = (monitor, order, self.agents[host], self.clock.now, monitor.lead)
        late = self.armed.pop((host, Kind.ORDER_LATE), 0.0)
        self.clock.after(0.001 + 0.01 * self.clock.random() + late, self._arrive, *message)
        twice = self.armed.pop((host, Kind.ORDER_TWICE), 0.0)
        if twice:
            self.clock.after(0.011 + twice, self._arrive, *message)

    def _arrive(self, monitor: Monitor, order: Tell, agent: Agent, sent: float, by: Lead | None) -> None:
        """Give an order to the agent that the connection was made with: another one would break it."""
        machine = self.machines[order.host]
        if agent.gone:
            self._answer(monitor, monitor.answered, order, None, "")
            return
        held_up = max(machine.cut_to_until, machine.frozen_until, machine.agent_frozen_until)
        held_up = max(held_up, machine.unheard.get(monitor.ip, 0.0))
        if held_up > self.clock.now:
            self.clock.at(held_up, self._arrive, monitor, order, agent, sent, by)
            return
        if refused := self._refused(order, agent, by):
            self._answer(monitor, monitor.answered, order, refused, agent.token)
            return
        if order.greet:
            self._answer(monitor, monitor.answered, order, Reply("OK"), agent.token)
            agent.reassert()
            return
        grant = agent.core.held.grant(order.lease) if agent.leases and order.lease else None
        agent.set_status(
            Order(
                order.status,
                lambda reply: self._answer(monitor, monitor.answered, order, reply, agent.token),
                lambda: monitor.waits_for(order),
                sent,
                grant,
                order.void if order.lease else None,
            )
        )

    def _refused(self, _: Tell, __: Agent, ___: Lead | None) -> Reply | None:
        """Return the answer of an agent that does not obey the monitor which gave the order."""
        return None

    def _answer(
        self,
        monitor: Monitor,
        take: Callable[[Tell, Reply | None, str], None],
        order: Tell,
        reply: Reply | None,
        token: str,
    ) -> None:
        machine = self.machines[order.host]
        host, now = order.host, self.clock.now
        if not machine.on or self.armed.pop((host, Kind.ANSWER_LOST), None) is not None:
            return
        if self.armed.pop((host, Kind.ANSWER_GARBAGE), None) is not None:
            reply = None
        cut = max(machine.cut_from_until, machine.unheard.get(monitor.ip, 0.0))
        moment = max(now + 0.001 + 0.01 * self.clock.random(), cut)
        moment += self.armed.pop((host, Kind.ANSWER_LATE), 0.0)
        self.clock.at(moment, take, order, reply, token)
        if (twice := self.armed.pop((host, Kind.ANSWER_TWICE), 0.0)) > 0:
            self.clock.at(moment + twice, take, order, reply, token)

    def server_exited(self, machine: Machine) -> None:
        """Have the agent tell the monitor, where it has a question open: most often at once, else late or never."""
        agent, monitor, draw = self.agents[machine.name], self.monitor, self.clock.random()
        if (
            monitor is None
            or agent.gone
            or not monitor.world.hosts[machine.name].agent.serves_many
            or draw < 0.2
        ):
            return
        late = 20.0 * self.clock.random() if draw > 0.8 else 0.0
        self.clock.after(0.001 + 0.01 * self.clock.random() + late, self._tell_exit, monitor, agent, machine)

    def _tell_exit(self, monitor: Monitor, agent: Agent, machine: Machine) -> None:
        """Let the news arrive; who is frozen or cut off says it later, who ends or boots never."""
        held_up = max(machine.cut_from_until, machine.frozen_until, machine.agent_frozen_until)
        held_up = max(held_up, machine.unheard.get(monitor.ip, 0.0))
        if agent.gone or not machine.on:
            return
        if held_up > self.clock.now:
            self.clock.at(held_up, self._tell_exit, monitor, agent, machine)
            return
        monitor.exited(machine.name)

    def send_clear(self, monitor: Monitor, order: Tell, told: Reply) -> None:
        """Send CLEAR_BAD_ROLES after an order that was obeyed; `told` is the answer to that."""
        machine, take = self.machines[order.host], partial(monitor.cleared, told)
        if machine.link_to_monitor(monitor.ip) and machine.agent_up:
            agent = self.agents[order.host]
            self.clock.after(
                0.002,
                agent.clear_bad_roles,
                lambda reply: self._answer(monitor, take, order, reply, agent.token),
            )
        else:
            late = 0.001 if machine.link_to_monitor(monitor.ip) else CONNECT_TIMEOUT
            self.clock.after(late, partial(take, refused=True), order, None, "")

    @property
    def ping_ips_answer(self) -> bool:
        """Tell whether one of the ping_ips answers the monitor."""
        return self.clock.now >= self.ping_ips_lost_until

    def a_host_answers(self, monitor: str = "") -> bool:
        """Tell whether one of the hosts answers the monitor's ping."""
        return any(machine.check("ping", monitor)[0] is Outcome.OK for machine in self.machines.values())

    def ping_agent(self, host: str, monitor: str = "") -> bool:
        """Tell whether the host's agent answers PING."""
        machine = self.machines[host]
        if not (
            machine.link_to_monitor(monitor)
            and machine.agent_up
            and self.clock.now >= machine.agent_frozen_until
        ):
            return False
        self.agents[host].reassert()
        return True

    def agents_speak(self, name: str, other: str) -> bool:
        """Tell whether another host's agent answers the one of the first."""
        machine = self.machines[other]
        awake = self.clock.now >= max(machine.agent_frozen_until, machine.frozen_until)
        return machine.agent_up and awake and self.machines[name].speaks_with(machine)

    def look_at_clients(self, host: str, monitor: str = "") -> Looked:
        """Return what a host's agent says of its server's clients: some are at long work."""
        machine = self.machines[host]
        if not (machine.link_to_monitor(monitor) and machine.agent_up):
            return Looked(silence="no connection")
        draw = self.clock.random()
        if draw < 0.1:
            return Looked()
        return Looked(Clients(3, 1, 3600.0 if draw > 0.9 else 0.0))

    def answers_arp(self, ip: str, monitor: str = "") -> bool:
        """Tell whether the monitor hears anybody answer for a VIP."""
        return any(
            ip in machine.bound and machine.link_to_monitor(monitor) for machine in self.machines.values()
        )

    def kill(self, host: str) -> str:
        """Run kill_host; returns why it failed."""
        now = self.clock.now
        if now < max(self.kill_missing_until, self.kill_fails_until):
            why = "missing" if now < self.kill_missing_until else "failed"
            self.machines[host].excuse_until_told("kill_host failed or is missing")
            return why
        self.power_off(self.machines[host], now + BOOT)
        return ""

    # Power

    def power_off(self, machine: Machine, until: float) -> None:
        """Switch a host off, to come back at `until`."""
        if machine.on:
            self.end_agent(machine)
            machine.power_off()
            self.clock.at(until, self._boot, machine)

    def _boot(self, machine: Machine) -> None:
        self.clock.say(f"{machine.name}: boots")
        machine.boot()
        self.start_agent(machine)

    def end_agent(self, machine: Machine) -> None:
        """Let the agent die."""
        agent = self.agents[machine.name]
        agent.gone, machine.agent_up = True, False
        machine.forgotten |= agent.stopped_replication

    def start_agent(self, machine: Machine) -> None:
        """Start an agent that remembers nothing, where none runs."""
        if machine.on and self.agents[machine.name].gone:
            machine.agent_up = True
            self.agents[machine.name] = Agent(
                self.scenario.conf, machine, self.clock, self.watch, self.agents
            )
