"""A monitor that is asked to reload before it has begun."""

import asyncio
import os
import signal
from unittest.mock import Mock

import pytest

from mmm.monitor import duties
from mmm.network.icmp import Pinger
from mmm.process.conf_file import ConfFile
from mmm.process.renewal import ClusterTls
from tests.unit.worlds import world


async def test_a_hup_while_the_network_is_waited_for_is_answered_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It opened the log files anew, and nobody was told that the mended `ping_ips` were not taken."""

    async def down(*_about: object) -> bool:
        os.kill(os.getpid(), signal.SIGHUP)
        for _ in range(100):
            await asyncio.sleep(0)
        raise OSError("the end of this test")

    monkeypatch.setattr(duties, "is_up", down)
    conf = world().conf
    try:
        with pytest.raises(OSError, match="the end of this test"):
            await duties._watch(Mock(ConfFile), conf, ClusterTls(conf.socket), Mock(Pinger), lambda: None)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
    (said,) = [each.message for each in caplog.records]
    assert said.startswith("SIGHUP: not started yet; the conf is read again as soon as this monitor is")
