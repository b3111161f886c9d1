"""The page of mmm_web in a browser, beside a real cluster. With MMM_PICTURES=FOLDER what it showed is kept there."""

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.rejoin import diverge
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.web import start_web
from tests.browser import PHONE, Tab, needs_chromium, opened
from tests.clusters import kept

pytestmark = pytest.mark.sandbox
aiohttp = pytest.importorskip("aiohttp")
PICTURES = os.environ.get("MMM_PICTURES")
DESK = (1100, 800)


@pytest.fixture
def cluster() -> Iterator[Sandbox]:
    conf = Conf(monitor={"flap_count": 0, "failover_block": 0})
    with kept("web", conf) as cluster:
        yield cluster.healthy()


async def pictured(tab: Tab, name: str) -> None:
    """Keep what is to be seen, and see that nobody is kept out of it."""
    if PICTURES:
        picture = await tab.picture()
        await asyncio.to_thread((Path(PICTURES) / f"{name}.png").write_bytes, picture)
    assert await tab.barriers() == [], name


@needs_chromium
async def test_a_browser_sees_a_failover_a_host_apart_and_that_the_monitor_is_away(
    cluster: Sandbox, tmp_path: Path
) -> None:
    url = await asyncio.to_thread(start_web, cluster)
    async with aiohttp.ClientSession(url) as session, opened(session, tmp_path / "profile") as tab:
        await tab.sized(*DESK)
        await tab.shows("writer on db1 · 3 of 3 hosts ONLINE")
        await pictured(tab, "quiet")
        async with session.get("/metrics") as answer:
            told = await answer.text()
        for figure in (
            r'mmm_check_duration_seconds\{check="mysql",host="db3"\} \d+\.\d',
            r'mmm_missing_transactions\{host="db3"\} 0\.0',
            r'mmm_writer_lease_left_seconds\{host="db1"\} \d',
        ):
            assert re.search(figure, told), figure
        confs = re.findall(r"^mmm_conf(?:_file)?_info\{hash=\"(\w+)\"\} 1", told, re.MULTILINE)
        assert len(confs) == 2, "the monitor's, and that of the files"
        assert len(set(confs)) == 1

        await asyncio.to_thread(inject, cluster, "kill-mysqld", "db1")
        await tab.shows("What is wrong")
        await pictured(tab, "failing-over")
        await tab.shows("writer on db2 · 2 of 3 hosts ONLINE")
        took = await tab.until(r"document.body.innerText.match(/writer\(.*\): db1 -> db2, \d+ ms/)?.[0]")
        assert re.search(r"\d+ ms", took)
        await asyncio.to_thread(heal, cluster)
        await tab.shows("writer on db2 · 3 of 3 hosts ONLINE")

        await asyncio.to_thread(diverge, cluster, "db2", 3)
        await tab.shows("writer on db1 · 2 of 3 hosts ONLINE")
        await tab.until(
            "document.querySelector('details[data-host=db2]')?.innerText.includes('AWAITING_RECOVERY')"
        )
        await tab.click("details[data-host=db2] > summary")
        await tab.shows("3 transactions ahead")
        await tab.shows("set_online is refused now: ")
        await pictured(tab, "diverged")
        await tab.dark()
        await pictured(tab, "dark")
        await tab.sized(*PHONE, mobile=True)
        assert await tab.value("document.documentElement.scrollWidth") <= PHONE[0]
        await pictured(tab, "phone")
        await tab.dark(on=False)
        await tab.sized(*DESK)
        assert not tab.complaints, tab.complaints

        await asyncio.to_thread(inject, cluster, "kill-monitor", angel=True)
        await tab.shows("As of ")
        await pictured(tab, "monitor-away")
        await asyncio.to_thread(heal, cluster)
        await tab.until("document.getElementById('away').hidden")
