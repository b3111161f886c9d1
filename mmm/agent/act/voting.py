"""This host's vote on which monitor leads: the rules of `mmm.lease.voter`, kept on disk (rule 14.2).

What it is bound to stands below /run, the highest epoch and the record where a boot leaves them. Both are written
before an answer is given.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmm.agent.act import promise_file
from mmm.agent.act.memory import STATE
from mmm.clock import clock
from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING
from mmm.lease.rules import NEVER
from mmm.lease.voter import Voter, without_disk
from mmm.wire import voting as wire
from mmm.wire.agent import WireError
from mmm.wire.json_text import parsed

log = logging.getLogger(__name__)


class Voting:
    """The vote of this host; without a pid file nothing of it outlasts the agent."""

    def __init__(self, conf: Cluster, pid_path: str, now: Callable[[], float] = clock) -> None:
        self._now, self._length = now, conf.lead_lease
        self._order_length = min(conf.lead_lease, conf.vip_lease)
        self._bound = Path(f"{pid_path}.lead") if pid_path else None
        self._disk = _outlasting(self._bound)
        self._listed = self._voted = tuple(sorted(conf.voters))
        """The voters of the conf, and those that it has voted with."""
        self.voter = self._begun()
        self._see_change()

    def said(self) -> wire.Said:
        """Return what the voter is bound to now."""
        now, voter = self._now(), self.voter
        follows = voter.follows(now)
        left = max(0.0, voter.until - now) if follows else 0.0
        return wire.Said(follows, left, voter.record, voter.new, self.changed, voter.highest)

    @property
    def changed(self) -> bool:
        """Tell whether it has voted with others than its conf names now, by more than one.

        Two majorities of such sets may have no voter in common.
        """
        return len(set(self._voted) ^ set(self._listed)) > 1

    def _see_change(self) -> None:
        if self.changed:
            log.warning(
                "start: the conf has the voters %s, and this agent has voted with %s: it counts once it has heard a"
                " monitor that leads; where none does, 'mmm_control take_lead --force' once no other one gives orders",
                ", ".join(self._listed), ", ".join(self._voted),
            )  # fmt: skip

    def asked(self, asked: wire.Asked, given: float | None) -> str:
        """Take in what a monitor asks; returns why it is not agreed to, empty where it is.

        `given` is the moment at which this agent gave the token that the monitor has seen.
        """
        now, before, voted = self._now(), self.voter, self._voted
        if asked.epoch is None:
            return ""
        if asked.length <= 0:
            self.voter = before.released(asked.epoch)
        elif refusal := before.refusal(asked.epoch, now):
            return str(refusal)
        else:
            whole = (
                before if given is None else before.made_whole(asked.epoch, given, self._order_length, now)
            )
            self.voter = whole.agreed(asked.epoch, asked.record, self._length, now)
            led = given is not None and before.obeys(asked.epoch, given, self._order_length, now)
            self._voted = self._listed if led or not self.changed else voted
        return self._keep(before, voted)

    def refusal(self, lead: Lead | None, token: float | None, *, needs_token: bool) -> str:
        """Return why an order is not obeyed, empty where it is; `token` is the moment of the order's token."""
        now, follows = self._now(), self.voter.follows(self._now())
        if lead is None or follows != lead:
            who = f"the monitor at {follows.address}" if follows else "no monitor"
            return f"this agent has agreed to {who}: no order of another one is obeyed"
        if needs_token and (token is None or not self.voter.obeys(lead, token, self._order_length, now)):
            return "this order is older than the lead that it was given by: not obeyed"
        return ""

    def _keep(self, before: Voter, voted: tuple[str, ...]) -> str:
        """Write down what has changed; returns why that failed, with the vote as it was."""
        now, voter = self._now(), self.voter
        try:
            of_before = before.highest, before.record, before.new, voted
            if (voter.highest, voter.record, voter.new, self._voted) != of_before:
                kept = {"record": wire.record_text(voter.record), "new": voter.new, "voters": self._voted}
                promise_file.store(
                    self._disk, json.dumps({"highest": _text(voter.highest), **kept}) + "\n", settled=True
                )
            if (voter.epoch, voter.until) != (before.epoch, before.until):
                self._keep_bound(voter, now)
        except OSError as error:
            self.voter, self._voted = before, voted
            log.warning("the vote cannot be kept: %s: %s", error.filename, error.strerror or error)
            return "the vote cannot be kept"
        return ""

    def _keep_bound(self, voter: Voter, now: float) -> None:
        bound = {"boot": promise_file.boot(), "epoch": _text(voter.epoch), "until": max(voter.until, 0.0)}
        promise_file.store(self._bound, json.dumps({**bound, "booted": max(voter.booted, 0.0), "at": now}))

    def _begun(self) -> Voter:
        """Return the voter of an agent that starts."""
        now, kept = self._now(), _kept(self._disk)
        bound = _read(self._bound, {"boot": str, "epoch": str, "until": float, "booted": float, "at": float})
        if kept is None:
            voter = without_disk(now, self._length)
            log.warning(
                "start: nothing is known of monitors that this host has agreed to: it votes once the others have"
            )
            self._mark(voter, now)
            return voter
        if isinstance(kept.get("voters"), list):
            self._voted = tuple(map(str, kept["voters"]))
        record = wire.record_of(kept["record"])
        voter = Voter(highest=wire.epoch_of(kept["highest"]), record=record, new=kept["new"])
        if bound is None or bound["boot"] != promise_file.boot() or bound["at"] > now:
            voter = voter.rebooted(now, self._length)
            self._mark(voter, now)
            return voter
        epoch = wire.epoch_of(bound["epoch"])
        until = float(bound["until"]) if epoch else NEVER
        return voter._replace(epoch=epoch, until=until, booted=float(bound["booted"]))

    def _mark(self, voter: Voter, now: float) -> None:
        """Note that the agent runs in this boot, so that the next one does not wait as after a boot."""
        try:
            self._keep_bound(voter, now)
            if voter.new:
                none = {"highest": "", "record": wire.record_text(NOTHING), "new": True}
                promise_file.store(self._disk, json.dumps(none) + "\n", settled=True)
        except OSError as error:
            log.warning("start: %s: %s", error.filename, error.strerror or error)


def _text(epoch: Lead | None) -> str:
    return "" if epoch is None else wire.epoch_text(epoch)


def _kept(file: Path | None) -> dict[str, Any] | None:
    """Return what the file has that outlasts a boot, None where it was lost or damaged: then nothing of it counts."""
    kept = _read(file, {"highest": str, "record": str, "new": bool})
    try:
        wire.record_of(kept["record"] if kept else "")
    except WireError:
        return None
    return kept


def _read(file: Path | None, fields: Mapping[str, type]) -> dict[str, Any] | None:
    """Return what a file has, None where there is none, or one without these fields: nothing of that is gone by."""
    try:
        values = parsed(promise_file.load(file))
    except ValueError:
        return None
    whole = isinstance(values, dict) and all(_is_a(kind, values.get(name)) for name, kind in fields.items())
    return values if whole else None


def _is_a(kind: type, value: object) -> bool:
    return isinstance(value, (int, float) if kind is float else kind)


def _outlasting(file: Path | None) -> Path | None:
    """Return the file that stays when the host boots."""
    below = {Path("/run"), Path("/var/run")}
    return STATE / f"{file.name}.voter" if file is not None and below & set(file.parents) else _beside(file)


def _beside(file: Path | None) -> Path | None:
    return None if file is None else file.with_name(f"{file.name}.voter")
