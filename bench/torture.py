"""Moves the writer again and again while clients write, and says what was lost, doubled or left different.

python -m bench.torture [--server NAME] [--moves N] [--only NAME,…] [--semi-sync] [--auto-rejoin] [--name NAME]

Exit status 1 when anything was found that must never be; the cluster is then left as it is, unless --go-on.
"""

import argparse
import itertools
import sys
import time
from collections import Counter

from mmm.proving.rounds import ROUNDS
from mmm.proving.torture import Found, prepare, torture
from mmm.sandbox.machines.conf import Conf, by_itself, fast
from mmm.sandbox.semi_sync import options
from mmm.sandbox.up import down, up

_HEADER = (
    f"{'round':<40}{'rounds':>7}{'moves':>7}{'deeds':>9}{'unknown':>9}{'lost':>6}{'said':>7}{'no figure':>11}"
    f"{'apart':>7}{'hands':>7}{'bad':>5}"
)
"""`said`: the upper bounds of the loss that MMM gave at the failovers; `no figure`: failovers with an unknown loss."""


def main() -> int:
    """Run the rounds and print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description="Look for transactions that a move loses or doubles.")
    parser.add_argument("--server", default="mariadb", help="as for mmm_sandbox up")
    parser.add_argument("--moves", type=int, default=200, help="moves of the writer (default 200)")
    parser.add_argument("--only", default="", help="names of rounds, separated by commas")
    parser.add_argument(
        "--semi-sync", action="store_true", help="the masters acknowledge commits: nothing is lost"
    )
    parser.add_argument(
        "--auto-rejoin", action="store_true", help="the monitor rebuilds hosts: none may need hands"
    )
    parser.add_argument("--name", default="torture", help="name of the sandbox (default torture)")
    parser.add_argument("--go-on", action="store_true", help="go on after a finding")
    args = parser.parse_args()
    wanted = [way for way in ROUNDS if not args.only or way.name in args.only.split(",")]
    conf = fast(Conf(monitor={"flap_count": 0, "failover_block": 0}))
    conf = by_itself(conf) if args.auto_rejoin else conf
    more = options(args.server) if args.semi_sync else {}
    sandbox = up(args.name, conf=conf, server=args.server, options=more)
    look = f"the cluster is left for a look: mmm_sandbox --name {args.name} status"
    began, found = time.monotonic(), []
    try:
        prepare(sandbox)
        for number, way in enumerate(itertools.cycle(wanted), 1):
            found.append(torture(sandbox, way, number, semi_sync=args.semi_sync, by_itself=args.auto_rejoin))
            print(f"{number:>4} {time.monotonic() - began:7.1f} s  {found[-1]}", flush=True)
            if found[-1].bad and not args.go_on:
                print(look, flush=True)
                return 1
            if sum(each.moves for each in found) >= args.moves:
                break
    except BaseException:
        print(look, flush=True)
        raise
    finally:  # a run that was ended has its figures, too
        print(f"{sandbox.server.version}, {time.monotonic() - began:.0f} s\n{_table(found)}", flush=True)
    down(args.name)
    return 1 if any(each.bad for each in found) else 0


def _table(found: list[Found]) -> str:
    names = Counter(each.name for each in found)
    lines = [_line(name, [each for each in found if each.name == name]) for name in names]
    return "\n".join([_HEADER, *lines, _line("all", found)])


def _line(name: str, found: list[Found]) -> str:
    first = [each.told[0].most for each in found if each.told]
    figures = (
        f"{len(found):>7}{sum(each.moves for each in found):>7}{sum(each.acknowledged for each in found):>9}"
        f"{sum(each.unknown for each in found):>9}{sum(each.lost for each in found):>6}"
        f"{sum(most or 0 for most in first):>7}{sum(most is None for most in first):>11}"
        f"{sum(len(each.apart) for each in found):>7}{sum(len(each.hands) for each in found):>7}"
        f"{sum(len(each.bad) for each in found):>5}"
    )
    return f"{name:<40}{figures}"


if __name__ == "__main__":
    sys.exit(main())
