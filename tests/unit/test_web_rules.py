"""The alert rules, by promtool where Prometheus is installed: what they say of a failover as mmm_web told it."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmm.config.effective import fingerprint
from mmm.monitor.world.host import State
from tests.unit.test_monitor_silent_lag import look, mariadb
from tests.unit.test_web import TREE, Monitor, monitor, served
from tests.unit.worlds import NOW, READER2, WRITER, with_agent, world

__all__ = ["monitor"]
from prometheus_client.parser import text_string_to_metric_families

PROMTOOL = shutil.which("promtool", path=f"{os.environ['PATH']}{os.pathsep}{TREE / 'build'}")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: setup/promtool gets it")
RULES = TREE / "etc/prometheus/mmm.rules.yml"
PERIOD = 15
"""Seconds between two scrapes."""


async def scraped(session: Any, awaited: str = "mmm_up{}", value: float = 1) -> dict[str, float]:
    """Return the value of each series by how Prometheus writes it, once a series has the value."""
    values: dict[str, float] = {}
    while values.get(awaited) != value:
        async with session.get("/metrics") as answer:
            text = await answer.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f'{name}="{told}"' for name, told in sorted(sample.labels.items()))
                values[f"{sample.name}{{{labels}}}"] = sample.value
    return values


async def recorded(monitor: Monitor) -> list[dict[str, float]]:
    """Return the scrapes of a failover: a quiet minute, a minute without a writer, five with the new one."""
    monitor.world = world({WRITER: "db1", READER2: "db2"})
    async with served(monitor) as session:
        scrapes = [await scraped(session)] * 4
        dead = world({WRITER: None, READER2: "db2"}, {"db1": State.HARD_OFFLINE})
        monitor.world = with_agent(dead, "db1", told=None)
        scrapes += [await scraped(session, "mmm_writer_held{}", 0)] * 4
        monitor.world = world({WRITER: "db2", READER2: "db2"}, {"db1": State.HARD_OFFLINE})
        monitor.moves()
        await scraped(session, 'mmm_moves_total{kind="failover",role="writer"}', 1)
        return scrapes + [await scraped(session, "mmm_writer_held{}", 1)] * 20


def series(scrapes: list[dict[str, float]]) -> list[dict[str, str]]:
    names = sorted({name for each in scrapes for name in each})
    return [
        {
            "series": name,
            "values": " ".join(f"{each[name]:g}" if name in each else "stale" for each in scrapes),
        }
        for name in names
    ]


def alerts(name: str, at: int, *labels: dict[str, str]) -> dict[str, Any]:
    return {
        "alertname": name,
        "eval_time": f"{at}s",
        "exp_alerts": [{"exp_labels": each} for each in labels],
    }


@needs_promtool
async def test_a_failover_is_alarmed_of_and_a_quiet_cluster_is_not(monitor: Monitor, tmp_path: Path) -> None:
    scrapes = await recorded(monitor)

    critical, warning = {"severity": "critical"}, {"severity": "warning"}
    failed = {**warning, "host": "db1", "mmm_host_state": "HARD_OFFLINE"}
    moved = {**warning, "role": "writer", "kind": "failover"}
    quiet = [
        alerts(rule["alert"], 45)
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
    ]
    expected = [
        *quiet,
        alerts("MmmNoWriter", 75),
        alerts("MmmNoWriter", 105, critical),
        alerts("MmmNoWriter", 120),
        alerts("MmmTwoWriters", 120),
        alerts("MmmFailover", 135, moved),
        alerts("MmmHostFailed", 120),
        alerts("MmmHostFailed", 195, failed),
    ]
    judged(tmp_path, scrapes, expected)


def judged(folder: Path, scrapes: list[dict[str, float]], expected: list[dict[str, Any]]) -> None:
    """See that the rules alarm as expected, when mmm_web said this one scrape after the other."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]  # their words are not compared
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    tests = [{"interval": f"{PERIOD}s", "input_series": series(scrapes), "alert_rule_test": expected}]
    file = folder / "test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": f"{PERIOD}s", "tests": tests})
    )
    for argv in (["check", "rules", str(RULES)], ["test", "rules", str(file)]):
        done = subprocess.run([str(PROMTOOL), *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
async def test_promtool_finds_nothing_against_the_metrics(monitor: Monitor) -> None:
    async with served(monitor) as session, session.get("/metrics") as answer:
        text = await answer.text()
    done = subprocess.run(  # noqa: ASYNC221
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_promtool
async def test_lacking_transactions_for_long_and_a_conf_that_is_not_taken_are_alarmed_of(
    monitor: Monitor, tmp_path: Path
) -> None:
    monitor.world = replace(world({WRITER: "db1", READER2: "db2"}), last_writer="db1")
    for name, last in (("db1", 100), ("db2", 88), ("db3", 100)):
        monitor.world = look(monitor.world, name, mariadb(last), NOW)
    written = monitor.world.conf
    async with served(monitor, read_conf=lambda: written) as session:
        scrapes = [await scraped(session)] * 60
        written = replace(written, sync_timeout=written.sync_timeout + 1)
        scrapes += [await scraped(session)] * 65
    warning = {"severity": "warning"}
    not_taken = {**warning, "hash": fingerprint(monitor.world.conf)}
    expected = [
        ("MmmTransactionsMissing", 570, ()),
        ("MmmTransactionsMissing", 630, ({**warning, "host": "db2"},)),
        ("MmmConfNotTaken", 1770, ()),
        ("MmmConfNotTaken", 1830, (not_taken,)),
    ]
    judged(tmp_path, scrapes, [alerts(name, at, *labels) for name, at, labels in expected])
