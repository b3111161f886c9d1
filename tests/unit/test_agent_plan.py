"""What the agent does, from what is wanted and what is seen: a table, and properties of every case."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.agent.decide.plan import Facts, Past, clear, plan, put_right, remember
from mmm.agent.decide.seen import Seen, Server, Source
from mmm.agent.decide.steps import (
    AllowWrites,
    Attach,
    Bind,
    CatchUp,
    DenyWrites,
    Detach,
    FinishLifting,
    Follow,
    GoOn,
    KillServer,
    OwnSource,
    Plan,
    Probe,
    RenewLogin,
    Salvage,
    SemiSyncRole,
    StartReplication,
    Step,
    StopReceiving,
    StopReplication,
    Sync,
    ThrowAway,
    Unbind,
    UnbindElsewhere,
)
from mmm.config.model import Vip
from mmm.gtid.semi_sync import SemiSync
from mmm.wire.job import Job
from mmm.wire.status import PROBE_STOP, Status
from mmm.wire.why import BEING_REBUILT

WRITER, READ1, READ2 = Vip("writer", "10.0.0.80"), Vip("reader", "10.0.0.90"), Vip("reader", "10.0.0.91")
HOSTS = {"db1": ("10.0.0.1", 3306), "db2": ("10.0.0.2", 3306), "db3": ("10.0.0.3", 3307)}
MASTER = Facts(
    "db1", slave=False, writer="writer", vips=(WRITER, READ1, READ2), sources=HOSTS, peer="db2",
    slaves=frozenset({"db3"}),
)  # fmt: skip
SLAVE = replace(MASTER, this="db3", slave=True)
KILLER = replace(MASTER, kills=True)
FROM_DB2 = Source("10.0.0.2", 3306, running=True)
STOPPED = replace(FROM_DB2, running=False, receives=False)
DETACHED = replace(STOPPED, detached=True)
AT_SLAVE = Source("10.0.0.3", 3307, running=True)
ALONE = Status("ONLINE", (WRITER,), "db1", detach=True)
SOURCE, REPLICA = SemiSync(source=True, replica=False), SemiSync(source=False, replica=True)
BOTH, OFF = SemiSync(source=True, replica=True), SemiSync(source=False, replica=False)
ONLY_REPLICA = SemiSync(source=None, replica=True)
PROMOTE = (Sync(), AllowWrites(WRITER), Bind(WRITER))


def seen(
    *vips: Vip,
    wide: Iterable[Vip] = (),
    server: Server = Server.UP,
    writable: bool | None = False,
    source: Source | None = FROM_DB2,
    sealed: bool = True,
    semi_sync: SemiSync | None = None,
) -> Seen:
    if server is not Server.UP:
        writable, source = None, None
    addresses = frozenset(v.ip for v in vips), frozenset(v.ip for v in wide)
    return Seen(*addresses, server, writable, source, "why", sealed, semi_sync)


def status(state: str, *vips: Vip, master: str = "db2") -> Status:
    return Status(state, vips, master)


NOTHING = Past()
CASES: list[tuple[str, Facts, Status, Seen, Past, tuple[Step, ...]]] = [
    ("all is as wanted", MASTER, status("ONLINE", READ1), seen(READ1), NOTHING, ()),
    ("writer as wanted", MASTER, status("ONLINE", WRITER), seen(WRITER, writable=True), NOTHING, ()),
    ("reader comes", MASTER, status("ONLINE", READ1), seen(), NOTHING, (Bind(READ1),)),
    ("reader goes", MASTER, status("ONLINE"), seen(READ1), NOTHING, (Unbind(READ1),)),
    (
        "removals before additions",
        MASTER, status("ONLINE", READ2), seen(READ1), NOTHING, (Unbind(READ1), Bind(READ2)),
    ),
    ("writer comes", MASTER, status("ONLINE", WRITER), seen(), NOTHING, PROMOTE),
    (
        "a reader does not wait for the writer's sync",
        MASTER, status("ONLINE", WRITER, READ1), seen(), NOTHING, (Bind(READ1), *PROMOTE),
    ),
    (
        "a writable server syncs too before it is writer",
        MASTER, status("ONLINE", WRITER), seen(writable=True), NOTHING, (Sync(), Bind(WRITER)),
    ),
    (
        "writes are denied before any VIP goes, the writer's first",
        MASTER, status("ONLINE"), seen(READ1, WRITER, writable=True), NOTHING,
        (DenyWrites(), Unbind(WRITER), Unbind(READ1)),
    ),
    ("no writer role: read_only", MASTER, status("ONLINE"), seen(writable=True), NOTHING, (DenyWrites(),)),
    (
        "no writer role: not even administrators write where the server can forbid it them",
        MASTER, status("ONLINE"), seen(sealed=False), NOTHING, (DenyWrites(),),
    ),
    (
        "a writer that only administrators may write to lets all write",
        MASTER, status("ONLINE", WRITER), seen(WRITER, sealed=False), NOTHING, (AllowWrites(WRITER),),
    ),
    (
        "a server that turns the agent away is asked to deny all the same",
        MASTER, status("ONLINE"), seen(WRITER, server=Server.REFUSING), NOTHING, (DenyWrites(), Unbind(WRITER)),
    ),
    (
        "a silent server does not delay the VIP",
        MASTER, status("HARD_OFFLINE"), seen(WRITER, server=Server.SILENT), NOTHING, (Unbind(WRITER),),
    ),
    (
        "a silent server is killed where the conf says so, once the writer's VIP is gone",
        KILLER, status("HARD_OFFLINE"), seen(WRITER, READ1, server=Server.SILENT), NOTHING,
        (Unbind(WRITER), Unbind(READ1), KillServer()),
    ),
    (
        "a silent server that was not the writer is left alone",
        KILLER, status("HARD_OFFLINE"), seen(READ1, server=Server.SILENT), NOTHING, (Unbind(READ1),),
    ),
    (
        "a server that answers is not killed",
        KILLER, status("HARD_OFFLINE"), seen(WRITER, writable=True), NOTHING, (DenyWrites(), Unbind(WRITER)),
    ),
    (
        "a silent server whose host keeps the role is not killed",
        KILLER, status("HARD_OFFLINE", WRITER), seen(WRITER, server=Server.SILENT), NOTHING, (),
    ),
    (
        "a silent server that has not failed yet is not killed",
        KILLER, status("ONLINE"), seen(WRITER, server=Server.SILENT), NOTHING, (Unbind(WRITER),),
    ),
    (
        "the writer that lost its VIP gets it back at once",
        MASTER, status("ONLINE", WRITER), seen(writable=True), Past(frozenset({WRITER})), (Bind(WRITER),),
    ),
    (
        "the writer that came back read_only may write again",
        MASTER, status("ONLINE", WRITER), seen(WRITER), NOTHING, (AllowWrites(WRITER),),
    ),
    (
        "commits of a semi-sync writer wait from the first one on",
        MASTER, status("ONLINE", WRITER), seen(semi_sync=REPLICA), NOTHING,
        (Sync(), SemiSyncRole(source=True), AllowWrites(WRITER), Bind(WRITER)),
    ),
    (
        "a semi-sync writer as wanted, whether it acknowledges too or not",
        MASTER, status("ONLINE", WRITER), seen(WRITER, writable=True, semi_sync=BOTH), NOTHING, (),
    ),
    (
        "a writer that restarted with its conf's role takes its own again",
        MASTER, status("ONLINE", WRITER), seen(WRITER, writable=True, semi_sync=REPLICA), NOTHING,
        (SemiSyncRole(source=True),),
    ),
    (
        "no commit waits on a former writer, once nobody commits any more",
        MASTER, status("ONLINE"), seen(WRITER, writable=True, semi_sync=SOURCE), NOTHING,
        (DenyWrites(), SemiSyncRole(source=False), Unbind(WRITER)),
    ),
    (
        "nor on a master that comes back as its conf says",
        MASTER, status("AWAITING_RECOVERY"), seen(semi_sync=BOTH), NOTHING, (SemiSyncRole(source=False),),
    ),
    (
        "a semi-sync replica as wanted",
        MASTER, status("ONLINE"), seen(semi_sync=REPLICA), NOTHING, (),
    ),
    (
        "without semi-sync nothing is switched on, and nothing that is not there",
        MASTER, status("ONLINE", WRITER), seen(WRITER, writable=True, semi_sync=OFF), NOTHING, (),
    ),
    (
        "a writer without the source's plugin stays as it is",
        MASTER, status("ONLINE", WRITER), seen(WRITER, writable=True, semi_sync=ONLY_REPLICA), NOTHING, (),
    ),
    ("slaves are the admin's", SLAVE, status("ONLINE"), seen(semi_sync=SOURCE), NOTHING, ()),
    (
        "a VIP with a network's prefix is bound anew",
        MASTER, status("ONLINE", READ1), seen(READ1, wide=[READ1]), NOTHING, (Bind(READ1),),
    ),
    (
        "masters never change their source",
        MASTER, status("ONLINE", master="db3"), seen(), NOTHING, (),
    ),
    (
        "a slave follows first of all",
        SLAVE, status("ONLINE", READ2, master="db1"), seen(READ1), NOTHING,
        (Follow("db1"), Unbind(READ1), Bind(READ2)),
    ),
    (
        "the port of the source counts",
        SLAVE, status("ONLINE"), seen(source=replace(FROM_DB2, port=3307)), NOTHING, (Follow("db2"),),
    ),
    ("a slave follows the one it follows", SLAVE, status("ONLINE"), seen(), NOTHING, ()),
    ("a stopped slave is for the checks to see", SLAVE, status("ONLINE"), seen(source=STOPPED), NOTHING, ()),
    ("a slave without source", SLAVE, status("ONLINE"), seen(source=None), NOTHING, (Follow("db2"),)),
    ("no master, nobody to follow", SLAVE, status("ONLINE", master=""), seen(), NOTHING, ()),
    ("a slave out of use stays", SLAVE, status("AWAITING_RECOVERY", master="db1"), seen(), NOTHING, ()),
    (
        "one with broken replication may be mended by it",
        SLAVE, status("REPLICATION_FAIL", master="db1"), seen(), NOTHING, (Follow("db1"),),
    ),
    ("itself it cannot follow", SLAVE, status("ONLINE", master="db3"), seen(), NOTHING, ()),
    (
        "ADMIN_OFFLINE stops replication after the roles are gone",
        MASTER, status("ADMIN_OFFLINE"), seen(READ1), NOTHING, (Unbind(READ1), StopReplication()),
    ),
    ("stopped already", MASTER, status("ADMIN_OFFLINE"), seen(source=STOPPED), NOTHING, ()),
    (
        "the end of ADMIN_OFFLINE starts it",
        MASTER, status("ONLINE"), seen(source=STOPPED), Past(offline=True), (StartReplication(),),
    ),
    (
        "the peer was lost: nothing more of it once that is applied which was received",
        MASTER, ALONE, seen(), NOTHING,
        (Sync(lost=True), StopReceiving(finish=True), AllowWrites(WRITER), Bind(WRITER), Detach()),
    ),
    (
        "the last writer was not sure to be gone",
        MASTER, replace(ALONE, probe=PROBE_STOP), seen(), NOTHING,
        (
            Sync(lost=True), StopReceiving(finish=True), Probe(WRITER, stop=True), AllowWrites(WRITER),
            Bind(WRITER, insist=True), Detach(),
        ),
    ),
    (
        "the peer's binary log may have more: once nothing comes by replication, and before anybody writes",
        MASTER, replace(ALONE, probe=PROBE_STOP, salvage="db2"), seen(), NOTHING,
        (
            Sync(lost=True), StopReceiving(finish=True), Salvage("db2", WRITER), Probe(WRITER, stop=True),
            AllowWrites(WRITER), Bind(WRITER, insist=True), Detach(),
        ),
    ),
    (
        "it has taken writes since: what that log has is older than these",
        MASTER, replace(ALONE, salvage="db2"), seen(WRITER, writable=True), NOTHING,
        (StopReceiving(), Detach()),
    ),
    (
        "nor where it replicates on from that one",
        MASTER, Status("ONLINE", (WRITER,), "db1", salvage="db2"), seen(), NOTHING, PROMOTE,
    ),
    (
        "it has the VIP, nobody is to be asked",
        MASTER, replace(ALONE, probe=PROBE_STOP), seen(WRITER, writable=True, source=DETACHED), NOTHING, (),
    ),
    (
        "forced, it waits for nothing that came in the last moment, and takes nothing of it later",
        MASTER, replace(ALONE, force=True), seen(), NOTHING,
        (Sync(force=True), StopReceiving(), ThrowAway(), AllowWrites(WRITER), Bind(WRITER), Detach()),
    ),
    (
        "the peer is lost while this one is the writer",
        MASTER, ALONE, seen(WRITER, writable=True), NOTHING, (StopReceiving(), Detach()),
    ),
    (
        "it receives nothing any more, and what it has received waits to be thrown away",
        MASTER, ALONE, seen(WRITER, writable=True, source=replace(FROM_DB2, receives=False)), NOTHING, (Detach(),),
    ),
    (
        "what another replica has is got before writes are allowed, and the probe comes after it",
        MASTER, replace(ALONE, catch_up=("db3",), probe=PROBE_STOP), seen(), NOTHING,
        (
            Sync(lost=True), StopReceiving(finish=True), CatchUp(("db3",), WRITER), Probe(WRITER, stop=True),
            AllowWrites(WRITER), Bind(WRITER, insist=True), Detach(),
        ),
    ),
    (
        "also by the same order again, once the own source is out of reach",
        MASTER, replace(ALONE, catch_up=("db3",)), seen(source=DETACHED), NOTHING,
        (Sync(lost=True), CatchUp(("db3",), WRITER), AllowWrites(WRITER), Bind(WRITER)),
    ),
    (
        "not again where it was done a moment ago, nor where the role is held",
        MASTER, replace(ALONE, catch_up=("db3",)), seen(source=DETACHED), Past(ready=frozenset({WRITER})),
        (AllowWrites(WRITER), Bind(WRITER)),
    ),
    (
        "where it was broken off it is gone on with, or brought to its end",
        MASTER, ALONE, seen(source=AT_SLAVE), NOTHING,
        (
            Sync(lost=True), StopReceiving(finish=True), CatchUp((), WRITER), AllowWrites(WRITER), Bind(WRITER),
        ),
    ),
    (
        "a writer that is at a slave still takes the peer that was lost, out of reach",
        MASTER, ALONE, seen(WRITER, writable=True, source=AT_SLAVE), NOTHING,
        (StopReceiving(), OwnSource("db2", detached=True)),
    ),
    (
        "a master that was to be the writer and is not takes its peer again",
        MASTER, status("ONLINE"), seen(source=AT_SLAVE), NOTHING, (OwnSource("db2"),),
    ),
    ("detached already", MASTER, ALONE, seen(WRITER, writable=True, source=DETACHED), NOTHING, ()),
    ("a writer without replication", MASTER, ALONE, seen(WRITER, writable=True, source=None), NOTHING, ()),
    (
        "a server that has started detached again",
        MASTER, ALONE, seen(WRITER, writable=True, source=replace(DETACHED, running=True)), NOTHING, (),
    ),
    (
        "the peer is back in use",
        MASTER, replace(ALONE, detach=False), seen(WRITER, writable=True, source=DETACHED), NOTHING,
        (Attach(),),
    ),
    (
        "what is to be the writer stays detached until that is said with the role",
        MASTER, Status("ONLINE", (), "db1"), seen(source=DETACHED), NOTHING, (),
    ),
    (
        "another is the active master",
        MASTER, status("AWAITING_RECOVERY", master="db2"), seen(source=DETACHED), NOTHING, (Attach(),),
    ),
    ("nobody is", MASTER, status("ONLINE", master=""), seen(source=DETACHED), NOTHING, ()),
    (
        "nobody is, and it is to get what the last writer has",
        MASTER, Status("AWAITING_RECOVERY", attach=True), seen(source=DETACHED), NOTHING, (Attach(),),
    ),
    (
        "though not while the admin has it out of use",
        MASTER, Status("ADMIN_OFFLINE", attach=True), seen(source=DETACHED), NOTHING, (),
    ),
    (
        "out of use it does not replicate at all",
        MASTER, status("ADMIN_OFFLINE"), seen(source=DETACHED), NOTHING, (),
    ),
    ("running already", MASTER, status("ONLINE"), seen(), Past(offline=True), ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "wanted", "found", "past", "steps"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_steps(known: Facts, wanted: Status, found: Seen, past: Past, steps: tuple[Step, ...]) -> None:
    assert plan(wanted, found, known, past).steps == steps


def test_a_chain_ends_at_its_failure_and_unbinding_hangs_on_nothing() -> None:
    planned = plan(status("ONLINE", READ2), seen(WRITER, READ1, writable=True), MASTER, NOTHING)
    assert planned.chains == ((DenyWrites(),), (Unbind(WRITER),), (Unbind(READ1),), (Bind(READ2),))
    assert plan(status("ONLINE", WRITER), seen(), MASTER, NOTHING).chains == (PROMOTE,)


def test_a_writer_role_that_was_not_taken_over_completely_is_synced_at_the_next_attempt() -> None:
    wanted = status("ONLINE", WRITER, READ1)
    thawed = seen(READ1)
    assert Sync() not in plan(wanted, thawed, MASTER, remember(wanted, thawed, MASTER, NOTHING, ())).steps
    for before, unfinished in ((seen(server=Server.SILENT), ()), (seen(), (PROMOTE,))):
        past = remember(wanted, before, MASTER, Past(frozenset([WRITER])), unfinished)
        assert past.held == {READ1}
        assert plan(wanted, thawed, MASTER, past).steps == PROMOTE


REBUILD = Job("rejoin", "db3", "catch_up")


def test_a_role_without_an_address_is_not_asked_for_on_the_wire() -> None:
    unsure = replace(ALONE, probe=PROBE_STOP)
    assert any(isinstance(step, Probe) for step in plan(unsure, seen(), MASTER, NOTHING).steps)
    told = replace(MASTER, on_wire=False)
    assert not any(isinstance(step, Probe) for step in plan(unsure, seen(), told, NOTHING).steps)


@pytest.mark.parametrize("job", [REBUILD, replace(REBUILD, broken_off=True)])
@pytest.mark.parametrize("known", [MASTER, SLAVE])
@pytest.mark.parametrize(
    "source", [FROM_DB2, STOPPED, DETACHED, AT_SLAVE, replace(STOPPED, asleep=True), None]
)
@pytest.mark.parametrize("state", ["ONLINE", "ADMIN_OFFLINE", "AWAITING_RECOVERY", "REPLICATION_FAIL"])
def test_a_job_is_left_to_replicate_as_it_will_and_all_else_is_kept_as_ordered(
    job: Job, known: Facts, source: Source | None, state: str
) -> None:
    found = replace(seen(WRITER, READ1, writable=True, source=source, semi_sync=SOURCE), job=job)
    past = Past(offline=True, unused=True, fresh=True)
    planned = plan(status(state, READ2, master="db1"), found, known, past)
    assert planned == Plan(((DenyWrites(),), (Unbind(WRITER),), (Unbind(READ1),), (Bind(READ2),)))
    after = remember(status(state, READ2), found, known, past, ())
    assert (after.offline, after.unused, after.fresh) == (
        True,
        True,
        True,
    )  # it is started once the job is over


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (REBUILD, "db1 is being rebuilt from db3"),
        (replace(REBUILD, broken_off=True), "was broken off: run mmm_rejoin there again"),
        (replace(REBUILD, kind="restore", broken_off=True), "was broken off: run mmm_restore there again"),
    ],
)
def test_a_host_whose_data_are_being_replaced_does_not_become_the_writer(job: Job, why: str) -> None:
    wanted = Status("ONLINE", (WRITER, READ1), "db1", detach=True, salvage="db2", catch_up=("db3",))
    found = replace(seen(), job=job)
    planned = plan(wanted, found, MASTER, NOTHING)
    assert (planned.steps, planned.code) == ((Bind(READ1),), BEING_REBUILT)
    assert [why in refusal for refusal in planned.refusals] == [True]
    assert remember(wanted, found, MASTER, Past(frozenset([WRITER])), ()).held == {READ1}
    assert put_right(wanted, found, MASTER, Past(frozenset([WRITER]))).steps == (Bind(READ1),)


def test_a_file_that_a_job_has_left_takes_no_role_from_the_host_that_has_it() -> None:
    wanted = Status("ONLINE", (WRITER,), "db1")
    planned = plan(
        wanted, replace(seen(WRITER, writable=True), job=REBUILD), MASTER, Past(frozenset([WRITER]))
    )
    assert planned == Plan()


def test_strangers_are_refused_by_name() -> None:
    wanted = status("ONLINE", Vip("reader", WRITER.ip), READ1, Vip("lost", "10.0.0.7"))
    planned = plan(wanted, seen(), MASTER, NOTHING)
    assert planned.steps == (Bind(READ1),)
    assert planned.refusals == (
        "reader(10.0.0.80) is not in the conf of db1",
        "lost(10.0.0.7) is not in the conf of db1",
    )
    assert plan(status("ONLINE", master="db9"), seen(), SLAVE, NOTHING).refusals == (
        "active master db9 is not in the conf of db3",
    )


@pytest.mark.parametrize(
    ("state", "server", "said"),
    [
        ("HARD_OFFLINE", Server.DEAD, "note"),
        ("ONLINE", Server.DEAD, "note"),
        ("HARD_OFFLINE", Server.SILENT, "note"),
        ("ADMIN_OFFLINE", Server.SILENT, "note"),
        ("ONLINE", Server.SILENT, "refusal"),
        ("HARD_OFFLINE", Server.UP, ""),
        ("HARD_OFFLINE", Server.REFUSING, ""),
    ],
)
def test_unconfirmed_read_only(state: str, server: Server, said: str) -> None:
    planned = plan(status(state), seen(server=server), MASTER, NOTHING)
    assert (bool(planned.notes), bool(planned.refusals)) == (said == "note", said == "refusal")


def test_a_vip_on_another_interface_goes_once_it_is_where_it_belongs_or_nowhere() -> None:
    stray = replace(seen(READ1), stray=frozenset({READ1.ip, WRITER.ip}))
    assert plan(status("ONLINE", READ1), stray, MASTER, NOTHING).steps == (
        UnbindElsewhere(WRITER),
        UnbindElsewhere(READ1),
    )
    moved = replace(stray, bound=frozenset())
    assert plan(status("ONLINE", READ1), moved, MASTER, NOTHING).steps == (
        UnbindElsewhere(WRITER),
        Bind(READ1),
        UnbindElsewhere(READ1),
    )
    assert clear([], stray, MASTER).steps == (UnbindElsewhere(WRITER), Unbind(READ1), UnbindElsewhere(READ1))
    assert put_right(status("ONLINE", READ1), stray, MASTER, NOTHING).steps == ()


@pytest.mark.parametrize("state", ["ONLINE", "AWAITING_RECOVERY", "REPLICATION_FAIL"])
def test_a_replica_that_is_turned_away_gets_the_login_of_the_conf(state: str) -> None:
    turned_away = replace(FROM_DB2, refused=True)
    for known in (MASTER, SLAVE):
        assert plan(status(state), seen(source=turned_away), known, NOTHING).steps == (RenewLogin("db2"),)
    stranger = replace(turned_away, ip="10.0.0.99")
    assert plan(status(state), seen(source=stranger), MASTER, NOTHING).steps == ()
    detached = replace(turned_away, detached=True)
    assert RenewLogin("db2") not in plan(status(state), seen(source=detached), MASTER, NOTHING).steps
    assert plan(status("ADMIN_OFFLINE"), seen(source=turned_away), MASTER, NOTHING).steps == (
        StopReplication(),
    )


def test_the_writer_goes_on_in_the_log_of_a_standby_that_was_set_up_anew_and_nobody_else_does() -> None:
    lacks = replace(FROM_DB2, lacks_log=True, receives=False)
    here = seen(WRITER, writable=True, source=lacks)
    assert plan(status("ONLINE", WRITER, master="db1"), here, MASTER, NOTHING).steps == (GoOn("db2"),)
    assert plan(status("ONLINE"), seen(source=lacks), MASTER, NOTHING).steps == ()
    assert plan(status("AWAITING_RECOVERY"), seen(source=lacks), MASTER, NOTHING).steps == ()
    assert GoOn("db2") not in plan(status("ONLINE"), seen(source=lacks), SLAVE, NOTHING).steps
    assert GoOn("db2") not in plan(ALONE, here, MASTER, NOTHING).steps
    stranger = seen(WRITER, writable=True, source=replace(lacks, ip="10.0.0.99"))
    assert plan(status("ONLINE", WRITER, master="db1"), stranger, MASTER, NOTHING).steps == ()


@pytest.mark.parametrize("known", [MASTER, SLAVE])
def test_a_delay_that_is_half_lifted_is_finished_by_whatever_order_comes_next(known: Facts) -> None:
    half = seen(source=replace(FROM_DB2, receives=False, lifting=True))
    came = replace(NOTHING, offline=True)
    for state in ("ONLINE", "AWAITING_RECOVERY", "HARD_OFFLINE"):
        assert FinishLifting() in plan(status(state), half, known, NOTHING).steps
    assert plan(status("ADMIN_OFFLINE"), half, known, NOTHING).steps == (StopReplication(),)
    assert StartReplication() not in plan(status("ONLINE"), half, known, came).steps


@pytest.mark.parametrize("known", [MASTER, SLAVE])
def test_a_host_that_comes_into_use_replicates_and_one_in_use_is_the_admins(known: Facts) -> None:
    stopped, online = seen(source=STOPPED), status("ONLINE")
    past = remember(status("AWAITING_RECOVERY"), stopped, known, NOTHING, ())
    assert plan(status("AWAITING_RECOVERY"), stopped, known, past).steps == ()
    assert plan(online, stopped, known, past).steps == (StartReplication(),)
    assert plan(replace(online, vips=(WRITER,)), stopped, MASTER, past).steps == PROMOTE
    failed = remember(online, stopped, known, past, plan(online, stopped, known, past).chains)
    assert plan(online, stopped, known, failed).steps == (StartReplication(),)
    in_use = remember(online, replace(seen(), problem=""), known, past, ())
    assert plan(online, stopped, known, in_use).steps == ()


@pytest.mark.parametrize("known", [MASTER, SLAVE])
def test_an_agent_that_has_just_started_starts_what_nobody_has_stopped(known: Facts) -> None:
    asleep, online, began = seen(source=replace(STOPPED, asleep=True)), status("ONLINE"), Past(fresh=True)
    assert plan(online, asleep, known, began).steps == (StartReplication(),)
    assert plan(online, seen(source=STOPPED), known, began).steps == ()
    assert plan(replace(online, vips=(WRITER,)), asleep, MASTER, began).steps == PROMOTE
    for state in ("HARD_OFFLINE", "AWAITING_RECOVERY"):
        assert plan(status(state), asleep, known, began).steps == ()
        began = remember(status(state), asleep, known, began, ())
    failed = remember(online, asleep, known, began, plan(online, asleep, known, began).chains)
    assert plan(online, asleep, known, failed).steps == (StartReplication(),)
    in_use = remember(online, replace(seen(), problem=""), known, Past(fresh=True), ())
    assert plan(online, asleep, known, in_use).steps == ()


def test_replication_that_a_broken_off_switch_has_stopped_is_started() -> None:
    """The order comes again, or the role has gone back meanwhile: then nothing is left to be switched."""
    to_db2, stopped = status("ONLINE"), seen(source=STOPPED)
    past = remember(to_db2, seen(source=replace(FROM_DB2, ip="10.0.0.1")), SLAVE, NOTHING, [(Follow("db2"),)])
    for state in ("ONLINE", "REPLICATION_FAIL", "AWAITING_RECOVERY"):
        assert plan(status(state), stopped, SLAVE, past).steps == (StartReplication(),)
    assert plan(status("ADMIN_OFFLINE"), stopped, SLAVE, past).steps == ()
    started = remember(to_db2, stopped, SLAVE, past, ())
    assert plan(to_db2, stopped, SLAVE, started).steps == (StartReplication(),)
    unseen = remember(to_db2, seen(source=None), SLAVE, past, ())
    assert plan(to_db2, stopped, SLAVE, unseen).steps == (StartReplication(),), (
        "its server could not be asked"
    )
    seen_to_run = remember(to_db2, replace(seen(), problem=""), SLAVE, started, ())
    assert plan(to_db2, stopped, SLAVE, seen_to_run).steps == (), "it was stopped by hand since"


def test_a_switch_that_is_to_be_done_again_is_not_held_up_by_a_start() -> None:
    past, from_db1 = replace(NOTHING, switching=True), replace(STOPPED, ip="10.0.0.1")
    steps = plan(status("ONLINE"), seen(source=from_db1), SLAVE, past).steps
    assert steps == (Follow("db2"), StartReplication()), (
        "a refused one leaves the old source, which then replicates"
    )
    ending = replace(from_db1, running=True)
    assert plan(status("ONLINE"), seen(source=ending), SLAVE, past).steps == (Follow("db2"),)
    half = replace(STOPPED, running=True)
    assert plan(status("ONLINE"), seen(source=half), SLAVE, past).steps == (StartReplication(),)


@pytest.mark.parametrize(
    "step", [RenewLogin("db2"), OwnSource("db2"), Attach(), GoOn("db2"), FinishLifting()]
)
def test_a_master_too_replicates_again_behind_a_broken_off_switch(step: Step) -> None:
    past = remember(status("ONLINE"), seen(), MASTER, NOTHING, [(step,)])
    assert plan(status("ONLINE"), seen(source=STOPPED), MASTER, past).steps == (StartReplication(),)
    alone = plan(ALONE, seen(source=STOPPED), MASTER, past).steps
    assert StartReplication() not in alone, "a lost master is to be cut off"


@pytest.mark.parametrize("past", [Past(fresh=True), Past(unused=True)])
def test_what_nobody_has_stopped_is_started_also_where_the_host_failed_before_its_agent_heard_of_its_use(
    past: Past,
) -> None:
    asleep, stopped = seen(source=replace(STOPPED, asleep=True)), seen(source=STOPPED)
    broken = status("REPLICATION_FAIL")
    assert plan(broken, asleep, SLAVE, past).steps == (StartReplication(),)
    assert plan(broken, stopped, SLAVE, past).steps == (), "an error or a hand has ended it"
    assert plan(broken, asleep, SLAVE, Past()).steps == ()


def test_clear_removes_what_is_bound_and_not_assigned_and_nothing_else() -> None:
    found = seen(WRITER, READ1, READ2, writable=True)
    assert clear([READ1], found, MASTER).steps == (DenyWrites(), Unbind(WRITER), Unbind(READ2))
    assert clear([WRITER], found, MASTER).steps == (Unbind(READ1), Unbind(READ2))
    assert clear([], seen(writable=True), MASTER) == Plan()
    assert clear([WRITER], seen(), MASTER) == Plan()


vips = st.frozensets(st.sampled_from([WRITER, READ1, READ2]))
statuses = st.builds(
    lambda state, chosen, master, detach: Status(
        state, tuple(sorted(chosen)), master, detach=detach and WRITER in chosen
    ),
    st.sampled_from(["ONLINE", "ADMIN_OFFLINE", "HARD_OFFLINE", "AWAITING_RECOVERY", "REPLICATION_FAIL"]),
    vips,
    st.sampled_from(["", "db1", "db2", "db3"]),
    st.booleans(),
)
sources = st.one_of(
    st.none(),
    st.builds(
        Source,
        st.sampled_from(["10.0.0.1", "10.0.0.2"]),
        st.just(3306),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
)
sights = st.builds(
    lambda bound, server, writable, source: seen(*bound, server=server, writable=writable, source=source),
    vips,
    st.sampled_from(Server),
    st.booleans(),
    sources,
)
pasts = st.builds(Past, vips, st.booleans())
everybody = st.sampled_from([MASTER, SLAVE])


def after(found: Seen, steps: Iterable[Step], known: Facts) -> Seen:
    """What is seen when every step did what it says."""
    for step in steps:
        match step:
            case Bind(vip):
                found = replace(found, bound=found.bound | {vip.ip})
            case Unbind(vip):
                found = replace(found, bound=found.bound - {vip.ip})
            case DenyWrites():
                found = replace(found, writable=False)
            case AllowWrites():
                found = replace(found, writable=True)
            case Follow(host):
                found = replace(found, source=Source(*known.sources[host], running=True))
            case StopReceiving():
                assert found.source is not None
                found = replace(found, source=replace(found.source, receives=False))
            case ThrowAway() | Detach() | Attach():
                assert found.source is not None
                found = replace(
                    found,
                    source=replace(
                        found.source,
                        detached=not isinstance(step, Attach),
                        running=isinstance(step, Attach),
                        receives=isinstance(step, Attach),
                    ),
                )
            case StopReplication() | StartReplication():
                assert found.source is not None
                found = replace(
                    found, source=replace(found.source, running=isinstance(step, StartReplication))
                )
            case Sync():
                pass
    return found


@given(statuses, sights, everybody, pasts)
def test_when_all_is_done_nothing_is_left_to_do(
    wanted: Status, found: Seen, known: Facts, past: Past
) -> None:
    planned = plan(wanted, found, known, past)
    reached = after(found, planned.steps, known)
    unable = {WRITER.ip} if found.server is Server.SILENT and not found.writable else set()
    assert reached.bound - unable == {vip.ip for vip in wanted.vips} - unable
    if found.server is Server.UP:
        assert reached.writable == (WRITER in wanted.vips)
        again = plan(wanted, reached, known, Past(frozenset(wanted.vips), past.offline))
        assert set(again.steps) <= {StopReplication()}, "follow started what ADMIN_OFFLINE stops"


@given(statuses, sights, everybody, pasts)
def test_the_order_is_safe(wanted: Status, found: Seen, known: Facts, past: Past) -> None:
    steps = plan(wanted, found, known, past).steps
    kinds = [type(step) for step in steps]
    removals = [i for i, kind in enumerate(kinds) if kind is Unbind]
    additions = [i for i, kind in enumerate(kinds) if kind in {Bind, AllowWrites, Sync}]
    assert not removals or not additions or max(removals) < min(additions)
    if DenyWrites in kinds and removals:
        assert kinds.index(DenyWrites) < min(removals)
    if WRITER not in wanted.vips:
        assert AllowWrites not in kinds
    elif found.server is Server.SILENT and not found.writable:
        assert not {AllowWrites, Sync} & set(kinds), "each would wait for its time-out"
        assert plan(wanted, found, known, past).refusals
    elif WRITER.ip not in found.bound and WRITER not in past.held:
        assert kinds.index(Sync) < steps.index(Bind(WRITER))
    if AllowWrites in kinds and Bind(WRITER) in steps:
        assert kinds.index(AllowWrites) < steps.index(Bind(WRITER))
    alone = wanted.detach and wanted.master == known.this
    leaves = alone and found.source is not None and not found.source.detached
    if AllowWrites in kinds and leaves and (Sync in kinds or found.receives):
        assert kinds.index(StopReceiving) < kinds.index(AllowWrites)
    assert leaves or not {StopReceiving, ThrowAway, Detach} & set(kinds)
    if ThrowAway in kinds:
        assert wanted.force
        assert kinds.index(Sync) < kinds.index(ThrowAway) < steps.index(Bind(WRITER))
    assert not known.slave or Follow not in kinds[1:]
    assert known.slave or Follow not in kinds
