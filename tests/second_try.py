"""A second try for a scenario that ran out of time: on a busy machine that says little. What is asserted has one."""

import subprocess

import pytest

from mmm.sandbox.machines.machine import NotInTimeError

TIME_OUTS = NotInTimeError, TimeoutError, subprocess.TimeoutExpired


class _OnlyTimeOuts:
    """Tells of each error of one test whether it ran out of time, and of none any more once another was among them."""

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, error: BaseException | None) -> bool:
        self._failed |= not isinstance(error, TIME_OUTS)
        return not self._failed


def second_try() -> pytest.MarkDecorator:
    """Return the mark of a test that is begun again, once, where nothing but time-outs has ended it."""
    return pytest.mark.flaky(reruns=1, condition=_OnlyTimeOuts())
