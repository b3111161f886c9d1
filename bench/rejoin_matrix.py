"""Goes through the matrix of a rejoin: each of its steps times each thing that can break beside it.

python -m bench.rejoin_matrix [--server NAME] [--only WORDS,…] [--list] [--name NAME]

Exit status 1 when anything was found that must never be.
"""

import argparse
import sys
import time

from mmm.proving import small_disk
from mmm.proving.rejoin_matrix import DISK, Came, cells, run, table
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.sql import SqlError
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up

CONF = Conf(top={"allow_rebuild": "yes"}, monitor={"flap_count": 0, "failover_block": 0})


def main() -> int:
    """Do the cells and print the matrix; returns the exit status."""
    parser = argparse.ArgumentParser(description="Break something beside every step of a rejoin.")
    parser.add_argument("--only", default="", help="cells whose names hold one of these, separated by commas")
    parser.add_argument("--server", default="mariadb", help="as for mmm_sandbox up, by its name")
    parser.add_argument("--list", action="store_true", help="only say which cells there are")
    parser.add_argument("--name", default="matrix", help="name of the sandbox (default matrix)")
    args = parser.parse_args()
    words = [word.strip() for word in args.only.split(",") if word.strip()]
    every = cells(mariadb=args.server.startswith("mariadb"))
    wanted = [cell for cell in every if not words or any(word in str(cell) for word in words)]
    if args.list:
        print("\n".join(map(str, wanted)))
        return 0
    began, found, small = time.monotonic(), list[Came](), False
    sandbox = up(args.name, conf=CONF, server=args.server)
    try:
        for number, cell in enumerate(wanted, 1):
            if (cell.fault == DISK or cell.in_place) and not small:
                small_disk.put_on(sandbox)
                small = True
            try:
                restore(sandbox)
                came = run(sandbox, cell)
            except (SandboxError, SqlError, OSError) as error:
                came = Came(cell, 0.0, 0, f"not whole again: {str(error).splitlines()[0]}")
            found.append(came)
            print(f"{number:>4} {time.monotonic() - began:7.1f} s  {cell}: {came}", flush=True)
    finally:
        print(table(found), flush=True)
    down(args.name)
    return 1 if any(each.bad for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
