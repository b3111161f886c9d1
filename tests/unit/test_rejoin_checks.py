"""Who may be rebuilt, and from whom: the active master never, whatever else is true."""

from dataclasses import replace

import pytest

from mmm.config.model import Vip
from mmm.gtid.mariadb import History, parse
from mmm.tools.rejoin.checks import Refusal, donor, donor_again, refusals
from mmm.tools.rejoin.look import Look, ServerLook, Silent, Told
from mmm.tools.rejoin.texts import sentence

WRITER, READER = Vip("writer", "10.0.0.80"), Vip("reader", "10.0.0.90")


def server(state: str, **more: object) -> ServerLook:
    """Return a replica whose binary log has these, by GTID."""
    known = History((), parse(state))
    plain = ServerLook(
        "MariaDB", (10, 11, 19), "/var/lib/mysql/", writable=False, executed=known, follows=True
    )
    return replace(plain, **more)  # type: ignore[arg-type]


DB1 = server("0-1-13", follows=False)
DB2 = server("0-1-10,0-2-15", writable=True, follows=False)
DB3 = server("0-1-10,0-2-15")
LOOK = Look(
    host="db1",
    ip="10.0.0.1",
    here=True,
    agent=Told("AWAITING_RECOVERY", (), "db2"),
    server=DB1,
    others={"db2": DB2, "db3": DB3},
    slaves=("db3",),
    writer_role="writer",
    ips={"10.0.0.1": "db1", "10.0.0.2": "db2", "10.0.0.3": "db3"},
)


def codes(look: Look) -> list[str]:
    found = refusals(look)
    assert all(sentence(each) for each in found)
    return [each.code for each in found]


def test_a_host_with_transactions_that_nobody_else_has_is_rebuilt_from_a_slave() -> None:
    assert (codes(LOOK), donor(LOOK)) == ([], "db3")


def test_so_is_one_whose_server_does_not_start() -> None:
    assert codes(replace(LOOK, server=Silent("connection refused"))) == []


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (Told("ONLINE", (WRITER,), "db1", (WRITER,)), "active_master"),
        (Told("ADMIN_OFFLINE", (), "db1"), "active_master"),
        (Told("AWAITING_RECOVERY", (), "db2", (WRITER,)), "has_writer_vip"),
        (Told("AWAITING_RECOVERY", (WRITER,), ""), "has_writer_vip"),
        (Told("ONLINE", (READER,), "db2", (READER,)), "online"),
        (Told("AWAITING_RECOVERY", (), ""), "no_active_master"),
        (None, "no_agent"),
    ],
)
@pytest.mark.parametrize("here", [DB1, Silent("down")])
def test_by_its_role_a_host_is_left_alone_whatever_its_server_is_like(
    told: Told | None, code: str, here: ServerLook | Silent
) -> None:
    assert code in codes(replace(LOOK, agent=told, server=here))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"here": False}, "not_here"),
        ({"server": replace(DB1, writable=True)}, "writable"),
        ({"server": replace(DB1, replicas=("10.9.9.9",))}, "has_replicas"),
        ({"server": replace(DB1, version=(10, 6, 1))}, "other_series"),
        ({"server": replace(DB1, executed=None)}, "no_gtids"),
        ({"server": DB3}, "nothing_to_do"),
        ({"others": {"db2": Silent("no route"), "db3": DB3}}, "master_silent"),
        ({"others": {"db2": replace(DB2, writable=False), "db3": DB3}}, "master_read_only"),
        ({"others": {"db3": DB3}}, "master_silent"),
    ],
)
def test_what_else_speaks_against_it_has_its_name(more: dict[str, object], code: str) -> None:
    assert codes(replace(LOOK, **more)) == [code]  # type: ignore[arg-type]


def test_the_replica_that_is_in_the_way_is_named_by_its_host() -> None:
    here = replace(DB1, replicas=("10.0.0.3", "10.9.9.9"))
    follows = replace(DB3, source_ip=LOOK.ip)
    (found,) = refusals(replace(LOOK, server=here, others={"db2": DB2, "db3": follows}))
    assert (
        sentence(found)
        == "db1 is the source of db3 and 10.9.9.9: have them follow db2, or bring them back, first"
    )


def test_a_session_that_is_left_of_a_replica_which_follows_another_host_by_now_is_nothing() -> None:
    here = replace(DB1, replicas=("10.0.0.3",))
    moved = replace(DB3, source_ip="10.0.0.2")
    assert codes(replace(LOOK, server=here, others={"db2": DB2, "db3": moved})) == []


def test_the_active_master_may_replicate_from_it_as_it_does_from_every_master() -> None:
    ring = replace(DB2, source_ip=LOOK.ip, follows=True)
    look = replace(LOOK, server=replace(DB1, replicas=("10.0.0.2",)), others={"db2": ring, "db3": DB3})
    assert codes(look) == []


def test_a_host_that_does_not_replicate_is_rebuilt_though_it_has_nothing_alone() -> None:
    assert codes(replace(LOOK, server=replace(DB3, follows=False))) == []


@pytest.mark.parametrize(
    "slave",
    [
        Silent("down"),
        replace(DB3, follows=False),
        replace(DB3, version=(10, 6, 1)),
        server("0-1-11,0-2-15"),
    ],
)
def test_where_no_slave_is_fit_the_active_master_gives_the_copy(slave: ServerLook | Silent) -> None:
    look = replace(LOOK, others={"db2": DB2, "db3": slave})
    assert donor(look) == "db2"
    refused = donor(look, "db3")
    assert isinstance(refused, Refusal)
    assert "db3" in sentence(refused)


def test_the_donor_that_is_wanted_is_taken_if_it_is_fit() -> None:
    assert donor(LOOK, "db2") == "db2"
    for name in ("db1", "db9"):
        refused = donor(LOOK, name)
        assert isinstance(refused, Refusal)
        assert name in sentence(refused)


@pytest.mark.parametrize(
    ("db3", "donor"),
    [
        (DB3, "db3"),
        (Silent("connection refused"), "db2"),
        (server("0-1-13,0-2-15"), "db2"),
    ],
)
def test_a_job_that_is_gone_on_with_has_another_donor_where_the_first_is_not_fit_any_more(
    db3: ServerLook | Silent, donor: str
) -> None:
    assert donor_again(replace(LOOK, others={"db2": DB2, "db3": db3}), "db3") == donor


def test_an_active_master_that_is_gone_gives_no_copy() -> None:
    """The writer was the donor; db3, which follows it still, was promoted by hand."""
    look = replace(
        LOOK, agent=Told("AWAITING_RECOVERY", (), "db3"), others={"db2": Silent("gone"), "db3": DB3}
    )
    assert donor_again(look, "db2") == "db3"
