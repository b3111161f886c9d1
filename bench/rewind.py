"""What undoing a server's own last transactions takes, beside the bare programs in the same run.

python -m bench.rewind [--runs N] [--transactions N] [--json FILE]

The bare programs are `mariadb-binlog --flashback | mariadb`, which look at nothing first, commit each transaction by
itself, and leave the binary log as it is. The rewind of `mmm_rejoin` reads the log and the tables for the proof, undoes
in one transaction, keeps the log, and has it begin anew. Both run alternately on one server that writes everything to
the disk at once, as a server should (sync_binlog and innodb_flush_log_at_trx_commit 1), or once a second (0 and 2).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.tables import Table, write_json
from mmm.gtid.mariadb import History
from mmm.mysql.server.replication import history
from mmm.tools.rewind.proof import Limits, prove
from mmm.tools.rewind.undo import undo
from tests.servers import Server, Servers

_MEGABYTE = 1024**2
_TABLE = "CREATE TABLE shop.o (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(60), n INT, KEY (n))"
_ROWS = "INSERT INTO shop.o (what, n) SELECT CONCAT('before ', seq), seq FROM shop.seq_1_to_10000"
_DONE = (
    "INSERT INTO shop.o (what, n) VALUES ('what only this server has', {0})",
    "UPDATE shop.o SET what='changed by what only this server has' WHERE id={0}",
    "DELETE FROM shop.o WHERE id={0}",
)
_DISK = {"at once": (1, 1), "once a second": (0, 2)}


def checksum(server: Server) -> str:
    """Return what tells the table's rows."""
    with server.connect(timeout=60.0) as session:
        return str(session.query("CHECKSUM TABLE shop.o EXTENDED")[0]["Checksum"])


def diverge(server: Server, transactions: int) -> tuple[History, str]:
    """Give the server so many transactions of its own; returns what everybody has, and what the table was."""
    server.run("SET GLOBAL innodb_flush_log_at_trx_commit=2, GLOBAL sync_binlog=0")
    server.run(
        "DROP DATABASE IF EXISTS shop", "RESET MASTER", "SET GLOBAL gtid_slave_pos=''", "CREATE DATABASE shop"
    )
    server.run(_TABLE, _ROWS)
    before = checksum(server)
    with server.connect() as session:
        has = history(session)
        for number in range(1, transactions + 1):
            session.execute(_DONE[number % len(_DONE)].format(number))
    return has, before


def bare(server: Server, has: History) -> None:
    """Undo by the programs alone."""
    assert has
    log = server.directory / "data" / "bin.000001"
    start = next(str(gtid) for gtid in has.logged)
    read = ["mariadb-binlog", "--no-defaults", "-D", "--flashback", f"--start-position={start}", str(log)]
    run = ["mariadb", "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{server.port}"]
    with subprocess.Popen(read, stdout=subprocess.PIPE) as reading:
        subprocess.run(run, stdin=reading.stdout, check=True)


def ours(server: Server, has: History) -> None:
    """Prove, and undo."""
    with server.connect() as session:
        proof = prove(session, has, "db2", Limits(64))
    with server.connect() as session:
        undo(session, proof, server.directory / "kept")


def took(
    server: Server, how: Callable[[Server, History], None], disk: tuple[int, int], transactions: int
) -> float:
    """Return the seconds that it took to undo them, exactly."""
    has, before = diverge(server, transactions)
    server.run(f"SET GLOBAL sync_binlog={disk[0]}, GLOBAL innodb_flush_log_at_trx_commit={disk[1]}")
    began = time.monotonic()
    how(server, has)
    seconds = time.monotonic() - began
    assert checksum(server) == before
    return seconds


def measured(directory: Path, runs: int, transactions: int) -> Table:
    """Return what it came to."""
    pool = Servers(directory)
    ratios, rows = dict[str, float](), list[list[object]]()
    try:
        server = pool.start("--binlog-format=ROW", "--log-slave-updates=1", "--innodb-buffer-pool-size=256M")
        for said, disk in _DISK.items():
            found: dict[str, list[float]] = {"mariadb-binlog | mariadb": [], "rewind": []}
            for _ in range(runs):
                for name, how in zip(found, (bare, ours), strict=True):
                    found[name].append(took(server, how, disk, transactions))
            for name, seconds in found.items():
                median = statistics.median(seconds)
                figures = (f"{each:.2f}" for each in (min(seconds), median, max(seconds)))
                rows.append([f"{name}, on the disk {said}", runs, *figures])
            ratio = statistics.median(found["rewind"]) / statistics.median(found["mariadb-binlog | mariadb"])
            ratios[f"rewind, on the disk {said} / bare programs"] = ratio
            rows.append([f"rewind / bare programs, {said}", "", "", f"{ratio:.2f}", ""])
    finally:
        pool.stop()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEGABYTE
    rows.append(["memory of the tool at most, MB", "", "", f"{memory:.0f}", ""])
    return Table(
        f"{transactions:,} transactions undone (s)", ["what", "runs", "min", "median", "max"], rows, ratios
    )


def main() -> int:
    """Run the bench; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Undo a server's own transactions, beside the bare programs."
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--transactions", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write the table there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmm-rewind-") as directory:
        table = measured(Path(directory), args.runs, args.transactions)
    print(table.title, table, json.dumps(table.ratios), sep="\n")
    if args.json:
        write_json(args.json, [table])
    return 0


if __name__ == "__main__":
    sys.exit(main())
