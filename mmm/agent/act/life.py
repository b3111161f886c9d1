"""How long an agent is there: until the daemon is asked to end, or takes another conf and another agent follows."""

import asyncio
import logging
from collections.abc import Callable

from mmm.config.model import Cluster
from mmm.config.reload import Change
from mmm.process.conf_file import ConfFile, UnusableError

Objections = tuple[tuple[Change, ...], tuple[str, ...]]
"""What is not the same in another conf, and why it is not taken: a line each, none where it is."""

log = logging.getLogger(__name__)


class Life:
    """The life of a daemon whose conf is in `file`."""

    def __init__(self, file: ConfFile) -> None:
        self._file = file
        self._ended = False
        self._reloads = False
        self._learned = False
        self._asked = asyncio.Event()

    @property
    def conf(self) -> Cluster:
        """Return the conf that counts."""
        return self._file.conf

    @property
    def ended(self) -> bool:
        """Tell whether the daemon was asked to end."""
        return self._ended

    def end(self) -> None:
        """Have it end."""
        self._ended = True
        self._asked.set()

    def reload(self) -> None:
        """Have the conf be read and taken."""
        self._reloads = True
        self._asked.set()

    def learn(self, conf: Cluster) -> bool:
        """Have this be the conf, which says more than its files do, and tell whether another agent goes on by it.

        None does where the daemon is to end.
        """
        if self._ended:
            return False
        self._file.take(conf)
        self._learned = True
        self._asked.set()
        return True

    async def over(self, objections: Callable[[Cluster], Objections]) -> None:
        """Return once the time of the agent is over that has these objections to another conf."""
        while True:
            await self._asked.wait()
            if self._ended:
                return
            self._asked.clear()
            if self._learned:
                self._learned = False
                if self._reloads:  # the next agent is asked for that
                    self._asked.set()
                return
            self._reloads = False
            if await self._take(objections):
                return

    async def _take(self, objections: Callable[[Cluster], Objections]) -> bool:
        """Tell whether the conf as it is written now is taken; the log says what comes of it."""
        old = self._file.conf
        try:
            conf = await asyncio.get_running_loop().run_in_executor(None, self._file.read)
        except UnusableError as error:
            log.error("the conf cannot be used, all stays as it was: %s", "; ".join(error.lines))
            return False
        if self._learned:  # meanwhile, and what was read may not have it yet
            self.reload()
            return False
        news, against = objections(conf)
        if against:
            log.error("the conf is not taken, all stays as it was: %s", "; ".join(against))
        elif news:
            for warning in conf.warnings:
                if warning not in old.warnings:
                    log.warning("%s", warning)
            self._file.take(conf)
            log.info("the conf is taken: %s", "; ".join(map(str, news)))
            return True
        else:
            log.info("the conf has not changed")
        return False
