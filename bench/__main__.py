"""All benches, one after the other, and what they came to: docs/performance.md with a picture of each family.

python -m bench [--only NAME,…] [--keep] [--out DIRECTORY]

Each bench is a process of its own with a limit; all limits together are 29 minutes. The ratios of this run are compared
with those in bench/ratios.json, figures in seconds are not: another machine has others. Exit status 1 when a bench
failed or a ratio has become worse than its tolerance allows, each with a line of its own. `--keep` writes the ratios of
this run into the file.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import pictures, ratios
from bench.page import page
from bench.tables import Table, read_json

_ROOT = Path(__file__).parents[1]
_GRACE = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One bench: the program's words behind `python -m`, and how many seconds it may take."""

    name: str
    words: tuple[str, ...]
    limit: float


ENTRIES = (
    Entry("move", ("bench.move", "--runs", "20", "--steps"), 80),
    Entry("load", ("bench.move", "--runs", "10", "--load", "8"), 50),
    Entry("failover", ("bench.failover", "--runs", "3"), 620),
    Entry("scale", ("bench.scale", "--hosts", "100,1000", "--seconds", "5"), 220),
    Entry("monitors", ("bench.monitors", "--runs", "2"), 240),
    Entry("idle", ("bench.idle", "--seconds", "45"), 130),
    Entry("health", ("bench.health",), 60),
    Entry("rejoin", ("bench.rejoin", "--gigabytes", "1", "--runs", "3"), 200),
    Entry("rewind", ("bench.rewind", "--runs", "2"), 90),
    Entry("start", ("bench.start", "--runs", "30"), 30),
)


def run(entry: Entry, json_file: Path) -> str:
    """Run a bench to its end; returns why it failed, empty when it did not."""
    argv = [sys.executable, "-m", *entry.words, "--json", str(json_file)]
    process = subprocess.Popen(argv, cwd=_ROOT, start_new_session=True)
    try:
        status = process.wait(entry.limit)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"{entry.name}: not done within {entry.limit:g} s"
    except BaseException:
        _end(process)
        raise
    return f"{entry.name}: exit status {status}" if status else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a bench as Ctrl-C does, so that it takes its sandbox down."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Run the benches, write the page and the pictures; returns the exit status."""
    parser = argparse.ArgumentParser(description="Run all benches and write what they came to.")
    names = ", ".join(entry.name for entry in ENTRIES)
    parser.add_argument("--only", default="", help=f"some of {names}, separated by commas")
    parser.add_argument("--keep", action="store_true", help="keep this run's ratios in bench/ratios.json")
    parser.add_argument("--out", type=Path, default=_ROOT / "docs", help="where to write (default docs)")
    args = parser.parse_args()
    wanted = [entry for entry in ENTRIES if not args.only or entry.name in args.only.split(",")]
    began, failures, found = time.monotonic(), [], {}
    with tempfile.TemporaryDirectory(prefix="mmm-bench-") as made:
        for entry in wanted:
            print(f"--- {entry.name}", flush=True)
            file = Path(made, f"{entry.name}.json")
            failures += [failure] if (failure := run(entry, file)) else []
            if file.exists():
                found[entry.name] = read_json(file)
    minutes = (time.monotonic() - began) / 60
    drawn = pictures.draw(found, args.out / "performance")
    (args.out / "performance.md").write_text(page(found, drawn, minutes, _ROOT), "utf-8")
    print(f"written in {minutes:.1f} minutes: {args.out / 'performance.md'}")
    return _judge(_ratios(found), failures, keep=args.keep)


def _ratios(found: dict[str, list[Table]]) -> dict[str, float]:
    return {
        name: ratio for tables in found.values() for each in tables for name, ratio in each.ratios.items()
    }


def _judge(measured: dict[str, float], failures: list[str], *, keep: bool) -> int:
    lines = [*failures, *ratios.worse(measured, ratios.read())]
    for line in lines:
        print(f"bench: {line}", file=sys.stderr)
    if keep:
        ratios.keep(measured)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
