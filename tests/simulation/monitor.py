"""The monitor: real deciders, its shell (checks, orders and their limits, status file) in virtual time."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Protocol

from mmm.config.model import Vip
from mmm.config.names import CHECK_NAMES
from mmm.gtid.place import Hidden, Tail, Unread
from mmm.lease.lead import HEARTBEAT, Lead
from mmm.monitor.act import status_file
from mmm.monitor.act.spoken import Spoken, answered, of_reply, with_clearing
from mmm.monitor.apply.apply import apply
from mmm.monitor.apply.quiet import is_quiet
from mmm.monitor.assess import cut_off, trap
from mmm.monitor.command import asking, command_result
from mmm.monitor.command.dispatch import ordered
from mmm.monitor.command.next_leader import NextLeader
from mmm.monitor.command.sign import Sign
from mmm.monitor.decide import leases
from mmm.monitor.decide.startup import Started
from mmm.monitor.decide.turn import Turn, turn
from mmm.monitor.world.check_results import (
    CheckResult,
    Link,
    Look,
    PingChecked,
    Replica,
    ReplicaChecked,
    ServerChecked,
)
from mmm.monitor.world.checks import GOOD, NO_CAUSE, REFUSED, Cause, Finding, Outcome
from mmm.monitor.world.events import (
    Answer,
    Answered,
    Event,
    GotAhead,
    Killed,
    LogRead,
    Network,
    Opinions,
    ServerExited,
    VipLooked,
)
from mmm.monitor.world.host import State
from mmm.monitor.world.link import Ordered
from mmm.monitor.world.orders import (
    AskOthers,
    GetAhead,
    KillHost,
    LookForVip,
    Order,
    ReadLog,
    Tell,
)
from mmm.monitor.world.world import Mode, World
from mmm.wire.agent import Reply
from tests.simulation.books import ViolationError

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster
    from tests.simulation.machine import Machine

CONNECT_TIMEOUT = 3.0
PING_TIMEOUT = 0.5
COMMAND_LIMIT = 40.0


class Disk(Protocol):
    """What of a monitor outlives it: its status file, and what its history tells."""

    file: str
    file_behind: bool
    file_lost_until: float
    last_writer: str | None


class Monitor:
    """One life of the monitor; a restart makes a new one, which knows what it finds."""

    __slots__ = (
        "_asked",
        "_file",
        "_heard",
        "_kills",
        "_network",
        "_results",
        "_writing",
        "clock",
        "cluster",
        "disk",
        "frozen_until",
        "gone",
        "ip",
        "lead",
        "orders",
        "watch",
        "world",
    )  # fmt: skip

    def __init__(
        self, cluster: "Cluster", started: Started, ip: str = "", disk: "Disk | None" = None
    ) -> None:
        self.cluster, self.ip = cluster, ip
        self.disk: Disk = disk or cluster
        self.lead: Lead | None = None
        """The name by which it gives orders, where it is one of several."""
        self.clock = cluster.clock
        self.watch = cluster.watch
        self.world: World = started.world
        if self.world.last_writer is None:  # the history tells
            self.world = replace(self.world, last_writer=self.disk.last_writer)
        self.gone = False
        self.frozen_until = 0.0
        self._heard = -inf
        if cut_off.fell_silent_together(self.world):
            self.world = cut_off.unjudged(self.world)
        self._network = cut_off.Known(up=self.world.network_up, by_hosts=self.world.hosts_silent)
        self.orders: dict[str, Tell] = {}
        """The order under way to each host's agent."""
        self._kills: set[str] = set()
        self._asked: list[tuple[command_result.Awaited | NextLeader, float]] = []
        self._file: tuple[object, ...] = ()
        self._writing = False
        self._results: dict[tuple[str, str, Outcome, bool, str, bool, float | None, bool], CheckResult] = {}
        now = self.clock.now
        for host in self.world.hosts:
            for check in CHECK_NAMES:
                period = cluster.scenario.conf.checks[check].check_period
                self.clock.at(now + period * self.clock.random(), self._check, host, check)
        self._look_at_network()
        self._tick()

    def post(self, event: Event) -> None:
        """Take an event in; the decision follows."""
        if self._sleeps(self.post, event):
            return
        before, after = self.world, apply(self.world, event, self.clock.now)
        if after is not before:
            self.disk.last_writer = after.last_writer
            self.watch.returned(before, after)
            self.world = after
        if not is_quiet(before, after, event, self.clock.now, awaited=bool(self._asked)):
            self._said(before)
            self._save()
            self.take_turn()

    def _said(self, before: World) -> None:
        """Take in what was said between two worlds; only one of several has a history here."""

    def _turned(self, result: Turn) -> None:
        """Take in what a turn has changed, for the history."""

    def _sleeps(self, call: Callable[..., None], *arguments: object) -> bool:
        """Tell whether nothing is done now: it is dead, or frozen and goes on when it thaws."""
        if self.gone:
            return True
        if self.frozen_until > self.clock.now:
            self.clock.at(self.frozen_until, call, *arguments)
            return True
        return False

    def _tick(self) -> None:
        if self._sleeps(self._tick):
            return
        self.take_turn()
        self._every_order_ends()
        self.clock.after(self.cluster.scenario.tick, self._tick)

    def take_turn(self) -> None:
        """Decide, and carry out what was decided."""
        before = self.world
        result = turn(before, self.clock.now)
        if result.world is before:
            return
        self.world = result.world
        if result.changes:
            if self.clock.history is not None:
                for change in result.changes:
                    self.clock.say(f"  {change}")
            self.watch.turned(result, self.clock.now)
            self._turned(result)
        for order in result.orders:
            self._carry_out(order)
        self._save()
        if self._asked:
            self._answer_the_admin()

    # Orders

    def _carry_out(self, order: Order) -> None:
        match order:
            case KillHost():
                self._kill(order)
            case LookForVip():
                self.clock.after(0.6, self._looked, order, self.lead)
            case AskOthers():
                self.clock.after(0.01 + 0.7 * self.clock.random(), self._opined, order)
            case ReadLog():
                self.clock.after(0.01 + 0.2 * self.clock.random(), self._log_read, order)
            case GetAhead():
                self.clock.after(0.01 + 0.2 * self.clock.random(), self._got_ahead, order)
            case Tell():
                self._tell(order)

    def _tell(self, order: Tell) -> None:
        if order.host in self.orders:
            raise ViolationError(f"{order} goes out while {self.orders[order.host]} is under way")
        if self.clock.history is not None:
            told = self.world.hosts[order.host].agent.told
            if told != order.status or order.clear:
                self.clock.say(f"  -> {order.host} {order.number}: {_shown(order)}")
        if not order.greet and self._counts(order):
            self.watch.ordered(self.world, order)
        self.orders[order.host] = order
        order = self._recorded(order)
        self.orders[order.host] = order
        cluster, machine = self.cluster, self.cluster.machines[order.host]
        if not machine.link_to_monitor(self.ip):
            self.clock.after(CONNECT_TIMEOUT, self._ended, order, Answer.REFUSED)
        elif not machine.agent_up:
            self.clock.after(0.001, partial(self._ended, order, Answer.REFUSED, closed=True))
        else:
            self.clock.after(cluster.scenario.order_limit, self._ended, order, Answer.SILENT)
            cluster.send(self, order)

    def answered(self, order: Tell, reply: Reply | None, token: str) -> None:
        """Take an agent's answer to SET_STATUS; None is a connection that broke, or garbage."""
        if self._sleeps(self.answered, order, reply, token):
            return
        if not self._waits_for(order):
            return
        if reply is not None and reply.ok and order.clear:
            self.cluster.send_clear(self, order, replace(reply, token=token))
        else:
            self._ended(order, _answer(reply), reply, token)

    def cleared(
        self, told: Reply, order: Tell, reply: Reply | None, token: str, *, refused: bool = False
    ) -> None:
        """Take an agent's answer to CLEAR_BAD_ROLES; `told` is that to SET_STATUS, `refused`: it was not reached."""
        again = partial(self.cleared, told, order, reply, token, refused=refused)
        if self._sleeps(again) or not self._waits_for(order):
            return
        silent = Spoken(Answer.REFUSED if refused else Answer.SILENT, "", closed=refused)
        both = with_clearing(of_reply(told), silent if reply is None else of_reply(reply))
        self._ended(order, both.answer, both.reply, token or told.token, closed=both.closed)

    def waits_for(self, order: Tell) -> bool:
        """Tell whether the answer to the order still counts."""
        return not self.gone and self._waits_for(order)

    def _waits_for(self, order: Tell) -> bool:
        return self.orders.get(order.host) is order

    def _done_with(self, order: Tell) -> None:
        del self.orders[order.host]

    def _counts(self, _: Tell) -> bool:
        """Tell whether the order goes into the books: it is of the monitor that gives the orders now."""
        return True

    def _took(self, _: Tell, event: Answered) -> None:
        self.post(event)

    def _ended(
        self,
        order: Tell,
        answer: Answer,
        reply: Reply | None = None,
        token: str = "",
        *,
        closed: bool = False,
    ) -> None:
        if self._sleeps(
            partial(self._ended, order, answer, reply, token, closed=closed)
        ) or not self._waits_for(order):
            return
        counts = self._counts(order)
        self._done_with(order)
        host = order.host
        link, text = self.world.hosts[host].agent, reply.text if reply is not None else ""
        if order.greet or not counts:
            pass
        elif answer is Answer.OK:
            self.watch.confirmed(host, order.status.vips)
        elif answer is Answer.REFUSED:
            new = link.in_flight.new if isinstance(link.in_flight, Ordered) else frozenset[Vip]()
            self.watch.taken_back(host, new)
        if self.clock.history is not None and (answer is not Answer.OK or link.told != order.status):
            self.clock.say(f"  <- {host} {order.number}: {answer} {text}")
        spoken = Spoken(answer, text, closed=closed)
        if reply is not None:
            fields = (*reply.fields, *self.cluster.agents[host].fields)
            uptime = self.cluster.machines[host].uptime
            spoken = replace(
                of_reply(replace(reply, fields=fields, uptime=uptime, token=token)),
                answer=answer,
                closed=closed,
            )
        self._took(order, answered(order, spoken))

    def _looked(self, order: LookForVip, by: Lead | None) -> None:
        if not self._sleeps(self._looked, order, by) and by == self.lead:
            cluster, machine = self.cluster, self.cluster.machines[order.host]
            answers = cluster.answers_arp(order.vip.ip, self.ip)
            for name in order.witnesses:
                answers |= machine.link_to_monitor(self.ip) or cluster.machines[name].sees(machine)
                answers |= not cluster.ping_agent(name, self.ip)
            self.post(VipLooked(order.host, order.vip, not answers))

    def _opined(self, order: AskOthers) -> None:
        if not self._sleeps(self._opined, order):
            heard = tuple(name for name in order.others if self.cluster.ping_agent(name, self.ip))
            reached = tuple(name for name in heard if self._reaches(name, order.host))
            met = tuple(name for name in heard if self.cluster.agents_speak(name, order.host))
            self.post(Opinions(order.host, heard, reached, met))

    def _reaches(self, name: str, other: str) -> bool:
        machines = self.cluster.machines
        return machines[name].reaches(machines[other])

    def _got_ahead(self, order: GetAhead) -> None:
        if not self._sleeps(self._got_ahead, order):
            self.post(GotAhead(order.host))

    def _log_read(self, order: ReadLog) -> None:
        if self._sleeps(self._log_read, order):
            return
        machine = self.cluster.machines[order.host]
        answers = machine.check("mysql", self.ip)[0] is Outcome.OK
        tail = (
            machine.tail(order.since)
            if answers
            else Tail(order.since, self.clock.now, unread=Unread(Hidden.NO_ANSWER))
        )
        self.post(LogRead(order.host, tail))

    def _kill(self, order: KillHost) -> None:
        if order.host in self._kills:
            raise ViolationError(f"{order.host} is killed twice at a time")
        self._kills.add(order.host)
        self.clock.say(f"  kill_host {order.host} {int(order.pings)}")
        takes = 0.0 if self.clock.now < self.cluster.kill_missing_until else 0.1 + 5.0 * self.clock.random()
        self.clock.after(takes, self._killed, order.host, self.lead)

    def _killed(self, host: str, by: Lead | None) -> None:
        if self.gone:
            self.cluster.kill(host)
            return
        if self._sleeps(self._killed, host, by):
            return
        failure = self.cluster.kill(host)
        self.clock.say(f"  kill_host {host} ended: {failure or 'it is off'}")
        if by != self.lead:  # it may have told the host something since
            return
        self._kills.discard(host)
        self.watch.confirmed(host, ())
        self.post(Killed(host, failure))

    def _every_order_ends(self) -> None:
        for name, host in self.world.hosts.items():
            sent = self.orders.get(name)
            if (host.agent.in_flight is not None) != (sent is not None):
                raise ViolationError(
                    f"{name}: the order under way is {sent}, the monitor believes {host.agent}"
                )
            if host.agent.kill.running != (name in self._kills):
                raise ViolationError(
                    f"{name}: kill_host runs: {name in self._kills}, the monitor: {host.agent}"
                )

    # Checks

    def exited(self, host: str) -> None:
        """Take the news that the process of a host's server has ended, and check it at once."""
        if self._sleeps(self.exited, host):
            return
        self.clock.say(f"  <- {host}: its server has ended")
        self.post(ServerExited(host, 4711, self.clock.now))
        self._check(host, "mysql", early=True)

    def _check(self, host: str, check: str, *, early: bool = False) -> None:
        """Run a check; one that is `early` is so beside those that come as regularly as ever."""
        if self._sleeps(partial(self._check, host, check, early=early)):
            return
        cluster, now = self.cluster, self.clock.now
        machine = cluster.machines[host]
        outcome, takes, connecting = machine.check(check, self.ip)
        refused = check == "mysql" and outcome is Outcome.ERROR and not takes
        behind = machine.behind if check == "rep_backlog" and outcome is not Outcome.UNKNOWN else None
        detached = check.startswith("rep") and outcome is Outcome.ERROR and machine.detached
        key = (host, check, outcome, machine.writable, connecting, refused, behind, detached)
        result = self._results.get(key)
        if result is None:
            result = self._result(machine, host, check, outcome, connecting, refused=refused)
            self._results[key] = result
        if isinstance(result, ReplicaChecked) and result.look is not None:
            result = replace(result, look=replace(result.look, transactions=machine.transactions()))
        takes += cluster.late_checks.pop((host, check), 0.0)
        if takes > self.world.conf.checks[check].timeout:
            self.watch.cut_off.late(now, now + takes)
        if takes:
            self.clock.after(takes, partial(self._checked, result, now, early=early))
        else:
            self._checked(result, now, early=early)

    def _result(
        self, machine: "Machine", host: str, check: str, outcome: Outcome, connecting: str, *, refused: bool
    ) -> CheckResult:
        finding = Finding("error", {"text": "down"}, outcome) if outcome is not Outcome.OK else GOOD
        if check == "ping":
            return PingChecked(host, finding)
        if check == "mysql":
            writable = machine.writable if outcome is Outcome.OK else None
            return ServerChecked(host, finding, writable, Cause(REFUSED) if refused else NO_CAUSE)
        if outcome is Outcome.UNKNOWN:
            return ReplicaChecked(host, check, finding)
        if connecting and outcome is Outcome.OK:
            finding = Finding("connecting", {"source": connecting, "error": ""})
        link = Link.CONNECTING if connecting else Link.ATTACHED
        if outcome is Outcome.ERROR and machine.detached:
            link = Link.DETACHED
        behind = machine.behind if check == "rep_backlog" else None
        replica = Replica(connecting, self.cluster.scenario.gtid, behind, link)
        return ReplicaChecked(host, check, finding, Look(replica))

    def _checked(self, result: CheckResult, started: float, *, early: bool = False) -> None:
        if self._sleeps(partial(self._checked, result, started, early=early)):
            return
        if result.answered:
            self._heard = started
        if self.world.network_up:
            self.post(result)
        if early:
            return
        conf = self.world.conf.checks[result.check]
        status = self.world.hosts[result.host].checks[result.check]
        lasted = self.clock.now - started
        due = trap.due(status, started, conf.check_period, conf.trap_period, lasted)
        self.clock.at(max(due, self.clock.now + 0.001), self._check, result.host, result.check)

    def _look_at_network(self) -> None:
        """Ask the ping_ips and the hosts whether anybody answers."""
        if self._sleeps(self._look_at_network):
            return
        answers, host = self.cluster.ping_ips_answer, self.cluster.a_host_answers(self.ip)
        takes = 0.001 if answers and host else PING_TIMEOUT
        self.clock.after(takes, self._looked_at_network, self.clock.now, answers, host)

    def _looked_at_network(self, began: float, answers: bool, host: bool) -> None:  # noqa: FBT001
        if self._sleeps(self._looked_at_network, began, answers, host):
            return
        heard = self.clock.now if host else self._heard
        self._network = cut_off.judged(self._network, self.world, heard, began, answers=answers)
        self.post(Network(self._network.up, self._network.by_hosts))
        assert self.world.conf.monitor is not None
        self.clock.after(self.world.conf.monitor.ping_interval, self._look_at_network)

    # The admin, and the status file

    def command(self, words: str) -> None:
        """Carry out a command."""
        if self._sleeps(self.command, words):
            return
        if words == "set_passive" and self.world.move is not None:  # it waits for the end of that
            self.clock.after(0.1, self.command, words)
            return
        command = ordered(words.split())
        if command is None:
            raise ViolationError(f"the command {words!r} is unknown")
        dead, result = self._carried(command(self.world, self.clock.now))
        self.clock.say(f"  answer: {result.text}")
        self.world = result.world
        self.watch.first_start.begins(result.world)
        self.watch.losses.begins(result.world)
        if dead is not None and result.entry:
            self.watch.confirmed(dead, ())
        self._save()
        if result.awaits is not None:
            self._asked.append((result.awaits, self.clock.now + COMMAND_LIMIT))
        self.take_turn()

    def _carried(
        self, command: asking.Asking[command_result.Result]
    ) -> tuple[str | None, command_result.Result]:
        """Return the host that is thought to be off, if the command is about one, and what the command comes to."""
        dead: str | None = None
        try:
            ask = next(command)
            while True:
                heard = asking.Heard(self.world, self.clock.now)
                match ask:
                    case asking.Ping(host):
                        pinged = not self.world.is_silent(host) and self.cluster.ping_agent(host, self.ip)
                        heard = heard._replace(pinged=pinged)
                    case asking.LookAt(source):
                        heard = heard._replace(
                            looked=self.cluster.look_at_clients(source, self.ip) if source else None
                        )
                    case asking.LookForLife(host):
                        dead = host
                        heard = heard._replace(sign=Sign("agent") if self.cluster.machines[host].on else None)
                ask = command.send(heard)
        except StopIteration as ended:
            result: command_result.Result = ended.value
            return dead, result

    def _answer_the_admin(self) -> None:
        waiting = []
        for awaited, until in self._asked:
            answer = command_result.outcome(self.world, awaited)
            if answer is None and self.clock.now < until:
                waiting.append((awaited, until))
        self._asked = waiting

    def _save(self) -> None:
        """See to it that the status file says what it has to, a moment later as the real one does."""
        world = self.world
        said = (
            world.owner,
            *(
                (host.state, host.agent.may_hold, leases.recorded(host.agent))
                for host in world.hosts.values()
            ),
        )
        if said != self._file and world.mode is not Mode.PASSIVE:
            self._file = said
            self.disk.file_behind = True
            if not self._writing:
                self._writing = True
                self.clock.after(0.02 * self.clock.random(), self._write)

    def _write(self) -> None:
        if self._sleeps(self._write):
            return
        text = status_file.encode(self.world)
        self.watch.reloaded(self.world, text)
        if self.clock.now < self.disk.file_lost_until:
            self.clock.at(self.disk.file_lost_until, self._write)
            return
        self._writing = False
        self.disk.file = text
        self.disk.file_behind = False

    def _recorded(self, order: Tell) -> Tell:
        """Return the order as it may be sent once the status file says what it grants, where it can be written."""
        due = status_file.is_due_before(self.disk.file, self.world, order)
        if due and self.clock.now >= self.disk.file_lost_until:
            self.disk.file = status_file.to_save(self.disk.file, self.world)
        return status_file.as_recorded(self.disk.file, order, self.world.conf.vip_lease)

    def leave(self) -> None:
        """Be stopped in order: who holds the role is granted it for good, as the shell does."""
        leaving = leases.farewell_sent(self.world)
        if self.frozen_until > self.clock.now or leaving is None or not self.world.network_up:
            return
        self.world, last = leaving
        last = self._recorded(last)
        machine = self.cluster.machines[last.host]
        if machine.link_to_monitor() and machine.agent_up:
            self.cluster.send(self, last)

    def settled(self) -> bool:
        """Tell whether nothing but heartbeats is under way."""
        world = self.world
        return not self._kills and world.move is None and world.mode is not Mode.PASSIVE

    def heartbeats(self, number: float) -> float:
        """Return how long so many heartbeats take."""
        return number * max(HEARTBEAT, self.cluster.scenario.tick)

    @property
    def online(self) -> int:
        """Return how many hosts are in use."""
        return sum(host.state is State.ONLINE for host in self.world.hosts.values())


def _answer(reply: Reply | None) -> Answer:
    return Answer.SILENT if reply is None else of_reply(reply).answer


def _shown(order: Tell) -> str:
    vips = " ".join(map(str, order.status.vips)) or "no roles"
    clear = ", and to clear" if order.clear else ""
    return f"{order.status.state}, {vips}, active master {order.status.master or 'none'}{clear}"
