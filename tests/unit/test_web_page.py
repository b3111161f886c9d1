"""The page of mmm_web, in a real Chromium where there is one: it shows what the monitor says, and when it does not."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.monitor.world.host import State
from tests.browser import needs_chromium, opened
from tests.unit.test_monitor_silent_lag import look, mariadb
from tests.unit.test_web import Monitor, monitor, served
from tests.unit.worlds import NOW, READER1, READER2, READER3, WRITER, checks, cluster, with_host, world

__all__ = ["monitor"]
aiohttp = pytest.importorskip("aiohttp")
PAGE = Path(__file__).parents[2] / "mmm/web/page"


def test_nothing_is_fetched_from_elsewhere_and_no_script_or_style_stands_in_the_page() -> None:
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for file in PAGE.iterdir():
        assert not re.search(
            r"(https?:)?//\w", re.sub(r"^\s*//.*", "", file.read_text(), flags=re.MULTILINE)
        ), file
    assert "innerHTML" not in (PAGE / "page.js").read_text(), "what servers say is text"


@needs_chromium
async def test_the_page_shows_the_cluster_a_failover_as_it_happens_and_that_the_monitor_is_away(
    monitor: Monitor, tmp_path: Path
) -> None:
    quiet = world({WRITER: "db1", READER1: "db1", READER2: "db2", READER3: "db3"})
    monitor.world = quiet
    async with served(monitor) as session, opened(session, tmp_path / "profile") as tab:
        await tab.shows("writer on db1 · 3 of 3 hosts ONLINE")
        nested = "[...document.querySelectorAll('#hosts .tree details')].map(box => box.dataset.host).join()"
        assert await tab.value(nested) == "db2,db3", "they replicate from db1"
        assert await tab.value("document.title") == "MMM OK: writer on db1"

        await tab.press("Tab", 9)
        assert await tab.value("document.activeElement.innerText.split('\\n')[0].startsWith('db1')"), (
            "by keyboard"
        )
        await tab.press("Enter", 13)
        await tab.until(
            "document.querySelector('details[data-host=db1]').open || document.activeElement.click()"
        )

        failed = world({WRITER: "db2", READER2: "db2", READER3: "db3"}, {"db1": State.HARD_OFFLINE})
        failed = replace(with_host(failed, "db1", checks=checks(mysql=NOW)), last_writer="db2")
        failed = look(look(failed, "db2", mariadb(100), NOW), "db3", mariadb(88), NOW + 1)
        monitor.world = failed
        monitor.moves()
        await tab.shows("writer(10.0.0.80): db1 -> db2, 30 ms")
        await tab.shows("writer on db2 · 2 of 3 hosts ONLINE")
        await tab.shows("replicates from db2, 12 transactions missing")
        assert await tab.value("document.querySelector('details[data-host=db1]').open"), (
            "it stays as the reader left it"
        )
        assert await tab.value("document.activeElement.closest('details').dataset.host") == "db1"

        assert await tab.barriers() == []

        await tab.sized(360, 740, mobile=True)
        assert await tab.value("document.documentElement.scrollWidth") <= 360, "nothing is cut off on a phone"
        light = await tab.value("getComputedStyle(document.body).backgroundColor")
        await tab.dark()
        assert await tab.value("getComputedStyle(document.body).backgroundColor") != light
        assert await tab.barriers() == []
        assert not tab.complaints, tab.complaints

        await monitor.stop()
        await tab.shows("As of ")
        await tab.shows("is mmm_mond running?")
        await tab.shows("writer on db2")
        await monitor.start()
        await tab.until("document.getElementById('away').hidden")


@needs_chromium
async def test_a_cluster_of_forty_slaves_is_whole_and_readable_on_a_desk_and_on_a_phone(
    monitor: Monitor, tmp_path: Path
) -> None:
    many = cluster(slaves=40)
    names = [*many.hosts]
    monitor.world = world({WRITER: "db1", READER1: "db7", READER2: "db2", READER3: "db3"}, conf=many)
    boxes = "[...document.querySelectorAll('#hosts details')].map(box => box.dataset.host).join()"
    cut = "[...document.querySelectorAll('#hosts summary')].filter(box => box.scrollWidth > box.clientWidth).length"
    async with served(monitor) as session, opened(session, tmp_path / "profile") as tab:
        await tab.shows("writer on db1 · 42 of 42 hosts ONLINE")
        assert await tab.value(boxes) == ",".join(names)
        for width, height, mobile in ((1100, 800, False), (360, 740, True)):
            await tab.sized(width, height, mobile=mobile)
            assert await tab.value("document.documentElement.scrollWidth") <= width
            assert await tab.value(cut) == 0
            assert await tab.barriers() == []
        failed = world(
            {WRITER: "db1", READER1: "db7", READER2: "db2"}, {"db41": State.HARD_OFFLINE}, conf=many
        )
        monitor.world = with_host(failed, "db41", checks=checks(mysql=NOW))
        await tab.shows("writer on db1 · 41 of 42 hosts ONLINE")
        await tab.until("document.getElementById('wrong').innerText.includes('db41')")
        assert not tab.complaints, tab.complaints


@needs_chromium
async def test_what_somebody_marks_stays_while_only_the_figures_of_checks_change(
    monitor: Monitor, tmp_path: Path
) -> None:
    asked = (
        "performance.getEntriesByType('resource').filter(each => each.name.endsWith('/api/status')).length"
    )
    async with served(monitor) as session, opened(session, tmp_path / "profile") as tab:
        await tab.shows("writer on db1")
        await tab.value("document.querySelector('details[data-host=db1]').id = 'marked'")
        before = await tab.value(asked)
        times = itertools.count(1)
        monitor.clock = replace(monitor.clock, took=lambda _host, _check: next(times) / 1000)
        await tab.until(f"{asked} >= {before + 3}")
        assert next(times) > 12
        assert await tab.value("document.getElementById('marked')?.dataset.host") == "db1"
        monitor.world = world({WRITER: "db2"})
        await tab.shows("writer on db2")
        await tab.until("!document.getElementById('marked')")
