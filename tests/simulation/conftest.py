"""Says at the end which seeds were run."""

from collections.abc import Callable

import pytest

_LINES: list[str] = []


@pytest.fixture
def say() -> Callable[[str], None]:
    """Give what takes a line for the end of the tests."""
    return _LINES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _LINES:
        terminalreporter.write_line(f"simulation: {line}")
