"""Fixtures that many tests share."""

from collections.abc import Iterator

import pytest

from tests.servers import MISSING, Server, Servers


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which servers could not be had, so that what was not tested is not taken for tested."""
    if MISSING:
        terminalreporter.section(
            "SERVERS THAT COULD NOT BE HAD: tests with them were skipped", red=True, bold=True
        )
        for reason in MISSING.values():
            terminalreporter.write_line(reason)


@pytest.fixture(scope="session")
def server_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Starts MariaDB servers; all are killed when the tests are over."""
    pool = Servers(tmp_path_factory.mktemp("servers"))
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def server(server_pool: Servers) -> Server:
    """One running MariaDB server that the tests share: a test leaves it writable and unreplicated."""
    return server_pool.start()
