"""The page that says what the benches came to."""

import datetime as dt
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.tables import Table

_HEAD = """\
# Performance

Made by `make bench`, in the sandbox: every server, agent, monitor and client on one machine, each in a network
namespace. Seconds depend on the machine; from run to run ratios are compared, which are kept in `bench/ratios.json`.

| | |
|---|---|
| machine | {machine} |
| date | {date} |
| commit | {commit} |
| whole run | {minutes:.1f} minutes |
"""

_SAID = {
    "move": """\
## Planned move

A client writes a row every 2 ms through the writer's VIP; an outage is the time from its last acknowledged row to the
next one. *Floor* is a single script that runs the same statements and netlink calls directly against both servers, on
connections that are already open, alternating with `move_role` in the same cluster. The steps are those that
`mmm_control history` shows for each move.
""",
    "load": """\
## Planned move under load

Clients write side by side, a row every 10 ms each. When a transaction fails its client drops the connection and retries
it until it is acknowledged. *Transactions hit*: those that failed at first, or took longer than 0.1 s. *Failed
attempts*: those that were sent but not acknowledged.
""",
    "failover": """\
## Failover

The same client, which gives up connecting after 50 ms, so that its own time-out adds no more than that. *default* is
the default conf (check_period 5, trap_period 10, timeout 2, vip_lease 10), *1/1/1* has 1 s for the first three and a
lease of 2 s, *fast conf* is `etc/mmm_mon.fast.conf.example` with a lease of 1 s. The median should be at most *aim*,
the longest *at most*: for a server whose port refuses check_period/2 + trap_period + 0.3 s and check_period +
trap_period + 0.5 s; where nothing answers timeout + trap_period + lease, and 0.5 s more; with the fast conf 0.5 s
(killed, with `server_exit failover`, 0.1 s) and 1.5 s. *salvage no*: the next writer does not read the dead server's
binary log; *killed then*: `kill_frozen_server yes`. *missing* are rows that were acknowledged and went down with
the old writer: replication is asynchronous. *classic* is MMM 2.2.3 in Perl, *best of others* the best of keepalived,
MHA, orchestrator and replication-manager, measured with such a client that gave up after 0.25 s, on a machine of the
same kind. The best is mostly keepalived, which leaves two writers when a host is cut off.
""",
    "scale": """\
## Scale

One real monitor, with real sockets; the hosts are stand-ins that speak the agents' protocol and as much of
MySQL's as the checks need. Every check has a period, trap period and time-out of 1 s. [scale.md](scale.md) explains the
columns and how it is done.
""",
    "monitors": """\
## Several monitors

In a cluster of three real hosts and two monitors, checks of 1 s and leases of 2 s: how long it takes until another
monitor leads once the leader is killed, frozen or cut off, and how long a client cannot write when leader and writer's
server are killed at the same moment. *At most*: `lead_lease`, its margin and 1 s; for writes a failover by a refused
port besides. What monitors cost is measured with stand-ins that vote, each monitor in a separate machine: *messages*
are the questions that it asks agents, *LEAD* those about the lead.
""",
    "idle": """\
## Idle

What the daemons of a three-host cluster cost with the default conf while nothing happens: all their processes,
memory as PSS. What a wake-up costs differs threefold between two hours of one machine, so *bare loop* runs beside them:
an asyncio process that exchanges a line with itself ten times a second. Runs are compared by the ratio to that.
*classic* is MMM 2.2.3 in Perl, measured on another day. In the second table all hang whom the
monitor tells of changes: a webhook that never answers, and a program that does not end, which is killed after 10 s and
tried again.
""",
    "health": """\
## A load balancer asks

What a request for `/writer` costs all of an agent's processes, over the network of the sandbox, beyond what they
take while nobody asks; beside a bare loop in Python that only accepts, reads, writes and closes. The same loop in
C, which is the kernel's part, takes 0.03 and 0.01 ms. [health.md](health.md) says who may ask what.
""",
    "rejoin": """\
## A host is rebuilt

`mmm_rejoin` of a master with a copy of the active one, over the network without TLS, beside `mariadb-backup --backup |
mbstream -x` and `--prepare` alone on the donor's machine, in turn in one cluster. All of it shares two cores, the
compression on the way too. A client writes a row every 5 ms into the donor. A rebuild saves, copies, proves the copy by
a server that runs on it, swaps, and catches up. What the donor's writers feel is measured twice: with both hosts on the
machine's one disk and all its cores, where their writes wait for whatever the recipient does, and as if each host had
its own: the copy in memory, the donor's machine on one core and all else on another. *Commits waited*: how long
`mariadb-backup` held them up at its end (`BACKUP STAGE BLOCK_COMMIT`), most of it the server's `FLUSH ENGINE LOGS`.
""",
    "rewind": """\
## Rewind

What `mmm_rejoin` takes to undo what only a MariaDB server has, beside `mariadb-binlog --flashback | mariadb` on the
same server in turn. The bare programs look at nothing first, commit each transaction by itself, and leave the binary
log as it is; a rewind proves by log and tables that it may, commits once, keeps the log and has it begin anew. *At
once*: `sync_binlog` and `innodb_flush_log_at_trx_commit` are 1; *once a second*: 0 and 2, where RESET MASTER alone
waits for InnoDB for up to 2 s.
""",
    "start": """\
## mmm_control

`mmm_control show` beside a bare interpreter that imports only what it cannot do without. Both run in the editable
installation of the tests, whose own modules every interpreter there loads. In a plain installation, where the bare
interpreter takes a quarter less, the ratio is 1.45.
""",
}

_MORE = {
    "health": """\
Before requests were taken without Python's socket class the first ratio was 1.31 by the same measurement. Where
nothing else runs the bare loop takes 0.048 ms for a new connection.
""",
    "rejoin": """\
Where all share the cores the longest write is one that waited for the processor. The same cluster in turns on a
busier machine, with a client that writes alone waiting for 21 ms at most: of 90 writes of more than 40 ms beside
20 copies into memory 9 fell into the time in which `mariadb-backup` keeps commits waiting (52 ms on average), of
168 beside 6 copies onto the donor's own disk 2, and 13 into a sync of the copy. Other ways made no difference that
lasts, longest write of each run in ms:

| | |
| --- | --- |
| onto the donor's disk: the bare programs | 88, 132, 81, 304, 70, 124, 241 |
| as it is | 113, 103, 251, 163, 77, 164, 280 |
| the copy left to the kernel, synced at the end | 84, 85, 162, 113, 333, 101, 134 |
| written out in steps of 4 MB (`sync_file_range`) | 160, 160, 118, 231 |
| what compresses, sends and unpacks at niceness 10 | 108, 60, 271, 89 |
| in memory: the bare programs | 44, 46, 28, 23, 23, 74, 42, 37, 30 |
| as it is | 95, 64, 90, 112, 72, 138, 153, 90, 61 |
| what compresses and sends at niceness 10 | 76, 67, 74, 81, 142, 84, 148, 247, 87 |
""",
}
"""What was tried, below the tables."""


def page(found: Mapping[str, Sequence[Table]], drawn: Mapping[str, Path], minutes: float, root: Path) -> str:
    """Return the page, in Markdown; `drawn` are the pictures by their family."""
    today = dt.datetime.now(tz=dt.UTC).date()
    parts = [_HEAD.format(machine=_machine(), date=today, commit=_commit(root), minutes=minutes)]
    for name, said in _SAID.items():
        if name not in found:
            continue
        parts += [said, *(table.markdown for table in found[name])]
        if name in drawn:
            parts.append(f"![{name}](performance/{drawn[name].name})\n")
        parts += [_MORE[name]] if name in _MORE else []
    return "\n".join(parts)


def _machine() -> str:
    cpus = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text("utf-8").split()[1]) / 1024**2
    what = models[0] if models else platform.machine()
    return f"{len(models)} x {what}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def _commit(root: Path) -> str:
    said = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip
    return said.stdout.strip() or "unknown"
