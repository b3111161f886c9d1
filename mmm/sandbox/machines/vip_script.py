"""A program for `vip_via script` that moves an address by `ip`, and tells the neighbours by ARP.

The fabric of a cloud knows at once where an address went; here that is what the ARP is for.
"""

import sys
from pathlib import Path

from mmm.network.sender import Sender
from mmm.own_module import own_module

HANGS = "/run/remove-hangs"
"""Where this file is on a machine, `remove` hangs there."""
_MODULE = "mmm.sandbox.machines.vip_script"
_TEXT = """#!/bin/sh
case $1 in
add)
    ip addr replace $3/32 dev $4
    {tell} $4 $3
    ;;
remove)
    [ ! -e {hangs} ] || sleep 600
    ip -o addr show dev $4 | grep -qF " $3/" || exit 0
    ip addr del $3/32 dev $4
    ;;
status)
    ip -o addr show dev $4 | grep -qF " $3/"
    ;;
esac
"""


def write_program(path: Path) -> Path:
    """Write the program to a file, and return that; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_TEXT.format(tell=" ".join(own_module(_MODULE)), hangs=HANGS))
    path.chmod(0o755)
    return path


def main() -> None:
    """Tell the neighbours on the interface in the first argument that the address in the second one is here."""
    interface, ip = sys.argv[1:]
    sender = Sender(interface, [ip])
    sender.send(ip)
    sender.close()


if __name__ == "__main__":
    main()
