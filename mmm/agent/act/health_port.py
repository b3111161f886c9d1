"""Answers load balancers over HTTP, in a separate process, which goes on when the worker is stopped.

What it says is what the worker put on the board last, judged by the clock at the moment at which it is asked.
"""

import asyncio
import json
import logging

from mmm.agent.act import guard
from mmm.agent.decide.health import (
    GOOD,
    Names,
    Report,
    asked,
    decoded,
    everything,
    looks,
    unchanged_until,
    verdict,
)
from mmm.clock import clock
from mmm.config.allow import Allowed, health_allowed, health_sentence
from mmm.config.model import Cluster, Socket
from mmm.lease.rules import NEVER
from mmm.network.http_port import HttpPort
from mmm.network.http_text import Answer
from mmm.process import tls
from mmm.process.board import Board
from mmm.process.conf_file import ConfFile
from mmm.process.renewal import ClusterTls
from mmm.process.started import on_reload

AGAIN = 5.0
"""Seconds after which a port is tried again that could not be had."""
_KEPT = 64
"""Answers that are kept."""

log = logging.getLogger(__name__)


def serve(file: ConfFile, board: Board) -> int:
    """Answer until the process is ended, by whatever conf was taken last; returns an exit status."""
    asyncio.run(_serve_guarded(file, board))
    return 0


async def _serve_guarded(file: ConfFile, board: Board) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(guard.watch(file))
        if file.conf.hosts[file.conf.this].health_port:
            tasks.create_task(_serve(file, board))


async def _serve(file: ConfFile, board: Board) -> None:
    conf, served = file.conf, Served(file, board)
    here, said = conf.hosts[conf.this], ""
    where = f"{here.ip}:{here.health_port}"
    port = HttpPort("health port", served.answer, served.allowed)
    while True:
        try:
            secured = ClusterTls(Socket() if conf.health_plain else conf.socket)
            on_reload(secured.renewal.ask)
            listening = port.listen(here.ip, here.health_port or 0, secured.server)
            async with listening, secured.renewal.watched():
                log.info("%s", health_sentence(conf))
                await asyncio.Event().wait()
        except (OSError, tls.TlsError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            if why != said:
                log.error("health port: cannot listen on %s: %s; trying again every %g s", where, why, AGAIN)
            said = why
        await asyncio.sleep(AGAIN)


class Served:
    """What is answered, and to whom, by the conf that was taken last."""

    def __init__(self, file: ConfFile, board: Board) -> None:
        self._file, self._board = file, board
        self._take()

    def answer(self, target: str) -> Answer:
        """Return the answer to a request for `target`."""
        self._see()
        return self._answers.answer(target)

    def allowed(self) -> Allowed:
        """Return who may ask: a load balancer that the conf names now is let in though nobody else has asked."""
        self._see()
        return self._allowed

    def _see(self) -> None:
        if self._file.taken != self._known:
            self._take()

    def _take(self) -> None:
        self._known, conf = self._file.taken, self._file.conf
        self._answers, self._allowed = Answers(conf, self._board), health_allowed(conf)


class Answers:
    """What is answered by what stands on the board; what is said of a role is kept for as long as it is right."""

    def __init__(self, conf: Cluster, board: Board) -> None:
        self._names = Names(tuple(conf.roles), conf.active_master_role)
        self._board = board
        self._nothing = Report(conf.this, "", NEVER)
        self._report, self._number = self._nothing, -1
        self._kept: dict[str, Answer] = {}
        self._until = NEVER
        """Before this moment no answer that is kept is changed by the clock."""

    def answer(self, target: str) -> Answer:
        """Return the answer to a request for `target`."""
        now, number = clock(), self._board.number
        if number != self._number:
            word = self._board.read()
            self._report, self._number = decoded(word) if word else self._nothing, number
            self._until = NEVER
        if now >= self._until or len(self._kept) >= _KEPT:
            self._until = unchanged_until(self._report, now)
            self._kept.clear()
        return self._kept.get(target) or self._made(target, now)

    def _made(self, target: str, now: float) -> Answer:
        try:
            question = asked(target, self._names)
        except ValueError as error:
            return _answer(400, {"error": str(error)})
        if question is None:
            paths = ", ".join(f"/{name}" for name in ("", *self._names.roles, "replica"))
            return _answer(404, {"error": f"there are {paths}"})
        report = self._report
        if not question.name:
            return _answer(200 if looks(report, now) else 503, everything(report, self._names, now))
        what = verdict(report, question, self._names, now)
        self._kept[target] = _answer(200 if what.why in GOOD else 503, what.fields())
        return self._kept[target]


def _answer(status: int, fields: object) -> Answer:
    return Answer(status, json.dumps(fields).encode() + b"\n")
