"""One tally for all families, printed as the last line."""

import pytest

from tests.vectors.tally import Tally

_ALL = Tally()


@pytest.fixture
def tally() -> Tally:
    """Give the counts of one family; they are added to the whole."""
    return _ALL


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _ALL.agree or _ALL.by_rule or _ALL.wrong:
        terminalreporter.write_line(str(_ALL))
