"""mmm_control health in front of a monitor that is frozen: Nagios gives up after 10 s, and is to get an answer."""

import signal
import socket
from collections.abc import Iterator

import pytest

from mmm.config.endpoint import Endpoint
from mmm.control import main
from mmm.control.connection import ANSWER_LIMIT, NoAnswerError, ask, tls

PLAIN = {"type": "plain"}


@pytest.fixture
def frozen() -> Iterator[Endpoint]:
    """A port whose connections the kernel takes, and nobody answers."""
    before = signal.getsignal(signal.SIGPIPE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Endpoint("mmm_mon.conf", "127.0.0.1", listener.getsockname()[1], PLAIN)
    signal.signal(signal.SIGPIPE, before)


def test_health_is_unknown_before_nagios_gives_up(
    frozen: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits: list[float] = []

    def noted(*args: object) -> str:
        (limit,) = (value for value in args if isinstance(value, float))
        limits.append(limit)
        return ask(frozen, tls(PLAIN), ["health"], 0.2)

    monkeypatch.setattr(main, "ask", noted)
    assert main._asked(frozen, tls(PLAIN), ["health"], "text") == 3
    assert "did not answer in time" in capsys.readouterr().out
    assert limits[0] < 10 < ANSWER_LIMIT


def test_a_signed_command_has_its_limit_too(frozen: Endpoint) -> None:
    """It waits for the challenge no longer than for all."""
    key = frozen._replace(key="secret")
    with pytest.raises(NoAnswerError, match="did not answer in time"):
        ask(key, tls(PLAIN), ["set_offline", "db1"], 0.2)
