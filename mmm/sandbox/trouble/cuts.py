"""Ways to cut links of a sandbox without a word to either end: packets vanish, nobody is told.

cut             the cable is pulled: nothing comes or goes
unhear, mute    one way: the switch passes nothing on to the machine, or nothing of what it sends
part            two machines and no others: each has a wrong MAC for all addresses of the other, for good
blink           the port is off the bridge for a second: what is under way is late, for it has to be sent again
"""

import json
import time

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import network
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.machines.machine import Machine

NOBODY = "02:4d:00:00:00:00"
"""A MAC that no machine has; it can be told from all others in a table of neighbours."""
BLINK = 1.0


def cut(sandbox: Sandbox, name: str) -> None:
    """Pull the cable; raises SandboxError."""
    network.set_port(sandbox.machine(SWITCH), sandbox.layout.plugs[name].port, up=False)


def unhear(sandbox: Sandbox, name: str) -> None:
    """Let nothing reach the machine any more, while what it sends arrives; raises SandboxError."""
    _port(sandbox, name, "learning off flood off mcast_flood off bcast_flood off")
    _forget(sandbox, name)


def mute(sandbox: Sandbox, name: str) -> None:
    """Let nothing that the machine sends arrive any more, while it is reached; raises SandboxError."""
    _port(sandbox, name, "learning off locked on")
    _forget(sandbox, name)


def part(sandbox: Sandbox, name: str, other: str) -> None:
    """Let two machines reach all others but each other; raises SandboxError.

    Between two masters that is also the writer's VIP, which is on one of them. With other VIPs nothing is done.
    """
    for here, there in ((name, other), (other, name)):
        interface = sandbox.layout.plugs[here].interface
        _batch(
            sandbox.machine(here),
            [
                f"neighbour replace {ip} lladdr {NOBODY} nud permanent dev {interface}"
                for ip in _between(sandbox, there, here)
            ],
        )


def blink(sandbox: Sandbox, name: str) -> None:
    """Take the machine off the bridge for a second; raises SandboxError."""
    switch, port = sandbox.machine(SWITCH), sandbox.layout.plugs[name].port
    _batch(switch, [f"link set {port} nomaster"])
    time.sleep(BLINK)
    _batch(switch, [f"link set {port} master {network.BRIDGE}"])


def join(sandbox: Sandbox, name: str) -> list[str]:
    """Undo every cut of a machine and return what was undone, in words; raises SandboxError."""
    return [*plug(sandbox, name), *hear(sandbox, name), *_know(sandbox, name, _wrong(sandbox, name))]


def plug(sandbox: Sandbox, name: str) -> list[str]:
    """Undo `cut` and `blink`; see join."""
    switch, port = sandbox.machine(SWITCH), sandbox.layout.plugs[name].port
    shown = switch.run(["ip", "-o", "link", "show", "dev", port], limit=5, check=False).stdout
    done = []
    if shown and "UP" not in shown.split("<")[1].split(">")[0].split(","):
        network.set_port(switch, port, up=True)
        done.append(f"{name}: its cable is back")
    if shown and f"master {network.BRIDGE}" not in shown:
        _batch(switch, [f"link set {port} master {network.BRIDGE}"])
        done.append(f"{name}: it is at the bridge again")
    return done


def hear(sandbox: Sandbox, name: str) -> list[str]:
    """Undo `unhear` and `mute`; see join."""
    port = sandbox.layout.plugs[name].port
    shown = sandbox.machine(SWITCH).run(
        ["bridge", "-j", "-d", "link", "show", "dev", port], limit=5, check=False
    )
    if any(link.get("learning", True) for link in json.loads(shown.stdout or "[{}]")):
        return []
    _port(sandbox, name, "learning on locked off flood on mcast_flood on bcast_flood on")
    return [f"{name}: packets pass both ways again"]


def meet(sandbox: Sandbox, name: str, other: str) -> list[str]:
    """Undo the parting of two machines; see join."""
    done = []
    for here, there in ((name, other), (other, name)):
        known = _wrong(sandbox, here)
        done += _know(sandbox, here, [ip for ip in _between(sandbox, there, here) if ip in known])
    return done


def _between(sandbox: Sandbox, there: str, here: str) -> tuple[str, ...]:
    """Return the addresses of a machine that another cannot reach when they are parted."""
    wire, masters = sandbox.layout.plugs[there], sandbox.layout.masters
    shared = (sandbox.layout.writer_ip,) if {there, here} <= set(masters) else ()
    return (wire.ip, *wire.more, *shared)


def _wrong(sandbox: Sandbox, name: str) -> list[str]:
    """Return the addresses that the machine has a wrong MAC for."""
    if not sandbox.machine(name).running:
        return []
    lines = sandbox.machine(name).run(["ip", "neighbour", "show"], limit=5).stdout.splitlines()
    return [line.split()[0] for line in lines if NOBODY in line]


def _know(sandbox: Sandbox, name: str, wrong: list[str]) -> list[str]:
    """Let the machine ask again who has these addresses."""
    interface = sandbox.layout.plugs[name].interface
    _batch(sandbox.machine(name), [f"neighbour delete {ip} dev {interface}" for ip in wrong])
    return [f"{name}: it reaches {', '.join(wrong)} again"] if wrong else []


def _port(sandbox: Sandbox, name: str, flags: str) -> None:
    port = sandbox.layout.plugs[name].port
    sandbox.machine(SWITCH).run(["bridge", "link", "set", "dev", port, *flags.split()], limit=5)


def _forget(sandbox: Sandbox, name: str) -> None:
    """Let the switch not know any more which MACs are behind the machine's port."""
    switch, port = sandbox.machine(SWITCH), sandbox.layout.plugs[name].port
    lines = switch.run(["bridge", "fdb", "show", "dev", port], limit=5).stdout.splitlines()
    for line in lines:
        if "permanent" not in line and "self" not in line:
            switch.run(
                ["bridge", "fdb", "delete", line.split()[0], "dev", port, "master"], limit=5, check=False
            )


def _batch(machine: Machine, lines: list[str]) -> None:
    if lines:
        machine.run(["ip", "-batch", "-"], text="\n".join(lines) + "\n", limit=10)
