"""The classic mmm_control, and scripts that speak its protocol, with our monitor; ours with a classic monitor."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mmm.control.forms import render
from mmm.wire.command import failed
from tests.compat.cluster import CONTROL_PORT, HOSTS, Cluster, Daemon, control, talk, until
from tests.compat.recorded import Exchange, exchanges, without_times

pytestmark = [pytest.mark.netns, pytest.mark.mysql]

LAYOUT = {"show", "checks", "mode", "help", "ping", "quit"}
"""Commands whose answers scripts parse; of all others the first word is what counts."""


@pytest.fixture
def monitor(hosts: Cluster) -> Iterator[Daemon]:
    with ExitStack() as stack:
        for name in HOSTS:
            stack.enter_context(hosts.agent(name))
        yield stack.enter_context(hosts.monitor())


def layout(answer: str) -> str:
    """Return an answer without what is no contract: moments, order of hosts, which reader is where, words of checks."""
    text = without_times(answer.encode()).decode()
    text = re.sub(r"reader\([\d.]+\)", "reader(IP)", text)
    text = re.sub(r"(\[last change: TIME\]  OK):.*", r"\1", text)
    lines = text.splitlines(keepends=True)
    if all(re.match(r"db\d  ", line) for line in lines):
        lines.sort(key=lambda line: line[:3])  # hosts come in conf order; the classic has none
    return "".join(lines)


def same(exchange: Exchange, answer: str) -> bool:
    """Tell whether an answer says the same as the recorded one, as far as words are contract."""
    recorded = exchange.answer.decode()
    command = exchange.sent.decode().split()[0]
    if "Valid commands are:" in recorded:
        return answer.startswith(recorded)  # ours knows more commands
    if command in LAYOUT:
        return layout(answer) == layout(recorded)
    return answer.partition(":")[0] == recorded.partition(":")[0]


def settled() -> bool:
    """Tell whether the three VIPs are where the recorded `show` has them, readers aside."""
    holders = re.findall(r"  (db\d)\S+ \w+/ONLINE\. Roles: (\w+)\([\d.]+\)\n", control("show"))
    return holders == [("db1", "writer"), ("db2", "reader"), ("db3", "reader")]


def test_a_day_of_the_classic_mmm_control(monitor: Daemon) -> None:
    for exchange in exchanges("mmm_control and monitor"):
        if exchange.sent.startswith(b"show"):
            until(lambda: settled() or "PASSIVE" in control("show"), monitor.log)
        if exchange.sent.startswith(b"checks"):  # a replica that was just started need not be connected yet
            until(lambda: not re.search("UNKNOWN|ERROR", control("checks")), monitor.log)
        answer = talk("127.0.0.1", CONTROL_PORT, exchange.sent).decode()
        assert same(exchange, answer), (exchange, answer, monitor.log())
    until(settled, monitor.log)


def test_requests_by_hand(monitor: Daemon) -> None:
    """Without quit, several commands at once, blanks before, between and behind, CR."""
    for host in HOSTS:
        assert control(f"set_online {host}").startswith("OK")
    until(settled, monitor.log)
    for exchange in exchanges("by hand to monitor"):
        answer = talk("127.0.0.1", CONTROL_PORT, exchange.sent).decode()
        assert same(exchange, answer), (exchange, answer)


def test_our_mmm_control_shows_what_a_classic_monitor_answers() -> None:
    recorded = exchanges("mmm_control and monitor") + exchanges("by hand to monitor")
    for exchange in recorded:
        command, answer = exchange.sent.decode().split("\n")[0].split(), exchange.answer.decode()
        assert failed(answer) == answer.startswith(("ERROR", "Invalid"))
        assert render(command, answer, "text").strip("\n") == answer.strip("\n")
        if exchange.sent.count(b"\n") < 3 and answer:
            assert json.loads(render(command, answer, "json"))
    show = next(exchange for exchange in recorded if exchange.answer.startswith(b"# ---"))
    told = json.loads(render(["show"], show.answer.decode(), "json"))
    assert told["cause"] == "Admin switched to passive mode."
    assert [host["roles"][0]["ip"] for host in told["hosts"]] == ["10.77.0.80", "10.77.0.100", "10.77.0.90"]
