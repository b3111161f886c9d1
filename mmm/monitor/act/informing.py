"""Has told what happens whom the conf names; most monitors tell nobody, and load nothing for it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm.monitor.act import told
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.command.leading import leads_here
from mmm.monitor.report.clock import Clock
from mmm.monitor.world.world import World
from mmm.wire.follow import Position

if TYPE_CHECKING:
    from mmm.monitor.act.notifying import Telling


class Informing:
    """What the `<notify>` sections of the world's conf are told; `start` begins what runs beside the monitor's loop."""

    def __init__(
        self,
        world: Callable[[], World],
        chronicle: Chronicle,
        clock: Clock,
        start: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
    ) -> None:
        self._world, self._chronicle, self._clock, self._start = world, chronicle, clock, start
        self._telling: Telling | None = None

    def begin(self) -> None:
        """Go on where the monitor before has ended."""
        if not self._world().conf.notify:
            told.forget(self._path)
        self.go_by_conf()

    def go_by_conf(self) -> None:
        """Have told what happens whom the conf names by now, and nobody else."""
        conf = self._world().conf
        if self._telling is None and conf.notify:
            from mmm.monitor.act.notifying import Telling  # noqa: PLC0415 - most monitors tell nobody

            self._telling = Telling(
                self._chronicle, self._clock, self._start, self._path, lambda: leads_here(self._world())
            )
        if self._telling is not None:
            self._telling.by(conf)

    def told(self) -> Mapping[str, Position]:
        """Return how far each section has been told."""
        return {} if self._telling is None else self._telling.told.positions

    @property
    def _path(self) -> Path:
        return Path(f"{self._world().monitor.status_path}.told")
