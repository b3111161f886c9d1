"""Runs a daemon in the foreground, and profiles its event loop from one SIGUSR2 to the next, for `bench.scale`.

profiled.py FILE PROGRAM [ARGUMENTS]

The second SIGUSR2 writes what cProfile has counted to FILE. Other threads are not in it.
"""

import cProfile
import runpy
import signal
import sys
from pathlib import Path


def main() -> None:
    """Run the program in this process."""
    path, program = Path(sys.argv[1]), sys.argv[2]
    profile = cProfile.Profile()
    at_work = False

    def switch(*_: object) -> None:
        nonlocal at_work
        if at_work:
            profile.disable()
            profile.dump_stats(path)
        else:
            profile.enable()
        at_work = not at_work

    signal.signal(signal.SIGUSR2, switch)
    sys.argv = sys.argv[2:]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
