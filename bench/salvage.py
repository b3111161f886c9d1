"""What a large transaction costs a failover that only the dead writer's binary log has, or that was on its way.

python -m bench.salvage [--server NAME] [--sizes MB,…] [--rows small|large] [--half-sent] [--ahead]
                        [--timeout S] [--json FILE]

Two servers on this machine, the agent of the dead one in a process of its own. Before the large transaction stands a
small one, behind it another: the first has to be got, the second may only be got with all that stands before it. With
`--half-sent` the writer is killed while its replica receives the large one, with `--ahead` the log has been got
before the order comes. Memory is that of the agent, above what it
had before. Exit status 1 where a part of the large transaction is left, or the outcome does not say what is.
"""

import argparse
import math
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from bench.tables import Table, write_json
from mmm.agent.act.binlog_known import NOTHING
from mmm.agent.act.catch_up import Patience, apply_received
from mmm.mysql.server.detach import stop_receiving
from mmm.mysql.session.connection import MysqlError
from mmm.wire.salvaged import Salvaged
from tests.servers import Servers, kind
from tests.unit.lost_writer import Pair, build, from_files, gtids, in_advance, salvage_from, served
from tests.unit.trio import agent

_MEGABYTE = 1 << 20
_LONG = 600.0
_ROW = {"small": 200, "large": 8 * _MEGABYTE}
_OPTIONS = ("--max-allowed-packet=64M", "--innodb-buffer-pool-size=256M")
_OF_FAMILY = {
    True: ("--innodb-log-file-size=512M",),
    False: ("--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--innodb-redo-log-capacity=1G"),
}
_COLUMNS = ("in the log", "got after, s", "agent, MB", "got", "left", "why", "at", "MB of it")


def commit_large(pair: Pair, megabytes: int, rows: str) -> None:
    """Have the old writer commit a transaction of about that size; it may be killed meanwhile."""
    size = megabytes * _MEGABYTE
    length = min(_ROW[rows], size)
    at_once = max(1, min(_MEGABYTE, size) // length)
    values = ", ".join([f"(REPEAT('x', {length}))"] * at_once)
    statement = f"INSERT INTO large (b) VALUES {values}"  # noqa: S608
    with suppress(MysqlError), pair.old.connect(timeout=_LONG) as client:
        client.execute("USE shop")
        client.execute("SET SESSION binlog_format=ROW")
        client.execute("BEGIN")
        for _ in range(math.ceil(size / length / at_once)):
            client.execute(statement)
        client.execute("COMMIT")


def lose(pair: Pair, megabytes: int, rows: str, *, half_sent: bool) -> str:
    """Kill the old writer with the large transaction in its log, or half of it sent; returns that one's GTID."""
    small = "INSERT INTO shop.orders (what) VALUES ('small')"
    table = "CREATE TABLE shop.large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)"
    if not half_sent:
        pair.lack(table, small)
        commit_large(pair, megabytes, rows)
        at = gtids(pair.old)
        pair.old.run(small)
        pair.old.kill()
        return at.replace(":1-", ":")
    pair.old.run(table, small)
    writer = threading.Thread(target=commit_large, args=(pair, megabytes, rows))
    writer.start()
    relay_logs = pair.new.directory / "data"
    while sum(each.stat().st_size for each in relay_logs.glob("relay.0*")) < megabytes * _MEGABYTE * 0.3:
        time.sleep(0.002)
    pair.old.kill()
    writer.join()
    with agent(pair.new) as here:
        stop_receiving(here)
    with agent(pair.new) as here:
        print(f"half sent: {apply_received(here, Patience(_LONG))}", flush=True)
    return ""


def peak() -> int:
    """Return the most memory that this process had since it was last asked to forget that, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def serve(pair: Pair, pipe: Pipe) -> None:
    """Be the agent of the dead server until the pipe is closed."""
    with served(from_files(pair.files)) as port:
        pipe.send(port)
        with suppress(EOFError):
            pipe.recv()


def got(pair: Pair, timeout: float, *, ahead: bool) -> tuple[Salvaged, str, float]:
    """Get the rest of the log within `timeout` seconds; returns what came of it, in words, and the agent's memory."""
    ours, theirs = multiprocessing.Pipe()
    other = multiprocessing.get_context("fork").Process(target=serve, args=(pair, theirs))
    other.start()
    try:
        port = int(ours.recv())
        Path("/proc/self/clear_refs").write_text("5")
        before, began = peak(), time.monotonic()
        known = in_advance(pair, port) if ahead else NOTHING
        if ahead:
            print(
                f"in advance: {known.size / _MEGABYTE:.1f} MB, {time.monotonic() - began:.2f} s", flush=True
            )
        ends = time.monotonic() + timeout
        done, said = salvage_from(port, pair, lambda: ends - time.monotonic(), ahead=lambda _: known)
        return done, said, (peak() - before) / _MEGABYTE
    finally:
        ours.send(None)
        other.join()


def measured(servers: Servers, megabytes: int, args: argparse.Namespace) -> tuple[list[object], bool]:
    """Return the row of a size, and whether all of it is as it has to be."""
    pair = build(servers, options=(*_OPTIONS, *_OF_FAMILY[servers.kind.flavour.mariadb]))
    at = lose(pair, megabytes, args.rows, half_sent=args.half_sent)
    done, said, memory = got(pair, args.timeout, ahead=args.ahead)
    here = int(pair.new.value("(SELECT COUNT(*) FROM shop.large)"))
    named = done.complete or (done.known and bool(done.left and done.at_size) and at in {"", done.at})
    fine = bool(here) == done.complete and named
    print(f"{megabytes} MB: {done}{f'; {said}' if said else ''}", flush=True)
    why, size = done.cause or "", f"{done.at_size / _MEGABYTE:.0f}" if done.at_size else ""
    figures = (f"{done.seconds:.2f}", f"{memory:.0f}", done.count, done.left, why, done.at[-12:], size)
    return [f"{megabytes} MB", *figures], fine


def main() -> int:
    """Run the bench; returns the exit status."""
    parser = argparse.ArgumentParser(description="Look at what a large transaction of a dead writer costs.")
    parser.add_argument("--server", default="mariadb", help="as for mmm_sandbox up")
    parser.add_argument("--sizes", default="2,10,20,40,60,480", help="MB of each transaction")
    parser.add_argument("--rows", choices=_ROW, default="large", help="of 200 bytes, or of 8 MB")
    parser.add_argument("--half-sent", action="store_true", help="the replica has received a part of it")
    parser.add_argument("--ahead", action="store_true", help="the log was got in advance")
    parser.add_argument("--timeout", type=float, default=5.0, help="salvage_timeout (default 5)")
    parser.add_argument("--json", type=Path, help="write the table there too")
    args = parser.parse_args()
    rows, fine = list[list[object]](), True
    for size in map(int, args.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="mmm-salvage-") as directory:
            servers = Servers(Path(directory), kind(args.server))
            try:
                row, well = measured(servers, size, args)
            finally:
                servers.stop()
        rows.append(row)
        fine = fine and well
    load = os.getloadavg()[0]
    besides = f"{', half sent' if args.half_sent else ''}{', got in advance' if args.ahead else ''}"
    how = f"{servers.kind.version}, rows {args.rows}{besides}, load average {load:.0f}"
    table = Table(f"a large transaction of a dead writer, {how}", _COLUMNS, rows)
    print(table.title, table, sep="\n")
    if args.json:
        write_json(args.json, [table])
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
