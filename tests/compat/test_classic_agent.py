"""Classic agents with our monitor, all of them or one among ours; the classic ones are stand-ins."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.compat.classic_agent import ClassicAgent, Journal, classic_agent
from tests.compat.cluster import (
    AGENT_PORT,
    HOSTS,
    LIMIT,
    OTHER_READER,
    READER,
    WRITER,
    Cluster,
    Daemon,
    control,
    until,
)
from tests.compat.recorded import exchanges, without_uptime

pytestmark = [pytest.mark.netns, pytest.mark.mysql]

SOURCES = {"db1": "db2", "db2": "db1", "db3": "db2"}
ALL_ROLES = f"reader({OTHER_READER}),reader({READER}),writer({WRITER})"
SHOWN = re.compile(r"  (db\d)\([\d.]+\) (?:master|slave)/([A-Z_]+)\. Roles: (.*)\n")


@contextmanager
def classic_agents(hosts: Cluster, journal: Journal) -> Iterator[dict[str, ClassicAgent]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(classic_agent(hosts, name, journal, source))
            for name, source in SOURCES.items()
        }


def order(name: str, state: str, roles: str, master: str) -> str:
    return f"{name} SET_STATUS|1|{name}|{state}|{roles}|{master}"


def shown() -> dict[str, tuple[str, frozenset[str]]]:
    """Return state and VIPs of each host as `show` has them."""
    return {
        name: (state, frozenset(re.findall(r"\(([\d.]+)\)", roles)))
        for name, state, roles in SHOWN.findall(control("show"))
    }


def writer() -> str:
    """Return the host that `show` has as the writer, or nothing."""
    return next((name for name, (_, vips) in shown().items() if WRITER in vips), "")


def spread() -> bool:
    """Tell whether all hosts are ONLINE with one VIP each."""
    hosts = shown().values()
    return all(state == "ONLINE" and len(vips) == 1 for state, vips in hosts) and len(hosts) == len(HOSTS)


def set_all_online(said: Daemon) -> None:
    for name in HOSTS:
        answer = control(f"set_online {name}")
        assert answer.startswith("OK"), (answer, said.log())
    until(spread, said.log)


def test_the_stand_in_answers_as_recorded(hosts: Cluster) -> None:
    journal = Journal()
    by_hand = [exchange for exchange in exchanges("by hand to agents") if exchange.sent.count(b"\n") == 1]
    with classic_agents(hosts, journal) as agents:
        for exchange in exchanges("monitor and agents") + by_hand:
            answer = agents[exchange.host].answer(exchange.sent)
            assert without_uptime(answer) == without_uptime(exchange.answer), exchange.sent


def test_start_and_set_online_of_a_cluster_of_classic_agents(hosts: Cluster) -> None:
    journal = Journal()
    with classic_agents(hosts, journal) as agents, hosts.monitor() as monitor:
        agents["db2"].hangs_up = True
        told = journal.wait_all(
            *(f"< {order(name, 'AWAITING_RECOVERY', '', '')}" for name in HOSTS),
            *(f"< {name} CLEAR_BAD_ROLES|1|{name}" for name in HOSTS),
        )
        for name in HOSTS:
            asked = journal.wait_all(
                f"< {name} GET_AGENT_STATUS|1|{name}", f"< {name} GET_SYSTEM_STATUS|1|{name}"
            )
            journal.wait(f"> {order(name, 'AWAITING_RECOVERY', '', '')}", after=asked)
        assert control("set_online db1").startswith("OK")
        journal.wait("< db1 PING|1|db1", f"< {order('db1', 'ONLINE', ALL_ROLES, 'db1')}", after=told)
        journal.wait(f"< {order('db3', 'AWAITING_RECOVERY', '', 'db1')}", after=told)
        set_all_online(monitor)
        reader = {name: next(iter(vips)) for name, (_, vips) in shown().items()}
        idle = [
            order("db1", "ONLINE", f"writer({WRITER})", "db1"),
            order("db2", "ONLINE", f"reader({reader['db2']})", "db1"),
            order("db3", "ONLINE", f"reader({reader['db3']})", "db1"),
        ]
        for _ in range(2):  # the heartbeat: the same again and again
            journal.wait_all(*(f"< {line}" for line in idle), after=journal.end)


def test_only_what_a_classic_monitor_says_too(hosts: Cluster) -> None:
    """To the byte, but for the values: the same commands with as many fields, the roles in the same order.

    One question is new: a move is preceded by one for the old writer's clients, which classic agents cannot answer.
    """

    def form(line: str) -> str:
        host, request = line.split(" ")
        command, version, name, *rest = request.split("|")
        assert host == name
        roles = rest[1].split(",") if rest else []
        assert roles == sorted(roles)
        return "|".join((command, version, *("" for _ in rest)))

    classic = {
        form(f"{exchange.host} {exchange.sent.decode().removesuffix(chr(10))}")
        for exchange in exchanges("monitor and agents")
    }
    journal = Journal()
    with classic_agents(hosts, journal), hosts.monitor() as monitor:
        set_all_online(monitor)
        for command in (
            "set_offline db3",
            "set_online db3",
            "move_role writer db2",
            "set_passive",
            "set_active",
        ):
            assert control(command).startswith("OK"), monitor.log()
        ours = {
            form(entry[2:])
            for entry in journal.entries
            if "CLIENTS|1|" not in entry and "NOTES|1|" not in entry
        }
    assert ours == classic


def test_the_writer_moves_in_the_classic_order(hosts: Cluster) -> None:
    """The old one lets go, then slaves that have no GTID follow, then the new one takes over."""
    hosts.replicate(gtid=False)
    journal = Journal()
    with classic_agents(hosts, journal) as agents, hosts.monitor() as monitor:
        set_all_online(monitor)
        reader = next(iter(shown()["db3"][1]))
        meanwhile: list[str] = []

        def keep_the_monitor_waiting(request: str) -> None:
            if request.endswith("|ONLINE||db2"):
                meanwhile.append(writer())
                meanwhile.extend(entry for entry in journal.entries[before:] if told.match(entry))

        told = re.compile(r"> db3 .*\|db2$|> db2 .*writer")
        before = journal.end
        agents["db1"].before_answer = keep_the_monitor_waiting
        assert control("move_role writer db2").startswith("OK"), monitor.log()
        let_go = journal.wait(f"< {order('db1', 'ONLINE', '', 'db2')}", after=before)
        assert meanwhile == ["db1"], "nobody else is told before"
        follow = order("db3", "ONLINE", f"reader({reader})", "db2")
        followed = journal.wait(f"> {follow}", f"< {follow}", after=let_go)
        granted = [i for i, entry in enumerate(journal.entries) if re.match(r"> db2 .*writer", entry)]
        assert followed <= granted[0]
        until(spread, monitor.log)
        assert writer() == "db2"


def test_passive_mode_says_nothing_and_its_end_clears_bad_roles(hosts: Cluster) -> None:
    journal = Journal()
    with classic_agents(hosts, journal), hosts.monitor() as monitor:
        set_all_online(monitor)
        before = shown()
        assert control("set_passive").startswith("OK")
        until(lambda: quiet(journal), monitor.log)  # what was under way
        passive = journal.end
        assert control("set_active").startswith("OK")
        for name, (state, vips) in before.items():
            role = f"writer({WRITER})" if WRITER in vips else f"reader({next(iter(vips))})"
            journal.wait(
                f"< {order(name, state, role, 'db1')}", f"< {name} CLEAR_BAD_ROLES|1|{name}", after=passive
            )
        assert shown() == before


def quiet(journal: Journal) -> bool:
    """Tell whether everything heard was answered."""
    return sum(entry.startswith(">") for entry in journal.entries) * 2 == journal.end


def test_a_new_monitor_takes_a_running_classic_cluster_as_it_is(hosts: Cluster) -> None:
    journal = Journal()
    running = {
        "db1": f"reader({READER})",
        "db2": f"writer({WRITER})",
        "db3": f"reader({OTHER_READER})",
    }
    (hosts.folder / "monitor").mkdir()
    stored = "".join(f"{name}|ONLINE|{roles}\n" for name, roles in running.items())
    (hosts.folder / "monitor/mond.status").write_text(stored)
    with classic_agents(hosts, journal) as agents:
        for name, roles in running.items():
            agents[name].answer(f"SET_STATUS|1|{name}|ONLINE|{roles}|db2\n".encode())
        before = journal.end
        with hosts.monitor() as monitor:
            for name, roles in running.items():
                journal.wait(
                    f"< {order(name, 'ONLINE', roles, 'db2')}",
                    f"< {name} CLEAR_BAD_ROLES|1|{name}",
                    after=before,
                )
                orders = {entry for entry in journal.entries[before:] if f"> {name} SET_STATUS" in entry}
                assert orders == {f"> {order(name, 'ONLINE', roles, 'db2')}"}, monitor.log()
    assert (hosts.folder / "monitor/mond.status").read_text() == stored, "a classic monitor may come back"


def test_a_client_that_holds_a_classic_agent_up_holds_up_nobody_else(hosts: Cluster) -> None:
    journal = Journal()
    with classic_agents(hosts, journal), hosts.monitor() as monitor:
        set_all_online(monitor)
        with socket.create_connection((HOSTS["db1"], AGENT_PORT), LIMIT) as rude:
            before = journal.end
            rude.sendall(b"PING|1|db1\n")
            heard = journal.wait("< db1 PING|1|db1", after=before)
            assert control("set_offline db3").startswith("OK")
            assert control("set_online db3").startswith("OK")
            assert not any(entry.startswith("> db1") for entry in journal.entries[heard:])
        until(spread, monitor.log)


@pytest.mark.parametrize("name", HOSTS)
def test_one_classic_agent_among_ours(hosts: Cluster, name: str) -> None:
    """Whichever host is upgraded last: roles come and go, the writer moves there and back."""
    hosts.replicate(
        slave_of="db1"
    )  # the first writer: an agent of MMM 2.x may lose rows where it changes sources late
    journal = Journal()
    with ExitStack() as stack:
        agents = {other: stack.enter_context(hosts.agent(other)) for other in HOSTS if other != name}
        stack.enter_context(classic_agent(hosts, name, journal, "db2" if name == "db1" else "db1"))
        monitor = stack.enter_context(hosts.monitor())
        set_all_online(monitor)
        for command in (
            "move_role writer db2", "set_offline db3", "set_online db3", "set_passive", "set_active",
            "move_role writer db1",
        ):  # fmt: skip
            answer = control(command)
            assert answer.startswith("OK"), (command, answer, monitor.log())
            if command != "set_offline db3":
                until(spread, monitor.log)
        assert writer() == "db1"
        for other in agents:
            assert hosts.bound(other) == shown()[other][1], "what show says is on the interface"
        warned = [line for line in control("show").splitlines() if line.startswith("# Warning")]
        slave = "# Warning: the agent of db3 is one of MMM 2.x"  # nothing is got of slaves at a failover
        assert all(line.startswith(slave) for line in warned)
        assert len(warned) == (name == "db3")
        assert not any(" ERROR " in line for line in monitor.lines), monitor.log()
