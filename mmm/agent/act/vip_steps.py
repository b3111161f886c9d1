"""The steps on the interface: a VIP is bound, unbound, probed, and kept by the kernel."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

from mmm.agent.act.clients import cut_off, end_clients_of, entrance
from mmm.agent.act.listening import Listening
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.step_error import LeaseOverError, StepError
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import Plan, Probe
from mmm.config.model import Vip
from mmm.mysql.server.processlist import Session
from mmm.network.arp import Announcer
from mmm.network.farewell import Farewell
from mmm.network.probe import holder
from mmm.network.vips import Interface
from mmm.wire.why import NOT_LISTENING

PROBE_FRESH = 0.5
"""Seconds after its end up to which a probe counts; it ran while other steps were done."""

log = logging.getLogger(__name__)


class VipSteps:
    """The interface of this host, and what is said of its VIPs on the wire.

    `lifetime` tells for how many seconds the kernel is to keep a VIP: 0 for ever, negative where it may not be bound.
    """

    def __init__(
        self,
        at: Workplace,
        interface: Interface,
        announcer: Announcer,
        lifetime: Callable[[Vip], int],
    ) -> None:
        self._at = at
        self._interface = interface
        self._announcer = announcer
        self._lifetime = lifetime
        self._farewell = Farewell(interface.name)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._asked: dict[Probe, Future[tuple[str | None, float]]] = {}
        self._listening = Listening(at.here.mysql_port)

    def prepare(self) -> None:
        """Look where the server listens, so that nobody waits for it."""
        self._listening.look()

    def bind(self, vip: Vip, *, insist: bool = False) -> str:
        """Bind a VIP and announce it, for a while again and again where it is to `insist`; or hold what has no address.

        Raises InterfaceError, StepError.
        """
        self.see_listening(vip)
        if not self._is_bound(vip):
            lifetime = self.lease_of(vip)
            self._interface.bind(vip.ip, lifetime)
            return self._done(vip) + (f" for {lifetime} s" if lifetime else "")
        with self._at.watch.lap(self._named("bind", vip)):
            self._farewell.stop(vip.ip)
            lifetime = self.lease_of(vip)  # the kernel counts it from now on
            self._interface.bind(vip.ip, lifetime)
        with self._at.watch.lap(self._named("first ARP", vip)):
            self._announcer.begin(vip.ip, insist=insist)
        self._announcer.ask(vip.ip)
        return f"bound on {self._interface.name}" + (f" for {lifetime} s" if lifetime else "")

    def _is_bound(self, vip: Vip) -> bool:
        """Tell whether the VIP is one that is bound on an interface."""
        return vip in self._at.conf.bound_vips

    def _done(self, vip: Vip) -> str:
        """Return what to say of a VIP that is not bound here."""
        return "load balancers are told so" if vip in self._at.conf.asked_vips else "vip_script has moved it"

    def see_listening(self, vip: Vip) -> None:
        """Raise StepError where the server lives and would refuse whoever comes through the VIP."""
        if why_not := self._listening.deaf_at(vip.ip if self._is_bound(vip) else self._at.here.ip):
            raise StepError(why_not, NOT_LISTENING)

    def lease_of(self, vip: Vip) -> int:
        """Return for how many seconds the VIP may be bound now; raises StepError."""
        lifetime = self._lifetime(vip)
        if lifetime < 0:
            raise LeaseOverError
        return lifetime

    def unbind(self, vip: Vip, session: ServerSession, stay: tuple[Session, ...] | None) -> str:
        """Unbind a VIP, and end who came through it.

        `stay` are the sessions that stay where all others were ended a moment ago, else None. Raises InterfaceError.
        """
        if vip in self._at.conf.asked_vips:
            return self._let_go(vip, session, stay)
        ip, announced = vip.ip, self._is_bound(vip)
        if announced:
            self._announcer.end(ip)
        with self._at.watch.lap(self._named("end clients", vip)):
            leaving = end_clients_of(ip, self._at.here.mysql_port, session, self._at.keep, stay)
        farewell = self._farewell.of(ip) if announced else nullcontext()
        with self._at.watch.lap(self._named("unbind", vip)), farewell:
            cut_off(ip, self._at.here.mysql_port, leaving)
            self._interface.unbind(ip)
        if announced:
            self._announcer.ask(ip)
        ended = leaving.ended
        return f"gone from {self._interface.name}" + (f", {ended} clients ended" if ended else "")

    def _let_go(self, vip: Vip, session: ServerSession, stay: tuple[Session, ...] | None) -> str:
        """Hold no more a role that has no address. Its clients come to the host itself: those that are left are ended.

        Where all were ended a moment ago nobody is cut off: who has come since finds read_only, as replicas do.
        """
        self._interface.unbind(vip.ip)
        ended = 0
        if stay is None and (ip := entrance(self._at.conf, self._interface, vip.ip)):
            with self._at.watch.lap(self._named("end clients", vip)):
                leaving = end_clients_of(ip, self._at.here.mysql_port, session, self._at.keep)
                cut_off(ip, self._at.here.mysql_port, leaving)
            ended = leaving.ended
        return self._done(vip) + (f", {ended} clients ended" if ended else "")

    def unbind_elsewhere(self, vip: Vip) -> str:
        """Unbind a VIP from all other interfaces. Raises InterfaceError."""
        where = ", ".join(self._interface.elsewhere([vip.ip]).get(vip.ip, ()))
        self._interface.unbind_elsewhere(vip.ip)
        return f"gone from {where or 'there'}"

    def begin_probes(self, plan: Plan) -> None:
        """Ask who has the VIPs that are probed, while the steps before that are done."""
        self._asked = {
            step: self._threads.submit(self._ask_who_has, step.vip.ip)
            for step in plan.steps
            if isinstance(step, Probe)
        }

    def _ask_who_has(self, ip: str) -> tuple[str | None, float]:
        return holder(self._announcer.sender, ip), time.monotonic()

    def probed(self, step: Probe) -> str:
        """Tell who has the VIP on the wire. Raises StepError where somebody has and that is to stop the order."""
        mac, ended = self._asked[step].result()
        if time.monotonic() - ended > PROBE_FRESH:
            mac = holder(self._announcer.sender, step.vip.ip)
        if mac is None:
            return f"nobody could be asked on {self._interface.name} who has it"
        if not mac:
            return f"nobody answers for it on {self._interface.name}"
        said = f"{mac} on {self._interface.name} has it"
        if step.stop:
            raise StepError(f"{said}: it is not bound here too (split_brain_guard); find that host")
        log.warning("conflict: %s: %s; it is bound anyway", step.vip, said)
        return said

    def renew(self, vips: Iterable[Vip]) -> None:
        """Have the kernel keep what is bound for as long as it may be."""
        for vip in vips:
            self._interface.renew(vip.ip, self._lifetime(vip))

    def _named(self, part: str, vip: Vip) -> str:
        """Return the name of a part of a change: that of the active master role goes without its VIP."""
        return part if vip.role == self._at.conf.active_master_role else f"{part} {vip}"
