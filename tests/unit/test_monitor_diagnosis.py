"""What is the matter with a host, by name, and the table in the docs that is made of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmm.monitor.assess import diagnosis
from mmm.monitor.report import log_lines
from mmm.monitor.world.checks import NO_CAUSE, SATURATED, Cause
from mmm.monitor.world.host import HostWorld, Opinion, State
from mmm.monitor.world.link import (
    Silence,
)
from mmm.monitor.world.world import World
from pages import safety
from tests.unit.worlds import (
    NOW,
    checks,
    cluster,
    show,
    world,
)

CONF = cluster(split_brain_guard=True)


def seen(host: HostWorld, *failed: str, refused: bool = False, saturated: bool = False) -> HostWorld:
    status = checks(**dict.fromkeys(failed, NOW - 1))
    full = Cause(SATURATED) if saturated else NO_CAUSE
    mysql = replace(status["mysql"], refused=refused, unknown=saturated, cause=full)
    return replace(host, checks={**status, "mysql": mysql})


def of(host: HostWorld, *, network_up: bool = True) -> World:
    return replace(world(conf=CONF).with_host("db1", host), network_up=network_up)


HEALTHY = world(conf=CONF).hosts["db1"]
CLOSED = replace(
    HEALTHY, agent=replace(HEALTHY.agent, failure=Silence("", None, unreachable=True, closed=True))
)
DEAF = replace(HEALTHY, agent=replace(HEALTHY.agent, failure=Silence("", None, unreachable=True)))
REACHED = replace(HEALTHY, opinion=Opinion(NOW, known=True, heard=("db2",), reached=("db2",)))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (seen(REACHED, "mysql", "ping"), "cut_off_from_monitor"),
        (seen(CLOSED, "mysql", refused=True), "host_stopped_serving"),
        (seen(HEALTHY, "mysql", refused=True), "server_dead"),
        (seen(HEALTHY, "mysql", "ping"), "host_silent"),
        (seen(DEAF, "mysql"), "host_frozen"),
        (seen(HEALTHY, "mysql"), "server_frozen"),
        (seen(HEALTHY, saturated=True), "server_saturated"),
        (CLOSED, "agent_dead"),
        (DEAF, "agent_frozen"),
    ],
)
def test_every_diagnosis_is_made_said_and_logged(host: HostWorld, name: str) -> None:
    after = of(host)
    found = diagnosis.diagnose(after, "db1")
    assert found is not None
    assert found.name == name
    assert f"# Warning: {name}: " in show(after)
    assert any(f"db1: diagnosis: {name}: " in line for _, line in log_lines.between(of(HEALTHY), after))


def test_a_port_that_refuses_does_not_prove_that_its_server_is_dead() -> None:
    refuses = diagnosis.said(of(seen(HEALTHY, "mysql", refused=True)), "db1")
    assert str(refuses).endswith(": it is dead, or listens at another address")


def test_without_network_nothing_is_known_of_any_host() -> None:
    found = diagnosis.diagnose(of(seen(HEALTHY, "mysql"), network_up=False), "db1")
    assert found is not None
    assert found.name == "monitor_cut_off"


def test_nothing_is_the_matter_with_a_healthy_host_nor_with_one_that_the_admin_took_out() -> None:
    assert diagnosis.said(of(HEALTHY), "db1") is None
    assert diagnosis.said(of(replace(seen(CLOSED, "mysql"), state=State.ADMIN_OFFLINE)), "db1") is None


def test_each_row_of_the_table_is_made() -> None:
    names = [row.name for row in diagnosis.TABLE]
    assert len(names) == len(set(names)) == 10


def test_the_table_in_the_docs_is_fresh() -> None:
    page = (Path(__file__).parents[2] / safety.PAGE).read_text("utf-8")
    assert page == safety.with_table(page), "run: python -m pages.safety"
