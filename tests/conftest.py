"""Fixtures that many tests share."""

from collections.abc import Iterator

import hypothesis
import pytest

from tests.servers import MISSING, Server, Servers

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

MOST_AGAIN = 3
"""How many tests may need a second try before the run fails."""


def needed_a_second_try(config: pytest.Config) -> list[str]:
    """Return the names of the tests that were begun again."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return sorted({report.nodeid for report in reporter.stats.get("rerun", ())}) if reporter else []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which more than a few tests passed only at a second try."""
    if len(needed_a_second_try(session.config)) > MOST_AGAIN and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests make a run fail that all passed, and which servers could not be had: those were not tested."""
    again = needed_a_second_try(terminalreporter.config)
    if len(again) > MOST_AGAIN:
        terminalreporter.section(
            f"TOO MANY SECOND TRIES: {len(again)}, {MOST_AGAIN} at most", red=True, bold=True
        )
        for name in again:
            terminalreporter.write_line(name)
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
