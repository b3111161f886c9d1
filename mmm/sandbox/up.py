"""Brings a sandbox up and takes it down.

sandbox = up("rehearsal", conf=fast(Conf()))
sandbox.control("move_role", "writer", "db2")
down("rehearsal")
"""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mmm.sandbox.cluster import Sandbox, Say, check_root, directory
from mmm.sandbox.interrupts import deferred
from mmm.sandbox.machines import build, data, fetch, network, servers
from mmm.sandbox.machines.conf import Conf, Values
from mmm.sandbox.machines.layout import SWITCH, Layout
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.processes import end_holders
from mmm.sandbox.proxy import program, start_proxy, with_health

_NEEDED = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "timeout": "coreutils"}
_HIDDEN = ("/run", "/etc", "/var/lib", "/var/log")


def up(
    name: str,
    *,
    conf: Conf | Path | None = None,
    server: str = "mariadb",
    options: Values | None = None,
    daemons: bool = True,
    proxy: bool = False,
    say: Say = lambda _: None,
) -> Sandbox:
    """Build a sandbox and return it when every host is ONLINE and the writer's VIP is bound.

    `conf` is the sandbox's own conf or a folder of conf files; `options` are added to every server's my.cnf.
    Without `daemons` it ends with servers that replicate; with `proxy` HAProxy runs on the client's machine, and the
    sandbox's own conf has health ports. What a crashed sandbox of that name has left is removed
    first. Raises SandboxError or NotInTimeError, and then nothing stays.
    """
    sandbox = Sandbox(name)
    _check_machine()
    conf = _for_proxy(conf or Conf()) if proxy else conf or Conf()
    found = _found(server, say)
    with _alone(sandbox):
        homes = [path.parent.name for path in sandbox.homes.glob("*/boot")]
        if sandbox.mark.is_file() and all(sandbox.machine(each).running for each in homes):
            raise SandboxError(f"sandbox {name} is up already: mmm_sandbox down --name {name}")
        _remove(sandbox)
        try:
            _build(sandbox, conf, found, options or {}, say)
            if daemons:
                _start(sandbox, say)
            if proxy:
                start_proxy(sandbox)
            mark = {"server": str(found.binary), "version": found.version, "daemons": daemons}
            sandbox.mark.write_text(json.dumps(mark) + "\n")
        except BaseException:
            with deferred():
                _remove(sandbox)
            raise
    return sandbox


def _found(server: str, say: Say) -> servers.Server:
    if fetch.is_missing(server):
        say(f"fetching {server} from Debian, 70 MB: up to a minute")
    return servers.find(server)


def _for_proxy(conf: Conf | Path) -> Conf | Path:
    """Return the conf with health ports, where it is not an admin's; raises SandboxError without a proxy."""
    program()
    return with_health(conf) if isinstance(conf, Conf) else conf


def _start(sandbox: Sandbox, say: Say) -> None:
    say("starting the agents and the monitor")
    sandbox.start_daemons()
    sandbox.bring_online(say)


def down(name: str) -> None:
    """End and remove everything of a sandbox; that there is none is fine. Raises SandboxError."""
    check_root()
    sandbox = Sandbox(name)
    with _alone(sandbox):
        _remove(sandbox)


def _build(sandbox: Sandbox, conf: Conf | Path, server: servers.Server, options: Values, say: Say) -> None:
    began = time.monotonic()
    sandbox.homes.mkdir(parents=True)
    sandbox.directory.chmod(0o700)
    sandbox.server = server
    sandbox.layout = layout = _installed(_with_program(conf, server), sandbox.homes, say)
    template = server.template(directory() / ".templates")
    switch = sandbox.machine(SWITCH)
    switch.home.mkdir(exist_ok=True)
    switch.boot(["/run"])
    network.lay(switch, layout.gateways, layout.lengths)
    say(f"sandbox {sandbox.name}: {', '.join(layout.plugs)}; server {server.version}")
    with ThreadPoolExecutor() as pool:
        with deferred():  # an interrupted submit would leave a thread that nobody waits for
            jobs = {name: pool.submit(_furnish, sandbox, name, template, options) for name in layout.plugs}
        for name, job in jobs.items():
            job.result()
            if name in layout.hosts:
                say(f"{name} runs at {layout.hosts[name].ip} ({time.monotonic() - began:.1f} s)")
    for name in layout.hosts:
        source = layout.source_of(name)
        if source is not None:
            data.replicate(sandbox.machine(name), layout, server, source)


def _furnish(sandbox: Sandbox, name: str, template: Path, options: Values) -> None:
    machine, layout = sandbox.machine(name), sandbox.layout
    build.furnish(machine, layout, sandbox.server, options)
    if name in layout.hosts:
        build.fill_datadir(machine, template)
    sandbox.boot(name)
    if name in layout.hosts:
        sandbox.start_server(name)
        data.set_up(machine, layout, sandbox.server)


def _with_program(conf: Conf | Path, server: servers.Server) -> Conf | Path:
    """Return the conf with the program that reads the server's binary log, where that is in a folder of its own."""
    program = server.binlog_program()
    if program is None or not isinstance(conf, Conf):
        return conf
    default = {"mysqlbinlog": program, **conf.hosts.get("default", {})}
    return replace(conf, hosts={**conf.hosts, "default": default})


def _installed(conf: Conf | Path, homes: Path, say: Say) -> Layout:
    if isinstance(conf, Path):
        return build.install_conf(conf, homes, say)
    with tempfile.TemporaryDirectory(prefix="mmm-sandbox-") as made:
        for name, text in conf.files().items():
            Path(made, name).write_text(text)
        return build.install_conf(Path(made), homes, say)


def _remove(sandbox: Sandbox) -> None:
    if not end_holders(str(sandbox.homes)):
        raise SandboxError(f"processes of sandbox {sandbox.name} do not end: look for {sandbox.homes} in ps")
    if sandbox.directory.exists():
        shutil.rmtree(sandbox.directory)


@contextlib.contextmanager
def _alone(sandbox: Sandbox) -> Iterator[None]:
    """Hold the right to build or remove a sandbox: a socket with a name that vanishes with its process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        try:
            lock.bind(f"\0mmm-sandbox:{sandbox.name}:{sandbox.directory}"[:100])
        except OSError as error:
            raise SandboxError(
                f"sandbox {sandbox.name} is being built or removed by another program"
            ) from error
        yield


def _check_machine() -> None:
    """Raise SandboxError with the first reason why no sandbox can be built here."""
    check_root()
    for name, package in _NEEDED.items():
        if shutil.which(name) is None:
            raise SandboxError(f"{name} is missing: apt-get install {package}")
    if any(directory().is_relative_to(hidden) for hidden in _HIDDEN):
        raise SandboxError(f"MMM_SANDBOX_DIR is {directory()}: it must not be below {', '.join(_HIDDEN)}")
    _check_root_mount()
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "true"],
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip
    if tried.returncode:
        raise SandboxError(f"no namespaces on this machine: {tried.stderr.strip()}")


def _check_root_mount() -> None:
    """Raise SandboxError in a chroot: who enters a machine finds itself outside of it, without our programs."""
    # By mount and inode: a chroot can be another mount of the same folder, or another folder of the same mount.
    look = ["sh", "-c", "exec 3</; cat /proc/self/fdinfo/3"]
    ways = (look, ["nsenter", "--mount=/proc/self/ns/mnt", *look])
    seen = [
        subprocess.run(way, capture_output=True, text=True, check=False, timeout=10).stdout for way in ways
    ]
    if seen[0] != seen[1]:
        raise SandboxError(
            "this is a chroot, which the sandbox's machines would not be in: enter it with "
            "'systemd-nspawn -D DIR', or with pivot_root instead of chroot"
        )
