"""A process that must not outlive the one that started it (PR_SET_PDEATHSIG, prctl(2))."""

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl
"""Looked up before any fork: a child of a process with threads may not."""


def signal_at_parents_end(number: signal.Signals) -> None:
    """Have the kernel send this process the signal once its parent has ended; to be called in the child."""
    _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
