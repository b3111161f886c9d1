"""Whom this host's agent obeys, by the rules of `mmm.lease.lead`, and what it logs about those it refuses."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mmm.agent.act import promise_file
from mmm.agent.act.credentials import Credentials
from mmm.agent.act.voting import Voting
from mmm.clock import clock
from mmm.config.agreement import HOSTS, IPS, VOTERS, differing, digests
from mmm.config.model import Cluster
from mmm.lease.lead import UNKNOWN, Following, Lead, silence
from mmm.network.listener import Peer
from mmm.wire import agent as wire
from mmm.wire import lead as show
from mmm.wire.status import granted, ordered_status
from mmm.wire.voting import NOT_LED
from mmm.wire.voting import asked as ask_of

AGAIN = 60.0
"""Seconds until a refusal for the same reason is logged again."""

log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a request is refused: the text, its code, and the fields that go with it."""

    text: str
    why: str
    fields: tuple[str, ...] = ()


class Standing(NamedTuple):
    """What is known of monitors."""

    following: Following
    differs: tuple[str, ...]
    """In what the conf of the one that is followed differs."""
    classic: bool
    """It is one of MMM 2.x, and that was said."""
    voting: Voting | None


class Authority:
    """The monitor that an agent follows, and the one that it has refused.

    `file` keeps, for an agent that is started later, what hosts of the active master role the monitor knows of.
    `standing` is what the agent knew whose place this one takes.
    """

    def __init__(
        self,
        conf: Cluster,
        now: Callable[[], float] = clock,
        given: Callable[[str], float | None] = lambda _: None,
        file: Path | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._now = now
        self._credentials = Credentials(conf, now, given)
        self._silence = silence(conf.vip_lease, len(conf.hosts))
        self._following = Following()
        self._stranger, self._refused = "", -self._silence
        self._said: dict[str, float] = {}
        self._classic = False
        self._own = digests(conf)
        self._writer = conf.active_master_role
        self._knows_vips = conf.master_vip is not None
        self._differs: tuple[str, ...] = ()
        self.voting = Voting(conf, conf.here.pid_path, now) if conf.monitors else None
        self._given = given
        self._file = file
        self._agreed = promise_file.load(file)
        if standing is not None:
            self._following, self._differs, self._classic, self.voting = standing

    @property
    def standing(self) -> Standing:
        """Return what the agent that takes the place of this one goes on with."""
        return Standing(self._following, self._differs, self._classic, self.voting)

    def followed_before(self) -> None:
        """Note that an earlier start of this agent was given a lease: the monitor is not of MMM 2.x."""
        self._following = Following(UNKNOWN, self._now(), free=True)

    def refusal(self, request: wire.Request, peer: Peer) -> Refusal | None:
        """Return why the request is refused; None: it is not, and its sender is followed from now on if it orders."""
        if lack := self._credentials.lack(request, peer):
            self.warn(f"{peer.ip} {lack.why}", f"refused, from {peer.ip}: {lack.text}")
            return Refusal(lack.text, lack.why)
        if show.is_free(request):
            self._following = self._following.freed(_lead(request, peer))
        if request.command in {wire.PROMISE, wire.HELD}:
            return self._disagreement(request)
        if request.command not in show.ORDERS:
            return None
        now, lead = self._now(), _lead(request, peer)
        if self.voting is not None:
            return self._not_led(self.voting, request, lead) or self._led(request, lead, peer)
        followed = self._following.refuses(lead, now, self._silence)
        if followed is None:
            return self._led(request, lead, peer)
        self._stranger, self._refused = lead.address if lead is not None else peer.ip, now
        text = f"this agent obeys the monitor at {followed.address}, not another one at {self._stranger}"
        self.warn(self._stranger, f"refused: {text}; stop one of the two")
        return Refusal(text, show.OTHER_MONITOR, (show.follows_field(followed),))

    def _led(self, request: wire.Request, lead: Lead | None, peer: Peer) -> Refusal | None:
        """Follow the monitor of an order; returns why the order is refused all the same."""
        self._follow(lead, peer, self._now())
        return self._disagreement(request) if request.command == wire.SET_STATUS else None

    def _not_led(self, voting: Voting, request: wire.Request, lead: Lead | None) -> Refusal | None:
        """Return why an order is refused for who gives it, where there are several monitors."""
        is_order = request.command == wire.SET_STATUS
        offer = granted(request) if is_order else None
        token = self._given(offer.token) if offer else None
        if not (text := voting.refusal(lead, token, needs_token=is_order)):
            return None
        self.warn(f"led {lead}", f"{request.command} refused: {text}")
        return Refusal(text, NOT_LED)

    def vote(self, voting: Voting, request: wire.Request) -> tuple[str, Refusal | None]:
        """Return why a monitor that asks to lead is not agreed to, and why it is refused; raises WireError."""
        asked = ask_of(request)
        said, own = show.conf_of(request), {VOTERS: self._own.get(VOTERS, "")}
        if differs := differing(own, said):
            text = "voters, lead_lease or vip_lease differ between the confs of this agent and of the monitor"
            self.warn(f"LEAD {differs}", f"LEAD refused: {text}: make them the same in mmm_common.conf")
            return "", Refusal(text, show.CONF, (show.differs_field(differs),))
        before = voting.said().follows
        refused = voting.asked(asked, self._given(asked.seen) if asked.seen else None)
        after = voting.said().follows
        if after != before and after is not None:
            log.info("agrees to be led by the monitor at %s, epoch %d", after.address, after.number)
        return refused, None

    def fields(self) -> tuple[str, ...]:
        """Return what the answer to an order tells the monitor that is followed.

        Who else has given orders lately, and in what the confs differ.
        """
        lately = self._stranger and self._now() < self._refused + self._silence
        stranger = (show.stranger_field(self._stranger),) if lately else ()
        return (*stranger, show.differs_field(self._differs)) if self._differs else stranger

    def has_other_vips(self) -> bool:
        """Tell whether the monitor's VIPs of the active master role are not those of this conf: one may be bound."""
        return IPS in self._differs or not self._knows_vips

    def is_agreed(self) -> bool:
        """Tell whether the monitor has said last that it knows of the same hosts of the active master role.

        With another conf this agent may not know a host that the monitor gives the role to, and would not ask it.
        """
        return bool(self._agreed) and self._agreed == self._own.get(HOSTS)

    def _agree(self, said: Mapping[str, str]) -> None:
        """Keep which hosts of the active master role the monitor knows of; a later start of the agent reads it."""
        if (agreed := said.get(HOSTS, "")) == self._agreed:
            return
        self._agreed = agreed
        with suppress(OSError):  # then an agent that is started later has to hear the monitor first
            promise_file.store(self._file, agreed)

    def _disagreement(self, request: wire.Request) -> Refusal | None:
        """Return why a request is refused that would prolong a lease: by another conf than this one."""
        said = show.conf_of(request)
        differs = differing(self._own, said)
        if request.command == wire.SET_STATUS:
            self._differs = differs
            self._agree(said)
        elif HOSTS in self._differs:
            differs = self._differs  # a host that both confs lack is asked by nobody
        if not differs or (request.command == wire.SET_STATUS and not self._holds(request)):
            return None
        whose = "the monitor" if differs == self._differs else "the sender"
        text = (
            f"the conf of this agent and that of {whose} differ in {', '.join(differs)}: make them the same"
        )
        self.warn(f"{request.command} {differs}", f"{request.command} refused: {text}")
        return Refusal(text, show.CONF, (show.differs_field(differs),))

    def _holds(self, request: wire.Request) -> bool:
        """Tell whether the order gives this host the active master role, or leaves it there."""
        with suppress(wire.WireError):
            return any(vip.role == self._writer for vip in ordered_status(request).vips)
        return False

    def _follow(self, lead: Lead | None, peer: Peer, now: float) -> None:
        before = self._following
        self._following = before.obeyed(lead, now)
        if lead is None and not self._classic:
            self._classic = True
            log.warning(
                "obeys a monitor at %s that does not name itself, as one of MMM 2.x: any user of a machine"
                " that is let in can give such orders",
                peer.ip,
            )
        if lead is not None and lead != before.followed(now, self._silence):
            self._stranger = ""
            log.info("obeys the monitor at %s, started as %s", lead.address, lead.nonce)

    def warn(self, key: str, text: str) -> None:
        """Log a refusal, unless one for the same reason, the `key`, was logged less than AGAIN seconds ago."""
        now = self._now()
        if now - self._said.get(key, -AGAIN) < AGAIN:
            return
        if len(self._said) >= 100:
            self._said.clear()
        self._said[key] = now
        log.warning("%s", text)


def _lead(request: wire.Request, peer: Peer) -> Lead | None:
    """Return who gives the order; a monitor whose port is at a loopback address is known by where it comes from."""
    lead = show.lead_of(request)
    if lead is None or not lead.address.startswith(("127.", "[::1]:", "0.0.0.0:", "[::]:")):
        return lead
    return lead._replace(address=f"{peer.ip}, {lead.address}")
