"""That a file cannot be written is said once, not at every try: a turn tries four times a second."""

import logging
import time

AGAIN = 60.0
"""Seconds after which it is said again while it lasts."""

log = logging.getLogger(__name__)


class Complaint:
    """What is wrong with `what`, a kind of file and its path; one thread at a time tells of it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said = ""
        self._when = 0.0

    def cannot_be_written(self, error: OSError) -> None:
        """Log the error where it is another one than before, or a minute has passed."""
        why, now = str(error.strerror or error), time.monotonic()
        if why == self._said and now - self._when < AGAIN:
            return
        self._said, self._when = why, now
        log.error("%s cannot be written: %s", self._what, why)

    def is_written(self) -> None:
        """Log that it is written again where it could not be."""
        if self._said:
            self._said = ""
            log.warning("%s is written again", self._what)
