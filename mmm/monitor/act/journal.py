"""Says what the monitor does: in the log, and in the history that outlives it (rules 10.38, 11.3)."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from mmm.monitor.act.history_file import HistoryFile
from mmm.monitor.decide.turn import Assigned, Blocked, Lost, ModeEnded, News
from mmm.monitor.report import changes, history, log_lines, losses
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.handed_on import HandedOn
from mmm.monitor.report.history import Entry, Ledger, Parts
from mmm.monitor.states.table import Change
from mmm.monitor.world.attempt import Attempt
from mmm.monitor.world.events import RejoinAnswered
from mmm.monitor.world.happened import Happened, Why, job_ended
from mmm.monitor.world.host import State
from mmm.monitor.world.loss import Loss
from mmm.monitor.world.move import Move, Phase
from mmm.monitor.world.orders import Rejoin, Tell
from mmm.monitor.world.said import Said
from mmm.monitor.world.world import Mode, World
from mmm.wire.follow import Position, new_epoch
from mmm.wire.job import Ended

log = logging.getLogger(__name__)

_LEVELS = {State.ONLINE: logging.INFO, State.AWAITING_RECOVERY: logging.WARNING}
"""How loudly a change of state is said; failures are FATAL, as in the classic, for they cost redundancy."""


class Chronicle:
    """The monitor's log lines and its history; `clock` tells the time on the wall.

    `place` is the monitor's among so many `monitors`.
    """

    def __init__(self, path: Path, clock: Clock, place: int = 0, monitors: int = 1) -> None:
        self._file = HistoryFile(path)
        self._clock = clock
        self._ledger = Ledger()
        self._jobs: set[str] = set()
        self.heir: Callable[[HandedOn], None] = lambda _: None
        """Is told at once of a history that is gone on with."""
        self.entries = self._file.read()
        """What has happened, the newest last."""
        last = self.entries[-1].epoch if self.entries else 0
        self._among = place, monitors
        self._epoch = new_epoch(max(last + 1, int(clock.wall(time.monotonic()))), *self._among)
        """Higher than that of any monitor before, also of one whose history is lost (see `mmm.wire.follow`)."""
        self.grown = asyncio.Event()
        """Set when something has happened, or another leads; who awaits it takes the next one before it looks."""

    def recalled(self, world: World, now: float) -> World:
        """Return the world that knows what the history tells: who wrote last, and what the last failover has lost."""
        world = self._with_last_writer(world)
        last = history.last_loss(self.entries)
        loss = None if last is None else losses.recalled(last, now)
        if world.loss is not None or loss is None or not {loss.host, loss.taker} <= world.hosts.keys():
            return world
        return replace(world, loss=loss)

    def _with_last_writer(self, world: World) -> World:
        """Return the world that knows who wrote last, if the history tells and the world does not."""
        role = world.conf.roles.get(world.conf.active_master_role)
        if role is None or world.last_writer is not None:
            return world
        last = history.last_holder(self.entries, role.vips[0])
        return replace(world, last_writer=last) if last in world.hosts else world

    def between(self, before: World, after: World) -> None:
        """Say what else is different between two worlds."""
        for level, line in log_lines.between(before, after):
            log.log(level, "%s", line)
        for happened in log_lines.kept(before, after):
            self.noted(happened)
        if after.leadership.leader != before.leadership.leader:
            self.wake()  # who follows may have to go elsewhere
        move = after.move
        if move is not None and move.phase is Phase.RETURNING and before.owner[move.vip] != move.source:
            self._assigned(after, Assigned(move.vip, move.target, move.source), move.cause)
        if move is not None and (failed := _goes_on(after, move)) and before.owner[move.vip] == failed.target:
            self._assigned(after, Assigned(move.vip, failed.target, move.target), failed.cause)

    def turn(self, world: World, news: Iterable[News]) -> None:
        """Say what a turn changed; `world` is the one after it."""
        states: dict[str, Change] = {}
        for change in news:
            if isinstance(change, Change):
                states[change.host] = change
                log.log(_LEVELS.get(change.after, logging.CRITICAL), "%s", change)
                self._add(self._ledger.changed(change, self._clock.wall(time.monotonic())))
            elif isinstance(change, Lost):
                self._lost(change.loss)
            else:
                if isinstance(change, ModeEnded):
                    self.noted(Happened("mode", {"before": Mode.WAIT, "after": world.mode}))
                log.log(logging.WARNING if isinstance(change, Blocked) else logging.INFO, "%s", change)
            if isinstance(change, Assigned):
                self._assigned(world, change, history.cause_of(states, change) or _failure(world, change))

    def _lost(self, lost: Loss) -> None:
        said = losses.said(lost, self._clock)
        log.warning("%s", said)
        entry = history.entry(self._clock.wall(time.monotonic()), Happened("loss", {"said": said}))
        self._add(replace(entry, loss=losses.encoded(lost, self._clock)))

    def commanded(self, before: World, after: World) -> None:
        """Say what an admin's command changed, of what was there before."""
        for name, host in after.hosts.items():
            old = before.hosts.get(name, host).state
            if old is not host.state and host.why is not None:
                change = Change(name, old, host.state, host.why)
                log.info("%s", change)
                self._add(self._ledger.changed(change, self._clock.wall(time.monotonic())))
        for vip, owner in after.owner.items():
            if (old_owner := before.owner.get(vip, owner)) != owner:
                log.info("%s: %s -> %s, by the admin", vip, old_owner or "nobody", owner or "nobody")
                self._assigned(after, Assigned(vip, old_owner, owner), Why("admin"))

    def rebuilt_by_itself(self, order: Rejoin, answer: RejoinAnswered, last: Attempt | None) -> None:
        """Say what came of an order to rebuild a host; a refusal once, though it is tried again and again."""
        said = "; ".join(answer.lines)
        if answer.begun:
            log.warning("%s: is rebuilt by itself, for %s: %s", order.host, order.why, said)
            self.noted(Happened("rejoin_ordered", {"host": order.host, "why": order.why, "job": said}))
        elif last is None or last.codes != answer.reasons:
            log.error("%s: is not rebuilt by itself: %s", order.host, said)
            about = {"host": order.host, "refusal": said, "reasons": answer.reasons}
            self.noted(Happened("rejoin_refused", about))

    def job_ended(self, host: str, ended: Ended) -> None:
        """Keep in the history that a job which rebuilt a host has ended; its agent says so for a while."""
        if ended.name in self._jobs or history.tells_of_job(self.entries, ended.name):
            return
        self._jobs.add(ended.name)
        happened = job_ended(host, ended)
        log.info("%s", happened)
        self.noted(happened)

    def noted(self, happened: Happened) -> None:
        """Keep in the history what is no change of a state, nor a move."""
        self._add(history.entry(self._clock.wall(time.monotonic()), happened))

    def told(
        self, before: World, after: World, order: Tell, took: float, answer: str, parts: Parts = ()
    ) -> None:
        """Say what became of an order: `before` and `after` are the worlds around its answer, `took` is seconds.

        `parts` are what the agent says that each part of it took.
        """
        news = before.hosts[order.host].agent.told != order.status
        roles = ", ".join(map(str, order.status.vips)) or "no roles"
        detached = ", detached from the lost master" if order.status.detach else ""
        detached += ", attached again" if order.status.attach else ""
        log.log(
            logging.INFO if news else logging.DEBUG,
            "%s: told %s, %s%s: %s in %.0f ms",
            order.host,
            order.status.state,
            roles,
            detached,
            answer,
            1e3 * took,
        )
        if news:
            for entry in self._ledger.told(after, order.host, answer, took, time.monotonic(), parts):
                self._add(entry)

    def _assigned(self, world: World, assigned: Assigned, cause: Said | None) -> None:
        now = time.monotonic()
        entry = self._ledger.assigned(world, assigned, cause, now, self._clock.wall(now))
        if entry is not None:
            self._add(entry)

    @property
    def newest(self) -> Position:
        """Return the position behind all that has happened."""
        return changes.newest(self.entries)

    def go_on(self, copied: tuple[Entry, ...], told: Mapping[str, Position] = MappingProxyType({})) -> None:
        """Go on from the history of the monitor that led before; what this one has noted since comes behind it.

        `told` is how far that one has told each section of `<notify>`. Nothing is `copied` where none is known of.

        What was on its way when this one led last has come to its end under another one, or nobody has seen it end.
        """
        self._ledger = Ledger()
        before = self.entries
        if copied:
            self._epoch = new_epoch(max(self._epoch, copied[-1].epoch + 1), *self._among)
            self.entries = history.joined(self.entries, copied, self._epoch)
        self.heir(HandedOn(before, copied, told, self.entries))
        if copied:
            self._write(None)
        self.wake()

    def _add(self, entry: Entry) -> None:
        entry = replace(entry, epoch=self._epoch, number=self.newest.number + 1)
        self.entries = (*self.entries, entry)
        self._write(entry)
        self.wake()

    def _write(self, entry: Entry | None) -> None:
        """Put an entry behind the others in the file, or write all of it; None: all of it."""
        if entry is None or len(self.entries) >= 2 * history.KEPT:
            self.entries, entry = self.entries[-history.KEPT :], None
        self._file.keep(self.entries, entry)

    def wake(self) -> None:
        """Have all look again who wait for something to happen."""
        self.grown.set()
        self.grown = asyncio.Event()


def _failure(world: World, assigned: Assigned) -> Said | None:
    """Return why a planned move failed that this assignment undoes."""
    move = world.move
    if move is None or (move.vip, move.goal) != (assigned.vip, assigned.after):
        return None
    failed = _goes_on(world, move)
    return failed.cause if failed is not None and failed.target == assigned.before else move.cause


def _goes_on(world: World, move: Move) -> Move | None:
    """Return the move that failed and goes on as this one to a third host; None where there is no such."""
    failed = (each for each in world.failed_moves if (each.vip, each.since) == (move.vip, move.since))
    return next((each for each in failed if each.target != move.target), None)
