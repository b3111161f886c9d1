"""What runs beside a daemon's worker: the watchdog of its angel, and the process that the angel keeps, if any."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmm.process.board import Board
from mmm.process.companion import Companion
from mmm.process.watchdog import Ward, no_ward


@dataclass(frozen=True, slots=True)
class Beside:
    """Made before the worker is forked; the worker sets the `ward` and puts on the `board`, for the companion."""

    ward: Ward = field(default_factory=no_ward)
    companion: Companion | None = None
    board: Board | None = None

    @property
    def duties(self) -> tuple[Ward | Companion, ...]:
        """Return what the angel looks after."""
        return (self.ward,) if self.companion is None else (self.ward, self.companion)

    @contextmanager
    def without_angel(self) -> Iterator[None]:
        """Have the companion run during the block."""
        if self.companion is None:
            yield
            return
        with self.companion.beside():
            yield
