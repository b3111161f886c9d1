"""HAProxy on machines of a sandbox, with what `mmm_control proxy` prints for its cluster."""

import shutil
from collections.abc import Iterable
from dataclasses import replace

from mmm.control.proxies.plan import BOTH, LAG, WRITE
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import NET, Conf
from mmm.sandbox.machines.layout import CLIENT
from mmm.sandbox.machines.machine import Machine, SandboxError

PROXIES = ("haproxy",)
"""Those that can be run here."""
_HEALTH_PORT = 9991
_FILE = "/run/haproxy.cfg"
_LIMIT = 10.0


def with_health(conf: Conf) -> Conf:
    """Return the conf with a health port for each host, which answers all machines."""
    default = {"health_port": _HEALTH_PORT, **conf.hosts.get("default", {})}
    top = {"health_from": f"{NET}0/24", **conf.top}
    return replace(conf, top=top, hosts={**conf.hosts, "default": default})


def program() -> str:
    """Return the path of HAProxy; raises SandboxError where there is none."""
    found = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        raise SandboxError("haproxy is missing: apt-get install haproxy")
    return found


def start_proxy(sandbox: Sandbox, lag: float = LAG, on: Iterable[str] = (CLIENT,)) -> None:
    """Start HAProxy on machines where none listens; then it does.

    Hosts that are `lag` seconds behind are not read from. On a database host it leaves MySQL's port to the server.
    Raises SandboxError.
    """
    todo = [name for name in on if not _listens(sandbox.machine(name))]
    if not todo:
        return
    made = sandbox.control("proxy", "--lag", f"{lag:g}", "haproxy")
    if made.returncode:
        raise SandboxError(f"mmm_control proxy haproxy: {made.stderr.strip()}")
    haproxy = program()
    for name in todo:
        machine = sandbox.machine(name)
        hosted = name in sandbox.hosts
        machine.path(_FILE).write_text(
            made.stdout.replace(f"    bind *:{BOTH}\n", "") if hosted else made.stdout
        )
        machine.run([haproxy, "-c", "-q", "-f", _FILE])
        machine.spawn([haproxy, "-db", "-f", _FILE], log=machine.home / "haproxy.log")
    sandbox.wait_until(
        lambda: all(_listens(sandbox.machine(name)) for name in todo),
        _LIMIT,
        f"HAProxy listens on {', '.join(todo)}",
    )


def _listens(machine: Machine) -> bool:
    try:
        machine.connect(("127.0.0.1", WRITE), _LIMIT).close()
    except ConnectionRefusedError:
        return False
    return True
