"""mmm_agentd binds and unbinds VIPs on a real interface, with real neighbours."""

import re
import threading

import pytest

from mmm.mysql.server.accounts import Account, grants
from tests.namespaces import addresses, cable, ip, neighbour
from tests.servers import Servers
from tests.unit.agent_host import (
    DB1,
    DB2,
    FAR,
    NEAR,
    OTHER_READER,
    READER,
    WRITER,
    Host,
    until,
)

pytestmark = [pytest.mark.netns, pytest.mark.mysql]


def test_vips_on_another_interface_are_seen_and_go_with_the_first_order(host: Host) -> None:
    for address in (f"{WRITER}/24", f"{READER}/32"):
        ip(f"addr add {address} dev {FAR}")
    with host.agent() as agent:
        vips = f"reader({READER}),writer({WRITER})"
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!||{vips}|{DB2}"
        assert "bound on another interface" in agent.log()
        assert agent.order("ONLINE", f"reader({READER})", "db2") == "OK: Status applied successfully!"
        assert (addresses(NEAR), addresses(FAR)) == ({f"{READER}/32"}, set())
        ip(f"addr add {WRITER}/32 dev {FAR}")
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 1 roles"
        assert addresses(FAR) == set()


def test_a_vip_that_the_server_does_not_listen_on_is_not_bound(host: Host, server_pool: Servers) -> None:
    with server_pool.lent() as servers:
        deaf = servers.start(f"--bind-address=127.0.0.1,{DB1}", "--read-only=1")
        with deaf.connect() as root:
            for statement in grants(
                root.flavour, Account("monitor", "secret"), Account("mmm_agent", "secret"),
                Account("replication", "secret"),
            ):  # fmt: skip
                root.execute(statement)
        with Host(host.folder, deaf, host.peer).agent() as agent:
            for role in (f"reader({READER})", f"writer({WRITER})"):
                answer = agent.order("ONLINE", role, "db1")
                assert answer.startswith("ERROR: ")
                assert answer.endswith("|WHY:not_listening")
            assert addresses(NEAR) == set()
            assert deaf.value("@@global.read_only") == "1"
            assert f"|DOUBT:not_listening:its server does not listen on {WRITER}," in agent.ask(
                "PREPARE|1|db1"
            )


def test_the_whole_interface_is_made_to_match(host: Host) -> None:
    ip(f"addr add {READER}/24 dev {NEAR}")
    ip(f"addr add 10.88.0.4/24 dev {NEAR}")
    ip(f"addr add {WRITER}/32 dev {NEAR}")
    with host.agent() as agent:
        assert f"writer({WRITER}), reader({READER}) bound on {NEAR}" in agent.log()
        assert len(addresses(NEAR)) == 3, "nothing is changed before the first order"
        assert agent.order("ONLINE", f"reader({OTHER_READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {"10.88.0.4/24", f"{OTHER_READER}/32"}


def test_what_somebody_changed_is_put_right_at_the_next_order(host: Host) -> None:
    with host.agent() as agent:
        order = ("ONLINE", f"reader({READER}),writer({WRITER})", "db1")
        assert agent.order(*order).startswith("OK")
        ip(f"addr flush dev {NEAR}")
        host.server.run("SET GLOBAL read_only=1")
        assert agent.order(*order).startswith("OK")
        assert addresses(NEAR) == {f"{WRITER}/32", f"{READER}/32"}
        assert host.writable()


def test_what_is_not_in_the_conf_is_refused_by_name_and_the_rest_is_done(host: Host) -> None:
    with host.agent() as agent:
        reply = agent.order("ONLINE", f"writer({READER}),reader({READER}),lost(10.88.0.7)", "db2")
        assert reply == (
            f"ERROR: writer({READER}) is not in the conf of db1; lost(10.88.0.7) is not in the conf of db1|WHY:not_done"
        )
        assert addresses(NEAR) == {f"{READER}/32"}


def test_clear_bad_roles_counts_what_it_removes(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        ip(f"addr add {WRITER}/16 dev {NEAR}")
        ip(f"addr add {OTHER_READER}/32 dev {NEAR}")
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 2 roles"
        assert addresses(NEAR) == {f"{READER}/32"}
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 0 roles"


def test_a_missing_interface_is_said_and_the_agent_goes_on(host: Host) -> None:
    ip(f"link del {NEAR}")
    with host.agent() as agent:
        reply = agent.order("ONLINE", f"reader({READER})", "db2")
        assert reply.startswith(f"ERROR: bind reader({READER}): interface {NEAR} does not exist")
        assert agent.ask("GET_SYSTEM_STATUS|1|db1") == f"OK: Returning status!|||{DB2}"
        assert agent.order("ONLINE", "", "db2").startswith("OK")
        cable(NEAR, FAR)
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {f"{READER}/32"}


def test_assigned_roles_are_put_right_after_a_connection(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        ip(f"addr flush dev {NEAR}")

        def pinged_back() -> bool:
            assert agent.ask("PING|1|db1").startswith("OK")
            return addresses(NEAR) == {f"{READER}/32"}

        until(pinged_back, agent.log)


def test_what_was_bound_by_hand_stays_until_an_order(host: Host) -> None:
    with host.agent() as agent:
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        ip(f"addr flush dev {NEAR}")
        ip(f"addr add {WRITER}/32 dev {NEAR}")
        host.server.run("SET GLOBAL read_only=0")

        def pinged_back() -> bool:
            assert agent.ask("PING|1|db1").startswith("OK")
            return f"{READER}/32" in addresses(NEAR)

        until(pinged_back, agent.log)
        assert agent.ask("GET_SYSTEM_STATUS|1|db1").startswith("OK: Returning status!|1|")
        assert f"{WRITER}/32" in addresses(NEAR)
        assert agent.order("ONLINE", f"reader({READER})", "db2").startswith("OK")
        assert addresses(NEAR) == {f"{READER}/32"}


def test_a_vip_that_somebody_has_is_not_bound_after_an_unsafe_move(host: Host) -> None:
    """The neighbour at the other end of the cable has it (rule 10.19)."""
    with host.agent() as agent, neighbour() as far:
        order = f"SET_STATUS|1|db1|ONLINE|writer({WRITER})|db1"
        ip(f"link set {FAR} netns {far.pid}")
        far.ip(f"link set {FAR} up")
        far.ip(f"address add {WRITER}/32 dev {FAR}")
        said = agent.ask(f"{order}|PROBE:stop")
        assert re.match(rf"ERROR: probe writer\({WRITER}\): [0-9a-f:]{{17}} on {NEAR} has it", said), said
        assert f"{WRITER}/32" not in addresses(NEAR)
        assert not host.writable()
        assert agent.ask(f"{order}|PROBE:say").startswith("OK")
        assert f"{WRITER}/32" in addresses(NEAR)
        assert "it is bound anyway" in agent.log()
        far.ip(f"link set {FAR} netns {threading.get_native_id()}")
