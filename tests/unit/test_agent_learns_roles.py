"""An agent of MMM 1.x, whose files name no role, learns roles and VIPs from the monitor's orders."""

import signal
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from mmm.agent.act.authority import Authority
from mmm.agent.act.kept_roles import with_kept
from mmm.agent.act.life import Life
from mmm.agent.act.memory import outlasting_run
from mmm.agent.decide.learned import MOST, learned
from mmm.agent.decide.plan import clear, facts
from mmm.agent.decide.seen import Seen
from mmm.agent.decide.steps import Unbind
from mmm.config.agreement import digests
from mmm.config.load import Cluster, Memory, Program, check, read
from mmm.config.model import Role, Vip
from mmm.network.listener import NOBODY
from mmm.process.conf_file import ConfFile
from mmm.wire.agent import PING, PROMISE, SET_STATUS, Request, WireError
from mmm.wire.known_vips import known_vips, with_known_vips
from mmm.wire.lead import with_conf
from tests.namespaces import ip
from tests.unit.agent_host import NEAR, OTHER_READER, READER, WRITER, Host, host, machine, until

__all__ = ["host", "machine"]

TEXT = """\
#
# Master-Master Manager config (agent)
#
debug no
pid_path\t{folder}/agentd.pid
bin_path\t/usr/local/mmm/bin
bind_port\t9989
cluster_interface\tnear0
this\tdb1
mode\tmaster
peer\tdb2
host\tdb1
\tip\t10.88.0.1
\tport\t{port1}
\tuser\tmmm_agent
\tpassword\tsecret
host\tdb2
\tip\t10.88.0.2
\tport\t{port2}
\tuser\tmmm_agent
\tpassword\tsecret
host\tdb3
\tip\t10.88.0.3
\tuser\tmmm_agent
\tpassword\tsecret
replication_user\treplication
replication_password\tsecret
"""
"""As it came with MMM 1.x; nothing is indented in files that were pasted from a web page."""
FLAT = TEXT.replace("\n\t", "\n")
FIRST = Vip("writer", WRITER)
ONE, TWO = Vip("reader", READER), Vip("reader", OTHER_READER)


def conf(text: str = TEXT, folder: object = "/run", program: Program = "AGENT") -> Cluster:
    text = text.format(folder=folder, port1=3306, port2=3306)
    return check(read(Memory({"m.conf": text}), "m"), program, "", lambda _: "")


@pytest.mark.parametrize("text", [TEXT, FLAT])
def test_its_file_loads_unchanged_and_the_masters_are_those_of_the_writer_role(text: str) -> None:
    cluster = conf(text)
    assert cluster.roles_by_order
    assert cluster.roles == {"writer": Role("writer", "exclusive", ("db1", "db2"), ())}
    assert "\n".join(map(str, cluster.warnings)) == (
        "no roles: they are learned from the monitor's orders; add the `role` blocks of mmm_mon.conf, so that this"
        " agent knows all VIPs before the first order"
    )
    assert conf(text.replace("db1\nmode\tmaster\npeer\tdb2", "db3\nmode\tslave")).roles["writer"].hosts == ()
    named = conf("active_master_role app\n" + text).roles
    assert list(named) == ["app"]


def test_one_with_roles_learns_none() -> None:
    cluster = conf(TEXT + f"role writer\n\tmode exclusive\n\tservers db1, db2\n\tip {WRITER}\n")
    assert not cluster.roles_by_order
    assert learned(cluster, (ONE,)) is cluster


def test_what_is_learned_stays_known_and_of_the_writer_the_newest_vip_counts() -> None:
    cluster = learned(conf(), (ONE, FIRST))
    assert cluster.vips == (FIRST, ONE)
    assert learned(cluster, (FIRST,)) is cluster
    other = Vip("writer", "10.88.0.81")
    assert learned(cluster, (other,)).master_vips == (other, FIRST)
    assert learned(cluster, (other,)).master_vip == other
    assert clear((other,), Seen(frozenset({WRITER, other.ip})), facts(learned(cluster, (other,)))).chains == (
        (Unbind(FIRST),),
    )


def test_a_vip_goes_to_another_role_once_this_host_does_not_have_it_by_the_first() -> None:
    cluster, moved = learned(conf(), (FIRST, ONE)), Vip("other", READER)
    assert learned(cluster, (moved,), assigned=(ONE,)) is cluster
    assert learned(cluster, (moved,)).vips == (FIRST, moved)
    assert learned(cluster, (Vip("a", "10.88.0.70"), Vip("b", "10.88.0.70"))) is cluster


@pytest.mark.parametrize(
    "bad",
    [
        *("10.88.0.1", "10.88.0.3", "127.0.0.1", "0.0.0.0", "224.0.0.1"),  # noqa: S104
        *("10.88.0.080", "fe80::1", "FD00::80", "x", "10.0.0.0/8"),
    ],
)
def test_what_cannot_be_a_vip_is_not_learned(bad: str) -> None:
    cluster = conf()
    assert learned(cluster, (Vip("writer", bad),)) is cluster
    assert learned(cluster, (Vip("wri;ter", WRITER),)) is cluster
    assert learned(cluster, tuple(Vip("r", f"10.9.{n // 250}.{n % 250}") for n in range(MOST + 1))) is cluster


def test_leases_rest_on_the_same_as_by_a_monitors_conf() -> None:
    """The hosts are compared, by which promises are asked for; the VIPs are the monitor's own."""
    roles = f"role writer\n\tmode exclusive\n\tservers db2, db1\n\tip {WRITER}\n"
    monitor = digests(conf(TEXT + roles))
    ours = digests(learned(conf(), (Vip("writer", "10.88.0.99"),)))
    assert ours == {key: digest for key, digest in monitor.items() if key != "ips"}


def test_where_the_monitors_writer_role_has_other_hosts_it_takes_no_writer_role() -> None:
    """It would not ask all of them for promises, and promises nothing. Nor is it sure to be without a VIP."""
    roles = f"role writer\n\tmode exclusive\n\tservers db1, db2, db3\n\tip {WRITER}\n"
    authority, monitor = Authority(conf()), digests(conf(TEXT + roles))
    gives = with_conf(Request(SET_STATUS, "db1", ("ONLINE", str(FIRST), "db1")), monitor)
    refused = authority.refusal(gives, NOBODY)
    assert refused is not None
    assert (refused.why, refused.fields) == ("conf", ("DIFFERS:hosts",))
    assert authority.has_other_vips()
    asks = with_conf(Request(PROMISE, "db1", ("db2", "10", "t.1")), digests(conf()))
    refused = authority.refusal(asks, NOBODY._replace(ip="10.88.0.2", port=900))
    assert refused is not None
    assert refused.why == "conf"
    assert not authority.is_agreed()
    same = TEXT + roles.replace(", db3", "")
    agrees = Authority(learned(conf(), (FIRST,)))
    assert (
        agrees.refusal(with_conf(replace(gives, params=gives.params[:3]), digests(conf(same))), NOBODY)
        is None
    )
    assert agrees.is_agreed()
    assert not agrees.has_other_vips()


def test_an_order_tells_the_vips_of_the_cluster() -> None:
    order = Request(SET_STATUS, "db1", ("ONLINE", "", "db2"))
    told = with_known_vips(order, (FIRST, ONE))
    assert told.params[3:] == (f"VIPS:{FIRST},{ONE}",)
    assert known_vips(told) == (FIRST, ONE)
    assert known_vips(order) == ()
    assert with_known_vips(order, ()) is order
    assert with_known_vips(order, [ONE] * 501) is order
    ping = Request(PING, "db1")
    assert with_known_vips(ping, (FIRST,)) is ping
    with pytest.raises(WireError):
        known_vips(replace(order, params=(*order.params, "VIPS:nonsense")))


def test_what_was_kept_counts_from_the_start(tmp_path: Path) -> None:
    before = conf(folder=tmp_path)
    assert with_kept(before) is before
    file = outlasting_run(before.here.pid_path, "roles")
    assert file is not None
    file.write_text(f"{FIRST},{ONE}\n")
    assert with_kept(before).vips == (FIRST, ONE)
    several = learned(before, (ONE, FIRST, Vip("a", "10.88.0.70"), TWO, Vip("b", "10.88.0.71")))
    file.write_text(",".join(map(str, several.vips)))
    assert with_kept(before) == several
    file.write_text("no VIPs")
    assert str(with_kept(before).warnings[-1]) == (
        f"{file}: what was learned of roles cannot be used ('no VIPs' is not ROLE(IP)): it is learned again from the"
        " next order"
    )
    assert with_kept(before).vips == ()


async def test_what_is_learned_while_the_conf_is_read_again_is_not_lost() -> None:
    first, more = conf(), learned(conf(), (FIRST,))
    objections = Mock(return_value=((), ()))

    def read() -> Cluster:
        life.learn(more)
        return first

    file = ConfFile(first, read)
    life = Life(file)
    life.reload()
    await life.over(objections)
    assert file.conf.vips == (FIRST,)
    objections.assert_not_called()
    file.read = lambda: more
    life.end()  # the reload is still to be done: by the next agent, or never
    await life.over(objections)
    assert not life.learn(learned(more, (ONE,)))
    assert file.conf.vips == (FIRST,)


class OldHost(Host):
    """db1 with a file of MMM 1.x."""

    def command(self, mode: str = "master", **extra: str) -> list[str]:
        command = super().command(mode, **extra)
        text = TEXT.format(folder=self.folder, port1=self.server.port, port2=self.peer.port)
        Path(command[command.index("--config") + 1]).write_text(text)
        return command


def bound() -> set[str]:
    return {
        address for address in (WRITER, READER, OTHER_READER) if f"{address}/32" in ip(f"addr show {NEAR}")
    }


def test_it_binds_what_orders_name_and_unbinds_it_after_a_restart(host: Host) -> None:
    host = OldHost(host.folder, host.server, host.peer)
    with host.agent() as agent:
        assert "WARN no roles" in agent.log().replace("WARNING", "WARN")
        assert agent.order("ONLINE", "", "db2") == "OK: Status applied successfully!"
        assert agent.order("ONLINE", f"{ONE},{FIRST}", "db1") == "OK: Status applied successfully!"
        assert bound() == {WRITER, READER}
        assert host.writable()
        assert agent.order("ONLINE", f"{FIRST},other(10.88.0.2)", "db1") == (
            "ERROR: other(10.88.0.2) is not in the conf of db1|WHY:not_done"
        )
        assert bound() == {WRITER}
        agent.process.send_signal(signal.SIGHUP)
        until(lambda: "the conf has not changed" in agent.log(), agent.log)
        assert agent.order("ONLINE", f"{ONE},{FIRST}", "db1") == "OK: Status applied successfully!"
        assert agent.order("ONLINE", str(FIRST), "db1") == "OK: Status applied successfully!"
        assert agent.log().count("learned from the monitor's order: ") == 1
    with host.agent() as agent:
        assert f"start: db1 has {FIRST} bound on {NEAR}, writable" in agent.log()
        ip(f"addr add {READER}/32 dev {NEAR}")
        assert agent.ask("CLEAR_BAD_ROLES|1|db1") == "OK: Removed 2 roles"
        assert bound() == set()
        assert "learned from the monitor's order: " not in agent.log()
        told = f"SET_STATUS|1|db1|ONLINE||db2|VIPS:{FIRST},{ONE},{TWO}"
        ip(f"addr add {OTHER_READER}/24 dev {NEAR}")
        assert agent.ask(told) == "OK: Status applied successfully!"
        until(lambda: bound() == set(), agent.log)
        assert OTHER_READER not in ip(f"addr show {NEAR}")
        assert f"learned from the monitor's order: {TWO}" in agent.log()


def test_what_cannot_be_kept_is_not_learned(host: Host) -> None:
    host = OldHost(host.folder, host.server, host.peer)
    kept = host.folder / "agentd.pid.roles"
    kept.unlink(missing_ok=True)
    kept.mkdir()
    try:
        with host.agent() as agent:
            assert agent.order("ONLINE", str(ONE), "db2") == (
                f"ERROR: {ONE} is not in the conf of db1|WHY:not_done"
            )
            assert "agentd.pid.roles cannot be written: " in agent.log()
            assert bound() == set()
    finally:
        kept.rmdir()
